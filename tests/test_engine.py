"""The dispatcher with engines that a test can hold and break."""

import os
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from millisight.bundle import read_bundle, starter_path
from millisight.cpu import available_cores
from millisight.dispatcher import Dispatcher, Line
from millisight.engine import Engine, FakeEngine, Inferred, Logits, OpenVINOEngine, Pixels
from millisight.errors import BundleError, DeadlineExceeded, NotReady, Overloaded
from millisight.runtime import GraphFiles


def picture(value: int, rows: int = 4) -> Callable[[], Pixels]:
    return lambda: np.full((rows, 4, 3), value, np.uint8)


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


class HeldEngine(FakeEngine):
    """Waits inside each run until it is let go."""

    def __init__(self) -> None:
        super().__init__(256)
        self.running = threading.Semaphore(0)
        self.go = threading.Semaphore(0)

    def infer(self, batch: Pixels, *, alone: bool = False) -> Logits:
        self.running.release()
        self.go.acquire()
        return super().infer(batch, alone=alone)


class BrokenEngine(FakeEngine):
    """Fails on pictures of zeros."""

    def infer(self, batch: Pixels, *, alone: bool = False) -> Logits:
        if not batch.any():
            raise RuntimeError("no light")
        return super().infer(batch, alone=alone)


class ForgetfulEngine(FakeEngine):
    """Leaves out the last answer."""

    def infer(self, batch: Pixels, *, alone: bool = False) -> Logits:
        return super().infer(batch, alone=alone)[:-1]


@contextmanager
def dispatcher(engine: Engine, max_queue: int = 100, max_batch: int = 8) -> Iterator[Line]:
    one = Dispatcher(engine.lanes, max_batch=max_batch, max_queue=max_queue, max_wait=0.0)
    line = one.open(engine)
    yield line
    line.close()
    assert not line.alive
    assert not one.alive


def test_a_batch_is_what_waited_while_the_engine_was_busy() -> None:
    engine = HeldEngine()
    with dispatcher(engine) as one:
        futures = [one.submit(picture(0))]
        engine.running.acquire()
        futures += [one.submit(picture(value)) for value in range(1, 11)]
        for _ in range(3):
            engine.go.release()
        answers = [int(future.result(10).logits.argmax()) for future in futures]
    assert answers == list(range(11))
    assert engine.batch_sizes == [1, 8, 2]


several_cores = pytest.mark.skipif(
    sys.platform != "linux" or available_cores() < 2, reason="lanes give way on several cores only"
)


@several_cores
def test_a_lane_runs_where_it_may_not_give_way(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "setpriority", forbidden)
    with dispatcher(FakeEngine(3)) as one:
        assert one.submit(picture(2)).result(10).logits.argmax() == 2


@several_cores
def test_the_threads_of_lanes_go_last_and_no_others_do() -> None:
    def nice() -> int:
        return os.getpriority(os.PRIO_PROCESS, 0)

    own, seen = nice(), []

    def decode() -> Pixels:
        seen.append(nice())
        return picture(0)()

    with dispatcher(FakeEngine(3)) as one:
        one.submit(decode).result(10)
        one.submit(decode, here=True).result(10)
    assert seen == [min(own + 3, 19), own]
    assert nice() == own


def test_a_lone_picture_is_run_alone_and_at_once() -> None:
    engine = FakeEngine(7)
    with dispatcher(engine) as one:
        answer = one.submit(picture(5)).result(10)
    assert int(answer.logits.argmax()) == 5
    assert engine.batch_sizes == [1]
    assert answer.inference >= 0
    assert answer.queued >= 0


def test_who_brings_a_picture_to_a_free_lane_runs_it() -> None:
    class Witness(FakeEngine):
        def infer(self, batch: Pixels, *, alone: bool = False) -> Logits:
            seen.append((threading.current_thread(), alone))
            return super().infer(batch, alone=alone)

    seen: list[tuple[threading.Thread, bool]] = []
    with dispatcher(Witness(7)) as one:
        future = one.submit(picture(5), here=True)
        assert future.done()
        assert seen == [(threading.current_thread(), True)]
        one.submit(picture(6)).result(10)
        assert seen[1][0] is not threading.current_thread()


