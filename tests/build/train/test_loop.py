"""What an epoch changes of a network, and what it leaves as published weights have it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from millisight.train.augment import Batches
from millisight.train.base import Base, keep_first_layers, make_base
from millisight.train.loop import Loop, measure, score_of
from millisight.train.plan import recipe_for
from tests.build.train.data import quiet

MODEL = "shufflenet_v2_x0_5"


def an_epoch(base: Base) -> dict[str, torch.Tensor]:
    """The state of the network of ``base`` after going through twelve pictures, then through
    two thirds of them again."""
    side = base.preprocess.resize
    pixels = np.random.default_rng(3).integers(0, 256, (12, side, side, 3), np.uint8)
    pictures = Batches(pixels, [0, 1] * 6, base.preprocess)
    recipe = replace(recipe_for(base), batch=4)
    loop = Loop(base.module, recipe, pictures, torch.ones(2), bf16=False)
    seen: list[float] = []
    loop.epoch(1, 0.3, 0.6, seen.append)
    assert seen == [1 / 3] * 3
    seen.clear()
    loop.epoch(1, 0.6, 0.9, seen.append, part=0.7)
    assert seen == [1 / 2] * 2
    assert 0 <= measure(loop.averaged, pictures).top1 <= 100
    return base.module.state_dict()


def test_a_published_network_keeps_its_first_layers_and_its_statistics(
    weights_of: Callable[..., Path],
) -> None:
    base = make_base(str(weights_of(MODEL, 5)), MODEL, 2, mirror="", step=quiet)
    keep_first_layers(base.module)
    before = {name: value.clone() for name, value in base.module.state_dict().items()}
    after = an_epoch(base)
    changed = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert not any("running" in name for name in changed)
    assert "conv1.0.weight" not in changed
    assert {"conv5.0.weight", "conv5.1.weight", "fc.weight"} <= changed
    kept = sum(one.numel() for one in base.module.parameters() if not one.requires_grad)
    assert 0 < kept <= 0.1 * sum(one.numel() for one in base.module.parameters())


def test_a_network_from_nothing_learns_all_of_it() -> None:
    base = make_base("none", "resnet18", 2, mirror="", step=quiet)
    before = {name: value.clone() for name, value in base.module.state_dict().items()}
    after = an_epoch(base)
    assert not [name for name, value in after.items() if torch.equal(value, before[name])]


def test_a_score_is_the_same_however_sure_the_answers_are() -> None:
    truth = torch.arange(60) % 3
    torch.manual_seed(4)
    logits = torch.nn.functional.one_hot(truth, 3) + 0.5 * torch.randn(60, 3)
    usual, sure = score_of(logits, truth), score_of(4 * logits, truth)
    assert 50 < usual.top1 == sure.top1 < 100
    assert abs(usual.loss - sure.loss) < 1e-3
    assert usual.loss < torch.nn.functional.cross_entropy(logits, truth)
