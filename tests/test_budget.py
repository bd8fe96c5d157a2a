"""The budget of pixels: never more at one time, and nobody waits for ever."""

import threading
from concurrent.futures import CancelledError, ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millisight import image as images
from millisight.budget import MOST_OVERTAKEN, ByteBudget, PixelBudget
from millisight.errors import Overloaded
from millisight.image import Limits, decode
from tests.support import PREPROCESS, encode, solid


@given(st.lists(st.integers(1, 150), min_size=1, max_size=30), st.integers(1, 4))
def test_no_more_is_held_at_one_time_and_all_get_their_turn(sizes: list[int], threads: int) -> None:
    budget = PixelBudget(100)
    lock = threading.Lock()
    held = most = 0

    def work(size: int) -> None:
        nonlocal held, most
        with budget.hold(size):
            with lock:
                held += min(size, 100)
                most = max(most, held)
            with lock:
                held -= min(size, 100)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, sizes))
    assert held == 0
    assert most <= 100


def test_what_fails_gives_its_pixels_back() -> None:
    budget = PixelBudget(10)
    with pytest.raises(ZeroDivisionError), budget.hold(10):
        raise ZeroDivisionError
    with budget.hold(10):
        pass


def test_a_large_picture_waits_for_another_and_a_small_one_does_not() -> None:
    budget = PixelBudget(1_000_000)
    limits = Limits(budget=budget)
    large = encode(solid((1, 2, 3), size=(1000, 900)), "PNG")
    small = encode(solid((1, 2, 3), size=(100, 90)), "PNG")
    with ThreadPoolExecutor(1) as pool:
        with budget.hold(900_000):
            waiting = pool.submit(decode, large, PREPROCESS, limits)
            assert decode(small, PREPROCESS, limits).pixels.shape == (224, 224, 3)
            with pytest.raises(TimeoutError):
                waiting.result(timeout=0.2)
        assert waiting.result(timeout=20).pixels.shape == (224, 224, 3)


def test_a_large_picture_is_overtaken_by_some_small_ones_and_no_more() -> None:
    budget = PixelBudget(100)
    entered: list[str] = []

    def work(name: str, pixels: int) -> None:
        with budget.hold(pixels):
            entered.append(name)

    with ThreadPoolExecutor(2) as pool:
        with budget.hold(50):
            large = pool.submit(work, "large", 100)
            while not large.running() or not budget.waiting:
                pass
            for _ in range(MOST_OVERTAKEN):
                work("small", 1)
            late = pool.submit(work, "late", 1)
            while budget.waiting < 2:
                pass
        large.result(20)
        late.result(20)
    assert entered == ["small"] * MOST_OVERTAKEN + ["large", "late"]


def test_a_reduced_decode_counts_as_what_it_is() -> None:
    limits = Limits(budget=PixelBudget(1_500_000))
    phone = encode(solid((9, 9, 9), size=(4000, 3000)), "JPEG")
    with limits.budget.hold(600_000):
        # An eighth of each side would be too small; a quarter is 0.75 megapixels.
        assert decode(phone, PREPROCESS, limits).pixels.shape == (224, 224, 3)
    assert images.DRAFT_FACTOR == 2


def test_who_has_given_all_back_gets_nothing_more() -> None:
    budget = ByteBudget(10)
    with budget.share() as ended:
        ended.take(6)
    with pytest.raises(CancelledError):
        ended.take(6)
    with budget.share() as one, budget.share() as other:
        one.take(5)
        other.take(5)
        with pytest.raises(Overloaded):
            other.take(1)


def test_a_jpeg_of_several_scans_counts_at_its_full_size_too() -> None:
    limits = Limits(budget=PixelBudget(4_000_000))
    picture = solid((9, 9, 9), size=(2000, 1500))
    files = [encode(picture, "JPEG", progressive=progressive) for progressive in (False, True)]
    with ThreadPoolExecutor(2) as pool:
        # Both are decoded to 0.75 megapixels, the second from 3 megapixels of coefficients.
        with limits.budget.hold(500_000):
            baseline, progressive = (pool.submit(decode, one, PREPROCESS, limits) for one in files)
            assert baseline.result(timeout=20).pixels.shape == (224, 224, 3)
            with pytest.raises(TimeoutError):
                progressive.result(timeout=0.2)
        assert progressive.result(timeout=20).pixels.shape == (224, 224, 3)
