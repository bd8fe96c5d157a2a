"""The maps of a built ResNet-18 are those that torch gives."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torchvision import models

import millisight as library
from tests.build.conftest import Run
from tests.support import texture


def test_maps_are_the_products_that_zhou_et_al_define(
    millisight: Run, home: Path, weights_of: Callable[..., Path]
) -> None:
    weights = weights_of("resnet18")
    done = millisight("build", "resnet18", "--weights", weights, "--precision", "float32")
    assert done.returncode == 0, done.stderr
    with library.load(home / "bundles" / "resnet18") as classifier:
        explanation = classifier.explain(texture(400, 300), 5)
    module = models.resnet18()
    module.load_state_dict(torch.load(weights, weights_only=True))
    features: list[torch.Tensor] = []
    module.layer4.register_forward_hook(lambda _, __, output: features.append(output))
    pixels = torch.from_numpy(explanation.pixels.copy()).permute(2, 0, 1)[None] / 255
    mean = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
    std = torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    with torch.no_grad():
        logits = module.eval()((pixels - mean) / std)[0]
    for one in explanation.maps:
        index = one.prediction.index
        expected = torch.einsum("c,chw->hw", module.fc.weight[index], features[0][0]).detach()
        np.testing.assert_allclose(one.cells, expected.numpy(), atol=2e-4)
        bias = float(module.fc.bias[index].detach())
        assert abs(one.cells.mean() + bias - float(logits[index])) < 1e-3
