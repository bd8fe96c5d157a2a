"""Whether pictures have a top, on drawn ones and on real ones."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from millisight.build.calibrate import Pixels
from millisight.train.upright import have_no_top

SIDE, EACH = 64, 60


def wedges(classes: tuple[int, ...]) -> tuple[Pixels, NDArray[np.int64]]:
    """``EACH`` noisy pictures of each class: brighter above for 1, below for -1, flat for 0."""
    random = np.random.default_rng(3)
    slope = np.linspace(1, -1, SIDE)[:, None, None]
    found = [
        (128 + 60 * way * slope + random.normal(0, 40, (SIDE, SIDE, 3))).clip(0, 255)
        for way in classes
        for _ in range(EACH)
    ]
    return np.array(found).astype(np.uint8), np.repeat(np.arange(len(classes)), EACH)


def test_surfaces_have_no_top_and_what_is_lit_from_above_has() -> None:
    assert have_no_top(*wedges((0, 0)))
    assert not have_no_top(*wedges((1, 1)))


def test_classes_that_are_each_other_upside_down_are_not_turned() -> None:
    # All of them together look the same turned.
    assert not have_no_top(*wedges((1, -1)))


def test_one_class_with_a_top_among_many_without_is_enough() -> None:
    assert not have_no_top(*wedges((0, 0, 0, 0, 0, 0, 0, 0, 1)))


def test_of_few_pictures_nothing_is_concluded() -> None:
    pixels, classes = wedges((0, 0))
    assert not have_no_top(pixels[: EACH + 10], classes[: EACH + 10])


@pytest.mark.parametrize(("name", "expected"), [("steel-defects", True), ("clothing", False)])
def test_real_pictures(shared_data: Path, name: str, expected: bool) -> None:
    pixels, classes = [], []
    for index, folder in enumerate(sorted((shared_data / name / "train").iterdir())):
        for path in sorted(folder.iterdir())[:200]:
            with Image.open(path) as image:
                pixels.append(np.asarray(image.convert("RGB").resize((SIDE, SIDE))))
            classes.append(index)
    assert have_no_top(np.stack(pixels), np.array(classes)) is expected