def test_lanes_run_side_by_side() -> None:
    engine = HeldEngine()
    engine.lanes = 2
    with dispatcher(engine) as one:
        futures = [one.submit(picture(value)) for value in (1, 2)]
        engine.running.acquire()
        engine.running.acquire()  # both lanes are inside at once
        engine.go.release(2)
        assert [int(f.result(10).logits.argmax()) for f in futures] == [1, 2]
    assert engine.batch_sizes == [1, 1]


def test_what_cannot_be_finished_fails_by_itself() -> None:
    def finish(inferred: Inferred) -> int:
        return 10 // int(inferred.logits.argmax())

    engine = HeldEngine()
    with dispatcher(engine) as one:
        held = one.submit(picture(9))
        engine.running.acquire()
        futures = [one.submit(picture(value), finish=finish) for value in (0, 5)]
        engine.go.release(2)
        held.result(10)
        with pytest.raises(ZeroDivisionError):
            futures[0].result(10)
        assert futures[1].result(10) == 2


def test_nobody_waits_for_an_engine_that_was_stopped() -> None:
    class Interrupted(FakeEngine):
        def infer(self, batch: Pixels, *, alone: bool = False) -> Logits:  # noqa: ARG002
            raise KeyboardInterrupt

    with dispatcher(Interrupted(7)) as one:
        with pytest.raises(KeyboardInterrupt):
            one.submit(picture(1), here=True)
        assert one.alive


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_picture_in_a_lane_that_dies_fails_and_no_more_are_taken() -> None:
    class Exiting(FakeEngine):
        def infer(self, batch: Pixels, *, alone: bool = False) -> Logits:  # noqa: ARG002
            raise KeyboardInterrupt

    with dispatcher(Exiting(7)) as one:
        (thread,) = one._dispatcher._threads
        with pytest.raises(NotReady, match="was stopped"):
            one.submit(picture(0)).result(10)
        thread.join(10)
        assert not one.alive
        with pytest.raises(NotReady, match="not running"):
            one.submit(picture(0))


def test_pictures_one_by_one_stay_in_one_lane() -> None:
    def decode() -> Pixels:
        used.add(threading.current_thread())
        return np.full((4, 4, 3), 1, np.uint8)

    used: set[threading.Thread] = set()
    with dispatcher(FakeEngine(7, lanes=3)) as one:
        for _ in range(6):
            # A lane has its answer out a moment before it waits for more.
            wait_until(lambda: len(one._dispatcher._asleep) == 3)
            one.submit(decode).result(10)
    assert len(used) == 1


def test_a_full_queue_refuses_and_the_rest_is_answered() -> None:
    engine = HeldEngine()
    with dispatcher(engine, max_queue=2) as one:
        first = one.submit(picture(1))
        engine.running.acquire()
        waiting = [one.submit(picture(2)), one.submit(picture(3))]
        with pytest.raises(Overloaded):
            one.submit(picture(4))
        engine.go.release(2)
        assert [int(f.result(10).logits.argmax()) for f in [first, *waiting]] == [1, 2, 3]


def test_nobody_is_refused_for_the_sake_of_what_was_cancelled() -> None:
    engine = HeldEngine()
    with dispatcher(engine, max_queue=2) as one:
        first = one.submit(picture(1))
        engine.running.acquire()
        gone, stays = one.submit(picture(2)), one.submit(picture(3))
        with pytest.raises(Overloaded):
            one.submit(picture(4))
        assert gone.cancel()
        late = one.submit(picture(4))
        with pytest.raises(Overloaded):
            one.submit(picture(5))
        engine.go.release(2)
        assert [int(f.result(10).logits.argmax()) for f in [first, stays, late]] == [1, 3, 4]
    assert engine.batch_sizes == [1, 2]


def test_no_work_is_spent_on_what_expired_or_was_cancelled() -> None:
    engine = HeldEngine()
    with dispatcher(engine) as one:
        first = one.submit(picture(1))
        engine.running.acquire()
        late = one.submit(picture(2), deadline=0.0)
        gone = one.submit(picture(3))
        gone_too_late = one.submit(picture(4), deadline=0.0)
        assert gone.cancel()
        assert gone_too_late.cancel()
        engine.go.release(2)
        first.result(10)
        with pytest.raises(DeadlineExceeded):
            late.result(10)
    assert engine.batch_sizes == [1]


