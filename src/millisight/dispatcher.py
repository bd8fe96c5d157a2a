"""The dispatcher that feeds engines: from what waits to its answers.

It asks the scheduler what to run, makes the pixels, runs the network, and asks again; it waits for
company only if the scheduler was given a window. A picture is decoded by the thread that runs it:
none waits for another on the way, and no more are busy than cores, however many engines there are.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from millisight.awaited import Awaited, Steps, unchanged
from millisight.cpu import give_way
from millisight.engine import Engine, Inferred, Pixels
from millisight.errors import DeadlineExceeded, NotReady, Overloaded
from millisight.scheduler import Scheduler, Turn


@dataclass(frozen=True, slots=True)
class _Job:
    line: "Line"
    steps: Steps
    future: "Future[Any]"
    submitted: float


class Line:
    """One engine's pictures on their way through a dispatcher. Made by ``Dispatcher.open``."""

    def __init__(self, dispatcher: "Dispatcher", engine: Engine) -> None:
        self.engine = engine
        self.closed = False
        self.unanswered = 0
        """Pictures that were taken and whose answers are not out; needs the dispatcher's lock."""
        self._dispatcher = dispatcher

    @property
    def alive(self) -> bool:
        """Whether it takes pictures; false after ``close`` or a fault in a thread itself."""
        return not self.closed and self._dispatcher.alive

    @property
    def waiting(self) -> int:
        """How many of its pictures wait for their turn."""
        return self._dispatcher.waiting(self)

    def submit(
        self,
        decode: Callable[[], Pixels],
        *,
        deadline: float = float("inf"),
        here: bool = False,
        finish: Callable[[Inferred], Any] = unchanged,
    ) -> "Future[Any]":
        """Queue one picture; ``deadline`` is in ``time.monotonic`` seconds.

        ``decode`` gives its pixels, ``(crop, crop, 3)``, when its turn comes; the future receives
        what ``finish`` makes of the ``Inferred``, or what either of them raises. ``here`` lets the
        calling thread run the next batch itself if a lane is free: that saves the way to another
        thread, and returns when the batch is done.

        Raises ``Overloaded`` at once when the queue is full and ``NotReady`` when closed. The
        future fails with ``DeadlineExceeded`` if the deadline passes first. Cancel the future and
        no work is spent on it.
        """
        steps = Steps(decode, finish)
        future = Awaited(steps, self._dispatcher.note_cancelled)
        job = _Job(self, steps, future, time.monotonic())
        self._dispatcher.take(job, deadline=deadline, here=here)
        return job.future

    def close(self) -> None:
        """Finish what is queued, then stop. Calling it again does nothing."""
        self._dispatcher.end(self)


