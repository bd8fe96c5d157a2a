"""The fast resizer shows what Pillow's does, and Pillow's takes its place where it must."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from millisight import resizing
from millisight.geometry import Box
from millisight.resizing import resize
from tests.support import difference, texture

FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def by_pillow(image: Image.Image, box: Box, side: int, interpolation: str) -> np.ndarray:
    resized = image.resize((side, side), FILTERS[interpolation], box=box)
    return np.asarray(resized.convert("RGB"))


@st.composite
def parts(draw: st.DrawFn, size: tuple[int, int]) -> Box:
    """A part of a picture, at least half a pixel wide and high, that may touch its edges."""
    starts, ends = [], []
    for length in size:
        share, extent = draw(st.floats(0.0, 1.0)), draw(st.floats(0.5, length))
        starts.append(share * (length - extent))
        ends.append(min(starts[-1] + extent, length))
    return (*starts, *ends)


@given(data=st.data(), size=st.tuples(st.integers(1, 700), st.integers(1, 700)))
@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize(("interpolation", "largest"), [("bilinear", 2), ("bicubic", 0)])
@settings(deadline=None, max_examples=50)
def test_a_part_of_a_picture_is_what_pillow_makes_of_it(
    data: st.DataObject, size: tuple[int, int], mode: str, interpolation: str, largest: int
) -> None:
    image, box = texture(*size).convert(mode), data.draw(parts(size))
    pixels = resize(image, box, 224, interpolation)  # type: ignore[arg-type]
    expected = by_pillow(image, box, 224, interpolation)
    assert pixels.shape == (224, 224, 3)
    assert pixels.dtype == np.uint8
    assert difference(pixels, expected) < 0.5
    assert np.abs(pixels.astype(int) - expected).max() <= largest


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_large_picture_is_not_copied(mode: str) -> None:
    image = texture(2001, 1001).convert(mode)
    box = (300.5, 0.0, 1301.5, 1001.0)
    assert image.width * image.height > resizing.COPIED_AT_MOST
    assert np.array_equal(
        resize(image, box, 224, "bilinear"), by_pillow(image, box, 224, "bilinear")
    )


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_where_the_package_is_missing_pillow_resizes(
    mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resizing, "cykooz", None)
    image = texture(500, 375).convert(mode)
    box = (86.0, 23.4, 414.0, 351.6)
    assert np.array_equal(
        resize(image, box, 224, "bilinear"), by_pillow(image, box, 224, "bilinear")
    )
