"""The maps of a built ResNet-18 are those that torch gives."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import millisight as library
from tests.build.conftest import normalised, resnet18
from tests.command import Run
from tests.support import texture


@pytest.mark.long
def test_maps_are_the_products_that_zhou_et_al_define(
    millisight: Run, home: Path, weights_of: Callable[..., Path]
) -> None:
    weights = weights_of("resnet18")
    done = millisight("build", "resnet18", "--weights", weights, "--precision", "float32")
    assert done.returncode == 0, done.stderr
    with library.load(home / "bundles" / "resnet18") as classifier:
        explanation = classifier.explain(texture(400, 300), 5)
    module = resnet18(weights)
    features: list[torch.Tensor] = []
    module.layer4.register_forward_hook(lambda _, __, output: features.append(output))
    with torch.no_grad():
        logits = module(normalised(explanation.pixels))[0]
    for one in explanation.maps:
        index = one.prediction.index
        expected = torch.einsum("c,chw->hw", module.fc.weight[index], features[0][0]).detach()
        np.testing.assert_allclose(one.cells, expected.numpy(), atol=2e-4)
        bias = float(module.fc.bias[index].detach())
        assert abs(one.cells.mean() + bias - float(logits[index])) < 1e-3