class Dispatcher:
    """Runs engines on what waits, with threads that live while any line is open.

    A thread for each lane takes what gathers while batches run. Who brings a picture to a free
    lane need not wait for such a thread to wake up: ``submit(…, here=True)`` runs it.
    """

    def __init__(self, lanes: int, *, max_batch: int, max_queue: int, max_wait: float) -> None:
        """Nothing is started yet. ``max_queue`` holds for each line."""
        self._lanes = lanes
        self._scheduler: Scheduler[_Job] = Scheduler(
            max_batch=max_batch, max_queue=max_queue, max_wait=max_wait, lanes=lanes
        )
        self._lock = threading.Lock()
        self._answered = threading.Condition(self._lock)
        self._staffing = threading.Lock()
        self._asleep: list[threading.Condition] = []
        self._lines: set[Line] = set()
        self._threads: list[threading.Thread] = []
        self._cancelled = False
        """Whether anything was since the queues, which may be long, were looked through for it."""

    def open(self, engine: Engine) -> Line:
        """A line for ``engine``, which must be able to run as many batches side by side as there
        are lanes."""
        line = Line(self, engine)
        with self._staffing, self._lock:
            self._lines.add(line)
            self._scheduler.add(line)
            while len(self._threads) < self._lanes:
                name = f"lane-{len(self._threads)}"
                thread = threading.Thread(target=self._run, name=name, daemon=True)
                thread.start()
                self._threads.append(thread)
        return line

    @property
    def alive(self) -> bool:
        """Whether all threads run; false once all lines are closed or a thread has died."""
        return len(self._threads) == self._lanes

    def waiting(self, line: Line) -> int:
        """See ``Line.waiting``."""
        with self._lock:
            return self._scheduler.waiting(line)

    def take(self, job: _Job, *, deadline: float, here: bool) -> None:
        """See ``Line.submit``."""
        line = job.line
        with self._lock:
            if not line.alive:
                raise NotReady("The engine is not running.", hint="Try again in a moment.")
            try:
                self._scheduler.admit(job, line, now=job.submitted, deadline=deadline)
            except Overloaded:
                # Nobody is refused for the sake of those who do not wait any more.
                if not (self._cancelled and self._drop_cancelled()):
                    raise
                self._scheduler.admit(job, line, now=job.submitted, deadline=deadline)
            line.unanswered += 1
            turn: Turn[_Job] = self._scheduler.next_turn(job.submitted) if here else Turn()
            if not turn.run:
                self._wake_one()
        self._serve(turn)

    def note_cancelled(self) -> None:
        """Something that waits is not wanted any more."""
        self._cancelled = True

    def _drop_cancelled(self) -> bool:
        """Whether there was anything to take out of the queues. Needs the lock."""
        self._cancelled = False
        dropped = self._scheduler.drop(lambda job: job.future.cancelled())
        for job in dropped:
            job.future.set_running_or_notify_cancel()
            job.line.unanswered -= 1
        self._answered.notify_all()
        return bool(dropped)

    def end(self, line: Line) -> None:
        """See ``Line.close``."""
        with self._lock:
            line.closed = True
            # Where every thread has died, nobody is left to answer.
            self._answered.wait_for(lambda: not (line.unanswered and self._threads))
        with self._staffing:
            with self._lock:
                if line in self._lines:
                    self._lines.remove(line)
                    if not line.unanswered:
                        self._scheduler.remove(line)
                ending = [] if self._lines else list(self._threads)
                while ending and self._asleep:
                    self._wake_one()
            for thread in ending:
                thread.join()

    def _run(self) -> None:
        changed = threading.Condition(self._lock)
        try:
            give_way()
            while (turn := self._wait(changed)) is not None:
                self._serve(turn)
                del turn  # Or its engine would live until the next one.
        finally:
            with self._lock:
                self._threads.remove(threading.current_thread())
                self._answered.notify_all()

    def _wait(self, changed: threading.Condition) -> Turn[_Job] | None:
        """Wait for something to do; ``None`` when all lines are closed."""
        with self._lock:
            while self._lines:
                turn = self._scheduler.next_turn(time.monotonic())
                if turn.run or turn.expired:
                    return turn
                now = time.monotonic()
                self._asleep.append(changed)
                changed.wait(None if turn.wake_at is None else max(0.0, turn.wake_at - now))
                if changed in self._asleep:
                    self._asleep.remove(changed)
        return None

    def _wake_one(self) -> None:
        """The one that fell asleep last, whose memory is still in a cache. Needs the lock."""
        if self._asleep:
            self._asleep.pop().notify()

    def _serve(self, turn: Turn[_Job]) -> None:
        if not (turn.run or turn.expired):
            return
        try:
            for job in turn.expired:
                if job.future.set_running_or_notify_cancel():
                    job.future.set_exception(
                        DeadlineExceeded("The deadline passed while the picture was waiting.")
                    )
            if turn.run:
                self._run_batch(turn.run)
        finally:
            with self._lock:
                for job in chain(turn.expired, turn.run):
                    job.line.unanswered -= 1
                self._answered.notify_all()

    def _run_batch(self, jobs: list[_Job]) -> None:
        started = time.monotonic()
        try:
            answers = self._answers(jobs, started)
        finally:
            # The next batch may start while these answers are still being handed out.
            with self._lock:
                took = time.monotonic() - started
                self._scheduler.finished(jobs[0].line, len(jobs), took)
                if len(self._scheduler):
                    self._wake_one()
        for job, inferred in answers:
            try:
                outcome = job.steps.finish(inferred)
            # What cannot be finished is this picture's failure, not its neighbours'.
            except Exception as error:  # noqa: BLE001
                job.future.set_exception(error)
            else:
                job.future.set_result(outcome)

    def _answers(self, jobs: list[_Job], started: float) -> list[tuple[_Job, Inferred]]:
        """What to answer to ``jobs``; not to those that failed, for then their futures have."""
        wanted = [job for job in jobs if job.future.set_running_or_notify_cancel()]
        try:
            decoded = [(job, pixels) for job in wanted if (pixels := _decode(job)) is not None]
            return self._infer(decoded, started) if decoded else []
        # Whatever the engine raises belongs to these pictures; the dispatcher goes on.
        except Exception as error:  # noqa: BLE001
            _fail(wanted, error)
            return []
        # Ctrl-C, say, ends this thread; nobody is to wait for it in vain.
        except BaseException:
            _fail(wanted, NotReady("The engine was stopped."))
            raise

    def _infer(
        self, decoded: list[tuple[_Job, Pixels]], started: float
    ) -> list[tuple[_Job, Inferred]]:
        with self._lock:
            alone = self._scheduler.alone
        begun = time.monotonic()
        engine = decoded[0][0].line.engine
        logits = engine.infer(np.stack([pixels for _, pixels in decoded]), alone=alone)
        taken = time.monotonic() - begun
        return [
            (job, Inferred(row, started - job.submitted, begun, taken))
            for (job, _), row in zip(decoded, logits, strict=True)
        ]


def _decode(job: _Job) -> Pixels | None:
    try:
        return job.steps.decode()
    # What cannot be decoded is this picture's failure, not its neighbours'.
    except Exception as error:  # noqa: BLE001
        job.future.set_exception(error)
        return None


def _fail(jobs: list[_Job], error: Exception) -> None:
    for job in jobs:
        if not job.future.done():
            job.future.set_exception(error)
