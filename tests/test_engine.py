"""The dispatcher with engines that a test can hold and break."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager

import numpy as np
import pytest

from millisight.bundle import read_bundle, starter_path
from millisight.engine import Dispatcher, Engine, FakeEngine, Logits, OpenVINOEngine, Pixels
from millisight.errors import BundleError, DeadlineExceeded, NotReady, Overloaded


def picture(value: int) -> Pixels:
    return np.full((4, 4, 3), value, np.uint8)


class HeldEngine(FakeEngine):
    """Waits inside each run until it is let go."""

    def __init__(self) -> None:
        super().__init__(256)
        self.running = threading.Semaphore(0)
        self.go = threading.Semaphore(0)

    def infer(self, batch: Pixels) -> Logits:
        self.running.release()
        self.go.acquire()
        return super().infer(batch)


class BrokenEngine(FakeEngine):
    """Fails on pictures of zeros."""

    def infer(self, batch: Pixels) -> Logits:
        if not batch.any():
            raise RuntimeError("no light")
        return super().infer(batch)


@contextmanager
def dispatcher(engine: Engine, max_queue: int = 100, max_batch: int = 8) -> Iterator[Dispatcher]:
    one = Dispatcher(engine, max_batch=max_batch, max_queue=max_queue, max_wait=0.0)
    one.start()
    yield one
    one.close()
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


def test_a_lone_picture_is_run_alone_and_at_once() -> None:
    engine = FakeEngine(7)
    with dispatcher(engine) as one:
        answer = one.submit(picture(5)).result(10)
    assert int(answer.logits.argmax()) == 5
    assert engine.batch_sizes == [1]
    assert answer.inference >= 0
    assert answer.queued >= 0


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


def test_an_engines_exception_reaches_its_own_batch_only() -> None:
    with dispatcher(BrokenEngine(9)) as one:
        with pytest.raises(RuntimeError, match="no light"):
            one.submit(picture(0)).result(10)
        assert int(one.submit(picture(3)).result(10).logits.argmax()) == 3
        assert one.alive


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


def test_a_window_gathers_company() -> None:
    engine = FakeEngine(256)
    one = Dispatcher(engine, max_batch=3, max_queue=9, max_wait=60.0)
    one.start()
    futures = [one.submit(picture(value)) for value in range(3)]
    assert [int(future.result(10).logits.argmax()) for future in futures] == [0, 1, 2]
    assert engine.batch_sizes == [3]
    one.close()


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


def test_a_graph_that_openvino_cannot_read_is_a_bundle_error(tmp_path) -> None:
    (tmp_path / "model.xml").write_text("<net/>")
    with pytest.raises(BundleError, match="cannot load"):
        OpenVINOEngine(tmp_path / "model.xml", precision="int8")