def test_what_was_cancelled_is_not_kept_until_its_turn() -> None:
    engine = HeldEngine()
    with dispatcher(engine) as one:
        first = one.submit(picture(1))
        engine.running.acquire()
        body = np.zeros(10, np.uint8)
        known = weakref.ref(body)
        waiting = one.submit(partial(np.broadcast_to, body, (4, 10)))
        del body
        assert known() is not None
        assert waiting.cancel()
        assert known() is None
        engine.go.release()
        first.result(10)


def test_an_engines_exception_reaches_its_own_batch_only() -> None:
    with dispatcher(BrokenEngine(9)) as one:
        with pytest.raises(RuntimeError, match="no light"):
            one.submit(picture(0)).result(10)
        assert int(one.submit(picture(3)).result(10).logits.argmax()) == 3
        assert one.alive


def test_an_engine_that_gives_too_few_answers_fails_the_batch_and_not_the_dispatcher() -> None:
    with dispatcher(ForgetfulEngine(9)) as one:
        with pytest.raises(ValueError, match="shorter"):
            one.submit(picture(0)).result(10)
        assert one.alive
        with pytest.raises(ValueError, match="shorter"):
            one.submit(picture(1)).result(10)


def test_pictures_of_different_sizes_fail_together_and_alone() -> None:
    engine = HeldEngine()
    with dispatcher(engine) as one:
        first = one.submit(picture(1))
        engine.running.acquire()
        odd = [one.submit(picture(2)), one.submit(picture(3, rows=2))]
        engine.go.release()
        first.result(10)
        for future in odd:
            with pytest.raises(ValueError, match="shape"):
                future.result(10)
        engine.go.release()
        assert int(one.submit(picture(4)).result(10).logits.argmax()) == 4


def test_one_at_a_time_is_possible() -> None:
    engine = HeldEngine()
    with dispatcher(engine, max_batch=1) as one:
        futures = [one.submit(picture(value)) for value in range(4)]
        engine.go.release(4)
        assert [int(future.result(10).logits.argmax()) for future in futures] == [0, 1, 2, 3]
    assert engine.batch_sizes == [1, 1, 1, 1]


def test_closing_finishes_what_is_queued_and_takes_no_more() -> None:
    engine = HeldEngine()
    futures: list[Future] = []
    with dispatcher(engine) as one:
        futures = [one.submit(picture(1))]
        engine.running.acquire()
        futures.append(one.submit(picture(2)))
        engine.go.release(2)
    assert [int(future.result(0).logits.argmax()) for future in futures] == [1, 2]
    with pytest.raises(NotReady):
        one.submit(picture(3))
    one.close()


def test_nothing_is_taken_while_closing() -> None:
    engine = HeldEngine()
    with dispatcher(engine, max_queue=100_000) as one:
        futures = [one.submit(picture(1))]
        engine.running.acquire()
        closing = threading.Thread(target=one.close)
        closing.start()
        # Pictures are taken until the other thread has begun to close.
        with pytest.raises(NotReady):
            futures.extend(one.submit(picture(1)) for _ in count())
        engine.go.release(len(futures))
        closing.join()
    assert all(future.done() for future in futures)


def test_closing_finishes_what_waits_for_company() -> None:
    one = Dispatcher(1, max_batch=8, max_queue=8, max_wait=0.05).open(FakeEngine(3))
    future = one.submit(picture(1))
    one.close()
    assert int(future.result(0).logits.argmax()) == 1


def test_a_window_gathers_company() -> None:
    engine = FakeEngine(256)
    one = Dispatcher(1, max_batch=3, max_queue=9, max_wait=60.0).open(engine)
    futures = [one.submit(picture(value)) for value in range(3)]
    assert [int(future.result(10).logits.argmax()) for future in futures] == [0, 1, 2]
    assert engine.batch_sizes == [3]
    one.close()


