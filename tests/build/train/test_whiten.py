"""The first filters of a network that starts from nothing."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from millisight.train.augment import Batches
from millisight.train.base import make_base
from millisight.train.whiten import whiten_first_layer
from tests.build.train.data import PICTURES, picture, quiet


def first_layer(architecture: str, mode: str) -> tuple[nn.Conv2d, Tensor, Tensor]:
    """The layer for pictures of ``mode``, its weights before, and what it answers to pictures
    that it was not made for, ``(channels, places)``."""
    torch.manual_seed(2)
    base = make_base("none", architecture, 2, mirror="", step=quiet)
    layer = next(part for part in base.module.modules() if isinstance(part, nn.Conv2d))
    before = layer.weight.detach().clone()
    side = (base.preprocess.resize,) * 2
    pixels = np.stack(
        [
            np.asarray(picture(number).convert(mode).convert("RGB").resize(side))
            for number in range(PICTURES)
        ]
    )
    seen, others = (
        Batches(part, [0] * len(part), base.preprocess) for part in (pixels[::2], pixels[1::2])
    )
    whiten_first_layer(base.module, seen)
    with torch.no_grad():
        answers = torch.cat([layer(inputs) for inputs in others.plain(25)])
    return layer, before, answers.transpose(0, 1).flatten(1)


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_each_of_a_resnets_first_filters_sees_something_else_and_its_contrary(mode: str) -> None:
    layer, before, answers = first_layer("resnet18", mode)
    weights = layer.weight.detach()
    torch.testing.assert_close(weights[32:], -weights[:32])
    lengths = weights.flatten(1).norm(dim=1)
    torch.testing.assert_close(lengths, before.flatten(1).norm(dim=1).mean().expand(64))
    alike = torch.corrcoef(answers[:32]).abs().fill_diagonal_(0)
    assert alike.mean() < 0.1
    variances = answers[:32].var(dim=1)
    assert variances[0] > 10 * variances[5] > 10 * variances[31]


@pytest.mark.parametrize("architecture", ["squeezenet1_1", "vit_b_32"])
def test_without_batch_normalisation_filters_stay_random(architecture: str) -> None:
    layer, before, _ = first_layer(architecture, "RGB")
    assert torch.equal(layer.weight, before)


def test_filters_that_are_left_over_stay_as_they_were() -> None:
    layer, before, _ = first_layer("shufflenet_v2_x0_5", "L")
    # Patches of 3 × 3 grey pixels differ in nine ways.
    torch.testing.assert_close(layer.weight[18:], before[18:])
    torch.testing.assert_close(layer.weight[9:18], -layer.weight[:9])
    assert not torch.equal(layer.weight[:9], before[:9])
