"""The part of a picture that is shown, as arithmetic."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millisight.geometry import clip, crop_box, draft_scale, stored_box
from tests.support import PREPROCESS

sides = st.integers(1, 70_000)


def test_the_crop_is_the_middle_of_the_picture() -> None:
    assert crop_box((256, 256), PREPROCESS) == (16, 16, 240, 240)
    assert crop_box((512, 1024), PREPROCESS) == (32, 288, 480, 736)


def test_the_longer_side_is_cut_down_and_the_offset_rounded_half_to_even() -> None:
    # 256 * 500 // 333 = 384 and (384 - 224) / 2 = 80; 257 gives 16.5, which is 16.
    assert crop_box((500, 333), PREPROCESS)[0] == 80 * 500 / 384
    assert crop_box((257, 256), PREPROCESS)[0] == 16


@given(sides, sides)
def test_the_crop_is_square_and_inside_the_picture(width: int, height: int) -> None:
    left, top, right, bottom = crop_box((width, height), PREPROCESS)
    assert 0 <= left < right <= width * (1 + 1e-9)
    assert 0 <= top < bottom <= height * (1 + 1e-9)
    shown = min(width, height) * 224 / 256
    # Cutting the longer side down to an integer stretches it by less than one pixel of it.
    assert right - left == pytest.approx(shown, rel=1 / 256)
    assert bottom - top == pytest.approx(shown, rel=1 / 256)


@pytest.mark.parametrize(
    ("orientation", "stored"),
    [
        (1, (1, 2, 5, 8)),
        (2, (15, 2, 19, 8)),
        (3, (15, 22, 19, 28)),
        (4, (1, 22, 5, 28)),
        (5, (2, 1, 8, 5)),
        (6, (2, 15, 8, 19)),
        (7, (22, 15, 28, 19)),
        (8, (22, 1, 28, 5)),
    ],
)
def test_a_box_lies_elsewhere_in_a_picture_stored_turned(
    orientation: int, stored: tuple[int, int, int, int]
) -> None:
    assert stored_box((1, 2, 5, 8), (20, 30), orientation) == stored


def test_a_box_never_reaches_outside() -> None:
    assert clip((-1e-9, 0.5, 10.1, 20), (10, 20)) == (0.0, 0.5, 10, 20)


@given(st.integers(64, 70_000), st.sampled_from([1, 2, 4, 8]))
def test_the_scale_of_a_reduced_decode_is_recognised(full: int, scale: int) -> None:
    assert draft_scale(full, -(-full // scale)) == scale


def test_any_other_size_counts_as_whole() -> None:
    assert draft_scale(100, 70) == 1
