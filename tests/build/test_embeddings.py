"""The embeddings of a built bundle are the features that torch gives its last layer."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import millisight as library
from millisight.errors import NotEmbeddable
from tests.build.conftest import normalised, resnet18
from tests.command import Run
from tests.support import texture

Vector = NDArray[np.float32]


def features(weights: Path, pixels: np.ndarray) -> np.ndarray:
    """What torch's ResNet-18 gives its linear layer for ``pixels``, ``(224, 224, 3)``."""
    module = resnet18(weights)
    module.fc = torch.nn.Identity()
    with torch.no_grad():
        return module(normalised(pixels))[0].numpy()


def pairs(classifier: library.Classifier, weights: Path) -> Iterator[tuple[Vector, Vector]]:
    """Some embeddings, each with torch's features of what the network saw."""
    for seed in range(3):
        pixels = np.asarray(texture(224, 224, seed).resize((256, 256)))
        got = classifier.embed(pixels)
        assert got.dimensions == 512
        yield got.vector, features(weights, classifier.explain(pixels).pixels)


def cosine(one: Vector, other: Vector) -> float:
    """Of the angle between two vectors."""
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


@pytest.mark.long
def test_embeddings_are_torchs_features(
    millisight: Run, home: Path, weights_of: Callable[..., Path]
) -> None:
    weights = weights_of("resnet18")
    done = millisight("build", "resnet18", "--weights", weights, "--precision", "float32")
    assert done.returncode == 0, done.stderr
    with library.load(home / "bundles" / "resnet18") as classifier:
        for got, expected in pairs(classifier, weights):
            assert cosine(got, expected) > 0.999999
            np.testing.assert_allclose(got, expected, atol=1e-3)


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
