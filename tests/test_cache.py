"""The result cache: what it keeps, and that nothing is computed twice at once."""

import threading
import tracemalloc
from concurrent.futures import Future

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millisight.answers import Prediction, Result, Timings
from millisight.cache import ResultCache, result_key


def cache(entries: int = 3, size: int = 100) -> ResultCache[str]:
    return ResultCache(max_entries=entries, max_bytes=size, size_of=len)


def remember(one: ResultCache[str], key: str, value: str) -> None:
    future: Future[str] = Future()
    one.join(key, lambda: future)
    future.set_result(value)


def never() -> "Future[str]":
    raise AssertionError("computed again")


def test_the_key_names_the_bytes_and_every_parameter() -> None:
    keys = {
        result_key(picture, top_k, model)
        for picture in (b"", b"a", b"ab")
        for top_k in (1, 11)
        for model in ("a", "b")
    }
    assert len(keys) == 12
    assert result_key(b"a", 1, "m") == result_key(b"a", 1, "m")
    assert all(len(key) == 64 for key in keys)


def test_a_finished_answer_is_remembered() -> None:
    one = cache()
    assert one.get("k") is None
    remember(one, "k", "v")
    assert one.get("k") == "v"
    assert (len(one), one.size_bytes) == (1, 1)


def test_the_least_recently_used_goes_first() -> None:
    one = cache(entries=2)
    for key in "ab":
        remember(one, key, key)
    assert one.get("a") == "a"
    remember(one, "c", "c")
    assert [one.get(key) for key in "abc"] == ["a", None, "c"]


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.text(max_size=40)), max_size=40))
def test_neither_bound_is_ever_passed_and_the_newest_is_there(
    answers: list[tuple[str, str]],
) -> None:
    one = cache(entries=3, size=30)
    for key, value in answers:
        remember(one, key, value)
        assert len(one) <= 3
        assert one.size_bytes <= 30
        if len(value) <= 30:
            assert one.get(key) == value


def test_an_answer_larger_than_the_cache_is_given_and_not_kept() -> None:
    one = cache(size=5)
    remember(one, "small", "1234")
    remember(one, "large", "123456")
    assert one.get("large") is None
    assert one.get("small") == "1234"


def test_those_who_ask_at_once_share_one_computation() -> None:
    one = cache()
    future: Future[str] = Future()
    assert one.join("k", lambda: future) == (future, False)
    assert one.join("k", never) == (future, True)
    other: Future[str] = Future()
    assert one.join("other", lambda: other) == (other, False)
    future.set_result("v")
    assert one.get("k") == "v"


def test_a_failure_is_not_remembered_and_the_next_one_tries_again() -> None:
    one = cache()
    failing: Future[str] = Future()
    one.join("k", lambda: failing)
    failing.set_exception(ValueError())
    again: Future[str] = Future()
    assert one.join("k", lambda: again) == (again, False)


def test_what_start_raises_is_raised_and_leaves_nothing_behind() -> None:
    one = cache()
    with pytest.raises(AssertionError, match="computed again"):
        one.join("k", never)
    remember(one, "k", "v")
    assert one.get("k") == "v"


def test_it_is_cancelled_only_when_the_last_one_leaves() -> None:
    one = cache()
    future: Future[str] = Future()
    one.join("k", lambda: future)
    one.join("k", never)
    one.leave("k", future)
    assert not future.cancelled()
    one.leave("k", future)
    assert future.cancelled()
    assert one.get("k") is None


def test_after_everyone_left_the_picture_may_come_again() -> None:
    one = cache()
    running: Future[str] = Future()
    assert running.set_running_or_notify_cancel()  # too late to cancel
    one.join("k", lambda: running)
    one.leave("k", running)
    again: Future[str] = Future()
    assert one.join("k", lambda: again) == (again, False)
    one.leave("k", running)  # of the one before: changes nothing
    running.set_result("first")
    assert one.join("k", never) == (again, True)
    assert one.get("k") == "first"
    one.leave("unknown", running)


def test_many_threads_compute_once() -> None:
    one = cache()
    future: Future[str] = Future()
    started: list[int] = []

    def start() -> "Future[str]":
        started.append(1)
        return future

    def ask() -> None:
        assert one.join("k", start)[0].result(20) == "v"

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    future.set_result("v")
    for thread in threads:
        thread.join(20)
    assert started == [1]


@pytest.mark.parametrize("count", [1, 3, 100])
def test_a_result_is_not_larger_than_it_says(count: int) -> None:
    labels = [f"class number {index}" for index in range(count)]

    def result(number: int) -> Result:
        best = [Prediction(label, number + 0.5, 1000 + number) for label in labels]
        return Result(best, "model", Timings(number + 0.1, 0.2, 0.3, number + 0.4), ())

    many: ResultCache[Result] = ResultCache(
        max_entries=500, max_bytes=10**9, size_of=Result.size_bytes
    )
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for number in range(500):
        many.join(result_key(b"", number), Future)[0].set_result(result(number))
    taken = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert 0.4 * many.size_bytes < taken <= many.size_bytes