def test_two_engines_share_the_lanes_and_take_turns() -> None:
    first, second = HeldEngine(), HeldEngine()
    with dispatcher(first) as one:
        other = one._dispatcher.open(second)
        futures = [one.submit(picture(1))]
        first.running.acquire()
        futures += [one.submit(picture(2)), one.submit(picture(3)), other.submit(picture(4))]
        assert not second.running.acquire(timeout=0.05)  # one lane, and the first has it
        first.go.release()
        second.running.acquire()
        assert not futures[1].done()
        second.go.release()
        first.go.release()
        assert [int(one.result(10).logits.argmax()) for one in futures] == [1, 2, 3, 4]
        other.close()
        assert (first.batch_sizes, second.batch_sizes) == ([1, 2], [1])


def test_closing_one_line_answers_what_it_took_and_leaves_the_other_open() -> None:
    first, second = HeldEngine(), FakeEngine(256)
    with dispatcher(second) as one:
        other = one._dispatcher.open(first)
        futures = [other.submit(picture(1))]
        first.running.acquire()
        futures += [other.submit(picture(2)), one.submit(picture(3))]
        closing = threading.Thread(target=other.close)
        closing.start()
        wait_until(lambda: other.closed)
        with pytest.raises(NotReady):
            other.submit(picture(4))
        first.go.release(2)
        closing.join(10)
        assert futures[0].done()
        assert futures[1].done()
        assert not other.alive
        assert int(one.submit(picture(5)).result(10).logits.argmax()) == 5
        other.close()
        assert one.alive


def test_after_the_last_line_the_threads_are_gone_and_come_back_with_the_next() -> None:
    one = Dispatcher(2, max_batch=1, max_queue=8, max_wait=0.0)
    before = threading.active_count()
    for _ in range(3):
        line = one.open(FakeEngine(256, lanes=2))
        assert threading.active_count() == before + 2
        assert int(line.submit(picture(6)).result(10).logits.argmax()) == 6
        line.close()
        assert threading.active_count() == before


def test_logits_do_not_depend_on_what_shares_the_batch() -> None:
    bundle = read_bundle(starter_path())
    engine = OpenVINOEngine(bundle.graph, precision="int8", max_batch=8)
    random = np.random.default_rng(7)
    pictures = random.integers(0, 256, (8, 224, 224, 3), np.uint8)
    together = engine.infer(pictures)
    for position in range(8):
        alone = engine.infer(pictures[position : position + 1])[0]
        np.testing.assert_allclose(alone, together[position], atol=1e-3)
    np.testing.assert_allclose(engine.infer(pictures[2:5]), together[2:5], atol=1e-3)


def test_alone_or_side_by_side_the_logits_are_the_same() -> None:
    bundle = read_bundle(starter_path())
    engine = OpenVINOEngine(bundle.graph, precision="int8", threads=2, max_batch=3)
    rng = np.random.default_rng(3)
    pictures = rng.integers(0, 256, (6, 224, 224, 3), np.uint8)
    expected = [engine.infer(one[None], alone=True)[0] for one in pictures]
    with ThreadPoolExecutor(engine.lanes) as pool:
        halves = list(pool.map(engine.infer, [pictures[:3], pictures[3:]]))
    for side_by_side, alone in zip(np.concatenate(halves), expected, strict=True):
        np.testing.assert_allclose(side_by_side, alone, atol=1e-4)


@pytest.mark.parametrize("xml", [b"<net/>", b"", b"\xff"])
def test_a_graph_that_openvino_cannot_read_is_a_bundle_error(xml: bytes) -> None:
    files = GraphFiles(Path("model.xml"), xml, b"")
    with pytest.raises(BundleError, match=r"cannot load model\.xml"):
        OpenVINOEngine(files, precision="int8")


def test_what_cannot_be_decoded_fails_by_itself() -> None:
    def damaged() -> Pixels:
        raise ValueError("damaged")

    engine = HeldEngine()
    with dispatcher(engine) as one:
        held = one.submit(picture(9))
        engine.running.acquire()
        futures = [one.submit(damaged), one.submit(picture(5))]
        engine.go.release(2)
        held.result(10)
        with pytest.raises(ValueError, match="damaged"):
            futures[0].result(10)
        assert int(futures[1].result(10).logits.argmax()) == 5
    assert engine.batch_sizes == [1, 1]
