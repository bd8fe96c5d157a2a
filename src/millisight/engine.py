"""Pixels to logits: the engines, and the one dispatcher that feeds an engine.

The dispatcher asks the scheduler what to run, runs it, and asks again; it never waits for company
unless the scheduler was given a window. While a batch runs, the next one gathers by itself.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from millisight.cpu import available_cores
from millisight.errors import BundleError, DeadlineExceeded, NotReady
from millisight.manifest import Precision
from millisight.runtime import import_openvino
from millisight.scheduler import Scheduler, Turn

Pixels = NDArray[np.uint8]
Logits = NDArray[np.float32]


class Engine(Protocol):
    """Runs the network. Called from one thread at a time."""

    def infer(self, batch: Pixels) -> Logits:
        """Logits ``(n, classes)`` for pixels ``(n, crop, crop, 3)``, RGB."""
        ...


class OpenVINOEngine:
    """A graph compiled for this machine's CPU, one stream over ``threads`` cores."""

    def __init__(
        self, graph: Path, *, precision: Precision, threads: int = 0, max_batch: int = 8
    ) -> None:
        """Compile ``graph`` (OpenVINO IR, one uint8 input ``(?, crop, crop, 3)``) and warm up.

        ``threads`` 0 takes every core this process may use. Raises ``BundleError`` when OpenVINO
        cannot read the graph.
        """
        ov = import_openvino()
        core = ov.Core()
        try:
            model = core.read_model(graph)
            _, *dimensions = model.input().get_partial_shape()
            picture = [dimension.get_length() for dimension in dimensions]
            model.reshape([ov.Dimension(1, max_batch), *picture])
            compiled = core.compile_model(model, "CPU", _config(precision, threads))
        except RuntimeError as error:
            raise BundleError(
                f"OpenVINO cannot load {graph}.", hint="Build the bundle again."
            ) from error
        self._request: Any = compiled.create_infer_request()
        # The first run at each batch size prepares kernels for it; no request should pay for that.
        for size in range(1, max_batch + 1):
            self.infer(np.zeros((size, *picture), np.uint8))

    def infer(self, batch: Pixels) -> Logits:
        """See ``Engine.infer``; ``batch`` has at most ``max_batch`` pictures."""
        outputs = self._request.infer([np.ascontiguousarray(batch)], share_inputs=True)
        return np.array(outputs[0], dtype=np.float32)


def _config(precision: Precision, threads: int) -> dict[str, str | int]:
    return {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": threads or available_cores(),
        # Said outright because OpenVINO's default depends on the CPU, and the logits with it.
        "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
    }


class FakeEngine:
    """An engine without a network, for tests of what surrounds one.

    The top-1 class of a picture is the value of its first byte modulo ``class_count``.
    """

    def __init__(self, class_count: int, *, seconds: float = 0.0) -> None:
        self.class_count = class_count
        self.seconds = seconds
        self.batch_sizes: list[int] = []
        """The size of every batch that was run, in order."""

    def infer(self, batch: Pixels) -> Logits:
        """See ``Engine.infer``; takes ``seconds`` of sleep."""
        self.batch_sizes.append(len(batch))
        time.sleep(self.seconds)
        logits = np.zeros((len(batch), self.class_count), np.float32)
        logits[np.arange(len(batch)), batch[:, 0, 0, 0].astype(int) % self.class_count] = 10.0
        return logits


@dataclass(frozen=True, slots=True)
class Inferred:
    """What the network said of one picture, and how long that took, in seconds."""

    logits: Logits
    """Shape ``(classes,)``."""
    queued: float
    inference: float
    """Time of the run this picture was part of."""


@dataclass(frozen=True, slots=True)
class _Job:
    pixels: Pixels
    future: "Future[Any]"
    finish: Callable[[Inferred], Any]
    submitted: float


def check_deadline(deadline: float, *, now: float) -> None:
    """Raise ``DeadlineExceeded`` once ``deadline`` has come."""
    if now >= deadline:
        raise _expired()


def _expired() -> DeadlineExceeded:
    return DeadlineExceeded("The deadline passed while the picture was waiting.")


def _complete(job: _Job, inferred: Inferred) -> None:
    try:
        outcome = job.finish(inferred)
    # What cannot be finished is this picture's failure, not its neighbours'.
    except Exception as error:  # noqa: BLE001
        job.future.set_exception(error)
    else:
        job.future.set_result(outcome)


def _unchanged(inferred: Inferred) -> Inferred:
    return inferred


