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
    """Runs the network, in up to ``lanes`` threads at a time."""

    @property
    def lanes(self) -> int:
        """How many batches may run side by side."""
        ...

    def infer(self, batch: Pixels, *, alone: bool = False) -> Logits:
        """Logits ``(n, classes)`` for pixels ``(n, crop, crop, 3)``, RGB.

        ``alone`` promises that ``batch`` is one picture and nothing else runs meanwhile.
        """
        ...


class OpenVINOEngine:
    """A graph compiled for this machine's CPU, twice.

    Side by side, each lane runs its batches on one core: no core waits for another, which gives the
    most pictures a second. A picture that is alone runs on all cores, which gives its answer first.
    """

    def __init__(
        self, graph: Path, *, precision: Precision, threads: int = 0, max_batch: int = 4
    ) -> None:
        """Compile ``graph`` (OpenVINO IR, one uint8 input ``(?, crop, crop, 3)``) and warm up.

        ``threads`` 0 takes every core this process may use. Raises ``BundleError`` when OpenVINO
        cannot read the graph.
        """
        self.lanes = threads or available_cores()
        ov = import_openvino()
        core = ov.Core()
        try:
            model = core.read_model(graph)
            picture = [side.get_length() for side in list(model.input().partial_shape)[1:]]
            model.reshape([ov.Dimension(1, max_batch), *picture])
            side_by_side = core.compile_model(
                model, "CPU", _config(precision, self.lanes, self.lanes)
            )
            model.reshape([1, *picture])
            whole = core.compile_model(model, "CPU", _config(precision, self.lanes, 1))
        except RuntimeError as error:
            raise BundleError(
                f"OpenVINO cannot load {graph}.", hint="Build the bundle again."
            ) from error
        self._whole: Any = whole.create_infer_request()
        self._requests: list[Any] = [side_by_side.create_infer_request() for _ in range(self.lanes)]
        self._warm_up([np.zeros((size, *picture), np.uint8) for size in range(1, max_batch + 1)])

    def _warm_up(self, batches: list[Pixels]) -> None:
        """The first run at each size prepares kernels for it; no request should pay for that."""
        self._whole.infer([batches[0]])
        for batch in batches:
            # All at once, so that every stream gets one.
            for request in self._requests:
                request.start_async([batch])
            for request in self._requests:
                request.wait()

    def infer(self, batch: Pixels, *, alone: bool = False) -> Logits:
        """See ``Engine.infer``; ``batch`` has at most ``max_batch`` pictures."""
        pixels = np.ascontiguousarray(batch)
        if alone:
            return np.array(self._whole.infer([pixels], share_inputs=True)[0], np.float32)
        request = self._requests.pop()
        try:
            request.start_async([pixels], share_inputs=True)
            request.wait()
            return np.array(request.get_output_tensor(0).data, np.float32)
        finally:
            self._requests.append(request)


def _config(precision: Precision, threads: int, streams: int) -> dict[str, str | int | bool]:
    return {
        "NUM_STREAMS": streams,
        "INFERENCE_NUM_THREADS": threads,
        # OpenVINO pins its threads to the first cores, those of every process to the same ones.
        "ENABLE_CPU_PINNING": False,
        # Said outright because OpenVINO's default depends on the CPU, and the logits with it.
        "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
    }


class FakeEngine:
    """An engine without a network, for tests of what surrounds one.

    The top-1 class of a picture is the value of its first byte modulo ``class_count``.
    """

    def __init__(self, class_count: int, *, seconds: float = 0.0, lanes: int = 1) -> None:
        self.class_count = class_count
        self.lanes = lanes
        self.seconds = seconds
        self.batch_sizes: list[int] = []
        """The size of every batch that was run, in order."""

    def infer(self, batch: Pixels, *, alone: bool = False) -> Logits:  # noqa: ARG002
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
    """Runs one engine on what waits. ``start`` it first, ``close`` it last.

    A thread for each lane of the engine takes what gathers while batches run. Who brings a picture
    to a free lane need not wait for such a thread to wake up: ``submit(…, here=True)`` runs it.
    """

    def __init__(self, engine: Engine, *, max_batch: int, max_queue: int, max_wait: float) -> None:
        self._engine = engine
        self._scheduler: Scheduler[_Job] = Scheduler(
            max_batch=max_batch, max_queue=max_queue, max_wait=max_wait, lanes=engine.lanes
        )
        self._changed = threading.Condition()
        self._closing = False
        self._threads = [
            threading.Thread(target=self._run, name=f"lane-{number}", daemon=True)
            for number in range(engine.lanes)
        ]

    def start(self) -> None:
        """Begin to take pictures."""
        for thread in self._threads:
            thread.start()

    @property
    def alive(self) -> bool:
        """Whether the threads run; false after ``close`` or a fault in a thread itself."""
        return all(thread.is_alive() for thread in self._threads)

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
        ``here`` lets the calling thread run the next batch itself if a lane is free: that saves the
        way to another thread, and returns when the batch is done.

        Raises ``Overloaded`` at once when the queue is full and ``NotReady`` when closed. The
        future fails with ``DeadlineExceeded`` if the deadline passes first. Cancel the future and
        no work is spent on it.
        """
        job = _Job(pixels, future or Future(), finish, time.monotonic())
        with self._changed:
            if self._closing or not self.alive:
                raise NotReady("The engine is not running.", hint="Try again in a moment.")
            self._scheduler.admit(job, now=job.submitted, deadline=deadline)
            turn: Turn[_Job] = self._scheduler.next_turn(job.submitted) if here else Turn()
            if not turn.run:
                self._changed.notify()
        self._serve(turn)
        return job.future

    def close(self) -> None:
        """Finish what is queued, then stop. Calling it again does nothing."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        for thread in self._threads:
            if thread.is_alive():
                thread.join()

    def _run(self) -> None:
        while (turn := self._wait()) is not None:
            self._serve(turn)

    def _wait(self) -> Turn[_Job] | None:
        """Wait for something to do; ``None`` when closed and empty."""
        with self._changed:
            while True:
                turn = self._scheduler.next_turn(time.monotonic())
                if turn.run or turn.expired:
                    return turn
                if self._closing and not len(self._scheduler):
                    return None
                now = time.monotonic()
                self._changed.wait(None if turn.wake_at is None else max(0.0, turn.wake_at - now))

    def _serve(self, turn: Turn[_Job]) -> None:
        for job in turn.expired:
            if job.future.set_running_or_notify_cancel():
                job.future.set_exception(_expired())
        if not turn.run:
            return
        try:
            wanted = [job for job in turn.run if job.future.set_running_or_notify_cancel()]
            answers = self._infer(wanted, alone=turn.alone)
        finally:
            # The next batch may start while these answers are still being handed out.
            with self._changed:
                self._scheduler.finished(turn)
                self._changed.notify_all()
        for job, inferred in answers:
            _complete(job, inferred)

    def _infer(self, jobs: list[_Job], *, alone: bool) -> list[tuple[_Job, Inferred]]:
        """What to answer to ``jobs``; nothing if the engine failed, and then the futures have."""
        if not jobs:
            return []
        started = time.monotonic()
        try:
            logits = self._engine.infer(np.stack([job.pixels for job in jobs]), alone=alone)
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
