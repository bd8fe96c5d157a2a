"""Who is admitted, which run together, who has expired. Decides only; waits for nothing.

The laws of this file:

- An admitted item leaves exactly once: to run, because it expired, or because it was dropped.
  Those of one kind run in the order they came.
- A batch is of one kind. Kinds that have something to run take turns.
- A batch never holds more than ``max_batch`` items, and of no kind do more than ``max_queue`` wait.
- Never more than ``lanes`` batches run at once, of whatever kinds.
- With ``max_wait`` 0 nothing waits while a lane is free: a batch is what is there of its kind,
  shared out evenly among the lanes that are free.
- A refused item changes nothing. None is refused while nothing waits and a lane is free.
- What is admitted can be expected to run before its deadline, by the time that items of each kind
  took so far. More time is left over where something, of whatever kind, has waited for long.

A kind is what may not be mixed: the pictures of one network. Time is an argument, in seconds; there
is no clock, thread or event loop here.
"""

from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from math import ceil
from typing import Generic, TypeVar

from millisight.errors import Overloaded

_SMOOTHING = 0.1
"""Weight of the newest batch in the running mean of what an item takes."""

_BURST, _STANDING = 0.85, 0.4
"""Share of the time left that may be planned for: while a queue fills, and once something has
waited at every moment for as long as the second of them. Where more keeps coming than can be done,
a long queue answers no more items than a short one, only later (Nichols and Jacobson 2012,
"Controlling Queue Delay"); and what is admitted and then late costs its work twice: it is thrown
away, and was not done for another. A machine that others use too is slower for seconds at a time.
"""

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


@dataclass(slots=True)
class _Queue(Generic[Item]):
    """What waits of one kind."""

    waiting: deque[_Waiting[Item]] = field(default_factory=deque)
    service: float = 0.0
    """The running mean of what an item takes."""


class Scheduler(Generic[Item]):
    """Bounded queues, one a kind, and greedy batches for ``lanes`` that run them side by side."""

    def __init__(
        self, *, max_batch: int, max_queue: int, max_wait: float = 0.0, lanes: int = 1
    ) -> None:
        self.max_batch = max_batch
        self.max_queue = max_queue
        self.max_wait = max_wait
        self.lanes = lanes
        self._free = lanes
        self._filling_since = 0.0
        # In the order of their turns: the kind that ran last stands last.
        self._queues: dict[Hashable, _Queue[Item]] = {}

    def __len__(self) -> int:
        return sum(len(queue.waiting) for queue in self._queues.values())

    def waiting(self, kind: Hashable) -> int:
        """How many items of ``kind`` wait; of one that is not known, none."""
        queue = self._queues.get(kind)
        return len(queue.waiting) if queue else 0

    def add(self, kind: Hashable) -> None:
        """Take items of ``kind`` from now on."""
        self._queues[kind] = _Queue()

    def remove(self, kind: Hashable) -> None:
        """Forget ``kind``, of which nothing waits or runs any more."""
        del self._queues[kind]

    def admit(self, item: Item, kind: Hashable, *, now: float, deadline: float) -> None:
        """Put ``item`` in the queue of its ``kind``.

        Raises ``Overloaded``, with the time after which to try again, when the queue is full or
        the deadline could not be kept.
        """
        queue = self._queues[kind]
        if len(queue.waiting) >= self.max_queue:
            _, work = self._ahead(kind, len(queue.waiting))
            raise Overloaded(
                f"The server is busy: {self.max_queue} pictures are waiting.",
                hint="Try again in a moment.",
                retry_after=work / self.lanes,
            )
        wait = self.expected_wait(kind)
        late = wait + queue.service - self._share(now, deadline) * (deadline - now)
        if late > 0 and now < deadline and wait:
            raise Overloaded(
                "The server is busy: more pictures wait than can surely be answered in time.",
                hint="Try again in a moment, or allow more time.",
                retry_after=late,
            )
        if not len(self):
            self._filling_since = now
        queue.waiting.append(_Waiting(item, now, deadline))

    def _share(self, now: float, deadline: float) -> float:
        """What part of the time up to ``deadline`` may be planned for."""
        stands = len(self) and now - self._filling_since > _STANDING * (deadline - now)
        return _STANDING if stands else _BURST

    def expected_wait(self, kind: Hashable) -> float:
        """How long an item of ``kind`` that comes now will wait at most, if all take what those
        of their kind took so far."""
        if self._free and not len(self):
            return 0.0
        count, work = self._ahead(kind, len(self._queues[kind].waiting) + 1)
        return work / count * ceil(count / self.lanes)

    def _ahead(self, kind: Hashable, own: int) -> tuple[int, float]:
        """How many items run until ``own`` of ``kind`` have, since kinds take turns, and how long
        one lane would take for them."""
        counts = [
            (own if other == kind else min(own, len(queue.waiting)), queue.service)
            for other, queue in self._queues.items()
        ]
        return sum(count for count, _ in counts), sum(count * service for count, service in counts)

    def drop(self, unwanted: Callable[[Item], bool]) -> list[Item]:
        """Take out what is ``unwanted``, which is asked once of every item that waits."""
        dropped: list[Item] = []
        for queue in self._queues.values():
            kept: deque[_Waiting[Item]] = deque()
            for entry in queue.waiting:
                if unwanted(entry.item):
                    dropped.append(entry.item)
                else:
                    kept.append(entry)
            queue.waiting = kept
        return dropped

    def next_turn(self, now: float) -> Turn[Item]:
        """What to do at time ``now``; what is handed out is gone from here.

        A turn with a batch holds a lane until ``finished`` is told.
        """
        expired = [item for queue in self._queues.values() for item in _expire(queue, now)]
        turn = self._next_batch(now)
        turn.expired.extend(expired)
        return turn

    def _next_batch(self, now: float) -> Turn[Item]:
        wake_at = None
        for kind, queue in self._queues.items() if self._free else ():
            if not queue.waiting:
                continue
            # The window starts when the oldest item arrived, not when it is looked at.
            full_at = queue.waiting[0].arrived + self.max_wait
            if len(queue.waiting) < self.max_batch and now < full_at:
                wake_at = full_at if wake_at is None else min(wake_at, full_at)
                continue
            count = min(self.max_batch, -(-len(queue.waiting) // self._free))
            self._free -= 1
            self._queues[kind] = self._queues.pop(kind)
            run = [queue.waiting.popleft().item for _ in range(count)]
            return Turn(run=run)
        return Turn(wake_at=wake_at)

    @property
    def alone(self) -> bool:
        """Whether just one batch runs and nothing waits: it may have the whole machine.

        Of the batches that run at one time, at most one ever reads true here.
        """
        return self._free == self.lanes - 1 and not len(self)

    def finished(self, kind: Hashable, count: int, took: float) -> None:
        """A batch of ``count`` items of ``kind`` has run in ``took``; its lane is free."""
        self._free += 1
        queue = self._queues[kind]
        newest = took / count
        # The first is all that is known.
        weight = _SMOOTHING if queue.service else 1.0
        queue.service += weight * (newest - queue.service)


def _expire(queue: _Queue[Item], now: float) -> list[Item]:
    """Take out of ``queue`` what has a deadline that has passed."""
    expired = [entry.item for entry in queue.waiting if entry.deadline <= now]
    if expired:
        queue.waiting = deque(entry for entry in queue.waiting if entry.deadline > now)
    return expired
