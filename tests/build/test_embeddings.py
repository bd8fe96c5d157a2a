"""The embeddings of a built bundle are the features that torch gives its last layer."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import millisight as library
from millisight.errors import NotEmbeddable
from tests.build.command import Run
from tests.build.conftest import normalised, resnet18
from tests.support import texture


def features(weights: Path, pixels: np.ndarray) -> np.ndarray:
    """What torch's ResNet-18 gives its linear layer for ``pixels``, ``(224, 224, 3)``."""
    module = resnet18(weights)
    module.fc = torch.nn.Identity()
    with torch.no_grad():
        return module(normalised(pixels))[0].numpy()


@pytest.mark.parametrize(("precision", "cosine"), [("float32", 0.999999), ("int8", 0.99)])
def test_embeddings_are_torchs_features(
    millisight: Run, home: Path, weights_of: Callable[..., Path], precision: str, cosine: float
) -> None:
    weights = weights_of("resnet18")
    done = millisight(
        *("build", "resnet18", "--weights", weights, "--precision", precision, "--max-drop", 100)
    )
    assert done.returncode == 0, done.stderr
    with library.load(home / "bundles" / "resnet18") as classifier:
        for seed in range(3):
            pixels = np.asarray(texture(224, 224, seed).resize((256, 256)))
            seen = classifier.explain(pixels).pixels
            expected = features(weights, seen)
            got = classifier.embed(pixels)
            assert got.dimensions == 512
            lengths = np.linalg.norm(got.vector) * np.linalg.norm(expected)
            assert got.vector @ expected / lengths > cosine
            if precision == "float32":
                np.testing.assert_allclose(got.vector, expected, atol=1e-3)


def test_a_network_without_a_linear_layer_says_so(
    millisight: Run, home: Path, weights_of: Callable[..., Path]
) -> None:
    weights = weights_of("squeezenet1_1")
    done = millisight("build", "squeezenet1_1", "--weights", weights, "--precision", "float32")
    assert done.returncode == 0, done.stderr
    with (
        library.load(home / "bundles" / "squeezenet1_1") as classifier,
        pytest.raises(NotEmbeddable),
    ):
        classifier.embed(texture(300, 200))
