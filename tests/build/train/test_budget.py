"""What is done with the time that a training may take."""

from pathlib import Path

import torch

from millisight.build.calibrate import CHECK_SAMPLES, FEW_SAMPLES, SAMPLES, paths_set
from millisight.manifest import Preprocess
from millisight.train.loop import Score
from millisight.train.session import Budget, Reached
from tests.build.train.data import fill, quiet


def test_where_the_time_is_up_few_pictures_calibrate() -> None:
    budget = Budget(seconds=120, epochs=None)
    assert budget.samples(30) == SAMPLES
    assert budget.samples(60) == FEW_SAMPLES
    assert Budget(seconds=120, epochs=3).samples(1e6) == SAMPLES


def test_as_many_calibrate_as_are_wanted_and_none_of_them_checks(tmp_path: Path) -> None:
    paths = fill(tmp_path, 100, 0)
    preprocess = Preprocess(
        resize=32, crop=32, interpolation="bilinear", mean=(0.5,) * 3, std=(0.5,) * 3
    )
    few = paths_set(paths, "pictures", preprocess, quiet, FEW_SAMPLES)
    assert len(few.samples) == few.images == FEW_SAMPLES
    assert len(few.check) == len(paths) - FEW_SAMPLES < CHECK_SAMPLES
    seen = {pixels.tobytes() for pixels in few.samples}
    assert not seen & {pixels.tobytes() for pixels in few.check}
    many = paths_set(paths, "pictures", preprocess, quiet)
    assert len(many.samples) == SAMPLES
    assert many.images == 75


def test_a_state_with_less_loss_is_better_though_one_answer_more_was_right() -> None:
    reached = Reached({"weight": torch.zeros(1)}, Score(loss=0.18, top1=100.0))
    assert reached.better(Score(loss=0.13, top1=99.63))
    assert not reached.better(Score(loss=0.19, top1=100.0))
