"""Who is admitted, which run together, who has expired. Decides only; waits for nothing.

The laws of this file:

- An admitted item leaves exactly once, in the order it came: to run, or because it expired.
- A batch never holds more than ``max_batch`` items and the queue never more than ``max_queue``.
- Never more than ``lanes`` batches run at once.
- With ``max_wait`` 0 nothing waits while a lane is free: a batch is what is there, shared out
  evenly among the lanes that are free.
- A refused item changes nothing. None is refused while nothing waits and a lane is free.
- What is admitted can be expected to run before its deadline, by the time that items took so far.

Time is an argument, in seconds; there is no clock, thread or event loop here.
"""

from collections import deque
from dataclasses import dataclass, field
from math import ceil
from typing import Generic, TypeVar

from millisight.errors import Overloaded

_SMOOTHING = 0.1
"""Weight of the newest batch in the running mean of what an item takes."""

_SAFE = 0.85
"""Share of the time left that may be planned for. What items take varies, and one that is admitted
and then late costs its work twice: it is thrown away, and was not done for another."""

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Turn(Generic[Item]):
    """What is to be done now."""

    run: list[Item] = field(default_factory=list)
    """The next batch; empty when there is nothing to run yet."""
    expired: list[Item] = field(default_factory=list)
    """Items whose deadline has passed; no work is to be spent on them."""
    wake_at: float | None = None
    """When to ask again if nothing new comes; ``None`` for not before something comes."""


@dataclass(frozen=True, slots=True)
class _Waiting(Generic[Item]):
    item: Item
    arrived: float
    deadline: float


class Scheduler(Generic[Item]):
    """A bounded queue that hands out greedy batches to ``lanes`` that run them side by side."""

    def __init__(
        self, *, max_batch: int, max_queue: int, max_wait: float = 0.0, lanes: int = 1
    ) -> None:
        self.max_batch = max_batch
        self.max_queue = max_queue
        self.max_wait = max_wait
        self.lanes = lanes
        self._free = lanes
        self._service = 0.0
        self._waiting: deque[_Waiting[Item]] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def admit(self, item: Item, *, now: float, deadline: float) -> None:
        """Put ``item`` in the queue.

        Raises ``Overloaded``, with the time after which to try again, when the queue is full or
        the deadline could not be kept.
        """
        if len(self._waiting) >= self.max_queue:
            raise Overloaded(
                f"The server is busy: {self.max_queue} pictures are waiting.",
                hint="Try again in a moment.",
                retry_after=self._service * len(self._waiting) / self.lanes,
            )
        wait = self.expected_wait
        late = wait + self._service - _SAFE * (deadline - now)
        if late > 0 and now < deadline and wait:
            raise Overloaded(
                f"The server is busy: the answer could come {late:.1f} s too late.",
                hint="Try again in a moment, or allow more time.",
                retry_after=late,
            )
        self._waiting.append(_Waiting(item, now, deadline))

    @property
    def expected_wait(self) -> float:
        """How long an item that comes now will wait at most, if all take what they took so far."""
        if self._free and not self._waiting:
            return 0.0
        return self._service * ceil((len(self._waiting) + 1) / self.lanes)

    def next_turn(self, now: float) -> Turn[Item]:
        """What to do at time ``now``; what is handed out is gone from here.

        A turn with a batch holds a lane until ``finished`` is told.
        """
        expired = [entry.item for entry in self._waiting if entry.deadline <= now]
        if expired:
            self._waiting = deque(entry for entry in self._waiting if entry.deadline > now)
        if not (self._waiting and self._free):
            return Turn(expired=expired)
        # The window starts when the oldest item arrived, not when it is looked at.
        full_at = self._waiting[0].arrived + self.max_wait
        if len(self._waiting) < self.max_batch and now < full_at:
            return Turn(expired=expired, wake_at=full_at)
        count = min(self.max_batch, -(-len(self._waiting) // self._free))
        self._free -= 1
        return Turn(run=[self._waiting.popleft().item for _ in range(count)], expired=expired)

    @property
    def alone(self) -> bool:
        """Whether just one batch runs and nothing waits: it may have the whole machine.

        Of the batches that run at one time, at most one ever reads true here.
        """
        return self._free == self.lanes - 1 and not self._waiting

    def finished(self, count: int, took: float) -> None:
        """A batch of ``count`` items has run and its lane is free; it ``took`` that long."""
        self._free += 1
        newest = took / count
        # The first is all that is known.
        weight = _SMOOTHING if self._service else 1.0
        self._service += weight * (newest - self._service)
