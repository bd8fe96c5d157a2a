"""Who is admitted, which run together, who has expired. Decides only; waits for nothing.

The laws of this file:

- An admitted item leaves exactly once, in the order it came: to run, or because it expired.
- A batch never holds more than ``max_batch`` items and the queue never more than ``max_queue``.
- Never more than ``lanes`` batches run at once.
- With ``max_wait`` 0 nothing waits while a lane is free: a batch is what is there, shared out
  evenly among the lanes that are free.
- A refused item changes nothing.

Time is an argument, in any one unit; there is no clock, thread or event loop here.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from millisight.errors import Overloaded

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
        self._waiting: deque[_Waiting[Item]] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def admit(self, item: Item, *, now: float, deadline: float) -> None:
        """Put ``item`` in the queue. Raises ``Overloaded`` when it is full."""
        if len(self._waiting) >= self.max_queue:
            raise Overloaded(
                f"The server is busy: {self.max_queue} pictures are waiting.",
                hint="Try again in a moment.",
            )
        self._waiting.append(_Waiting(item, now, deadline))

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

    def finished(self) -> None:
        """A batch has run, and its lane is free."""
        self._free += 1