class Dispatcher:
    """Runs one engine on what waits, one batch at a time. ``start`` it first, ``close`` it last.

    A thread of its own takes what gathers while a batch runs. A picture that comes to an idle
    engine need not wait for that thread to wake up: ``submit(…, here=True)`` runs it at once.
    """

    def __init__(self, engine: Engine, *, max_batch: int, max_queue: int, max_wait: float) -> None:
        self._engine = engine
        self._scheduler: Scheduler[_Job] = Scheduler(
            max_batch=max_batch, max_queue=max_queue, max_wait=max_wait
        )
        self._changed = threading.Condition()
        self._busy = False
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="dispatcher", daemon=True)

    def start(self) -> None:
        """Begin to take pictures."""
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the thread runs; false after ``close`` or a fault in the thread itself."""
        return self._thread.is_alive()

    def submit(
        self,
        pixels: Pixels,
        *,
        deadline: float = float("inf"),
        here: bool = False,
        future: "Future[Any] | None" = None,
        finish: Callable[[Inferred], Any] = _unchanged,
    ) -> "Future[Any]":
        """Queue one picture, ``(crop, crop, 3)``; ``deadline`` is in ``time.monotonic`` seconds.

        The future, a new one unless given, receives what ``finish`` makes of the ``Inferred``.
        ``here`` lets the calling thread run the next batch itself if the engine is idle: that
        saves the way to another thread, and returns when the batch is done.

        Raises ``Overloaded`` at once when the queue is full and ``NotReady`` when closed. The
        future fails with ``DeadlineExceeded`` if the deadline passes first. Cancel the future and
        no work is spent on it.
        """
        job = _Job(pixels, future or Future(), finish, time.monotonic())
        with self._changed:
            if self._closing or not self.alive:
                raise NotReady("The engine is not running.", hint="Try again in a moment.")
            self._scheduler.admit(job, now=job.submitted, deadline=deadline)
            turn: Turn[_Job] = self._take() if here else Turn()
            if not self._busy:
                self._changed.notify()
        self._serve(turn)
        return job.future

    def close(self) -> None:
        """Finish what is queued, then stop. Calling it again does nothing."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self.alive:
            self._thread.join()

    def _run(self) -> None:
        while (turn := self._wait()) is not None:
            self._serve(turn)

    def _wait(self) -> Turn[_Job] | None:
        """Wait for something to do; ``None`` when closed and empty."""
        with self._changed:
            turn = self._take()
            while not (turn.run or turn.expired):
                if self._closing and not len(self._scheduler):
                    return None
                now = time.monotonic()
                self._changed.wait(None if turn.wake_at is None else max(0.0, turn.wake_at - now))
                turn = self._take()
            return turn

    def _take(self) -> Turn[_Job]:
        """What to do now, with the lock held; a batch makes the engine busy."""
        if self._busy:
            return Turn()
        turn = self._scheduler.next_turn(time.monotonic())
        self._busy = bool(turn.run)
        return turn

    def _serve(self, turn: Turn[_Job]) -> None:
        for job in turn.expired:
            if job.future.set_running_or_notify_cancel():
                job.future.set_exception(_expired())
        if not turn.run:
            return
        try:
            wanted = [job for job in turn.run if job.future.set_running_or_notify_cancel()]
            answers = self._infer(wanted)
        finally:
            # The next batch may start while these answers are still being handed out.
            with self._changed:
                self._busy = False
                if len(self._scheduler) or self._closing:
                    self._changed.notify()
        for job, inferred in answers:
            _complete(job, inferred)

    def _infer(self, jobs: list[_Job]) -> list[tuple[_Job, Inferred]]:
        """What to answer to ``jobs``; nothing if the engine failed, and then the futures have."""
        if not jobs:
            return []
        started = time.monotonic()
        try:
            logits = self._engine.infer(np.stack([job.pixels for job in jobs]))
            rows = list(zip(jobs, logits, strict=True))
        # Whatever the engine raises belongs to these pictures; the dispatcher goes on.
        except Exception as error:  # noqa: BLE001
            for job in jobs:
                job.future.set_exception(error)
            return []
        # Ctrl-C, say, ends this thread; nobody is to wait for it in vain.
        except BaseException:
            for job in jobs:
                job.future.set_exception(NotReady("The engine was stopped."))
            raise
        taken = time.monotonic() - started
        return [(job, Inferred(row, started - job.submitted, taken)) for job, row in rows]
