"""Maps over pictures: pixels where they belong."""

from io import BytesIO

import numpy as np
from PIL import Image

from millisight.heatmap import heat, overlay

GREY = np.full((224, 224, 3), 128, np.uint8)


def corner() -> np.ndarray:
    cells = np.zeros((7, 7), np.float32)
    cells[0, 6] = 3
    return cells


def drawn(cells: np.ndarray) -> np.ndarray:
    image = Image.open(BytesIO(overlay(GREY, cells)))
    assert image.format == "PNG"
    assert image.size == (224, 224)
    return np.asarray(image).astype(int)


def test_the_hottest_place_is_bright_and_the_coldest_is_the_picture_itself() -> None:
    pixels = drawn(corner())
    red, green, blue = pixels[4, 219]
    assert min(red, green) > blue > 128
    assert red > 210
    assert (pixels[150:, :100] == 128).all(axis=-1).mean() > 0.9


def test_the_scale_is_each_maps_own() -> None:
    assert (drawn(corner()) == drawn(corner() * 100 - 40)).all()


def test_a_map_without_differences_changes_nothing() -> None:
    assert (heat(np.full((7, 7), -2, np.float32), 224) == 0).all()
    assert (drawn(np.full((7, 7), -2, np.float32)) == 128).all()
