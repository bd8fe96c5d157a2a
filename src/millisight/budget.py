"""How many pixels may be decoded at one time, and how many bytes be held, by all together."""

import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError
from dataclasses import dataclass

from millisight.errors import Overloaded

MOST_OVERTAKEN = 16
"""Small pictures go past a large one that waits; but no more than so many, or it would wait for as
long as they come, and its thread with it."""


@dataclass(eq=False)
class _Waiting:
    pixels: int
    overtaken: int = 0


class PixelBudget:
    """A number of pixels that threads share. One picture may always be decoded, of any size.

    The cap on a single picture bounds one decoder; this bounds the memory of all of them.
    """

    def __init__(self, pixels: int) -> None:
        self._total = pixels
        self._free = pixels
        self._changed = threading.Condition()
        self._line: list[_Waiting] = []

    @property
    def waiting(self) -> int:
        """How many wait for pixels."""
        return len(self._line)

    @contextlib.contextmanager
    def hold(self, pixels: int) -> Iterator[None]:
        """Wait until ``pixels`` are free, and have them for as long as the block takes."""
        own = _Waiting(min(pixels, self._total))
        with self._changed:
            self._line.append(own)
            try:
                self._changed.wait_for(lambda: self._may(own))
                for other in self._ahead(own):
                    other.overtaken += 1
                self._free -= own.pixels
            finally:
                self._line.remove(own)
                # Who was behind may be next.
                self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._free += own.pixels
                self._changed.notify_all()

    def _may(self, own: _Waiting) -> bool:
        patient = all(one.overtaken < MOST_OVERTAKEN for one in self._ahead(own))
        return patient and self._free >= own.pixels

    def _ahead(self, own: _Waiting) -> list[_Waiting]:
        return self._line[: self._line.index(own)]


class ByteBudget:
    """A number of bytes that the bodies of requests share. One alone may always come, of any size.

    The cap on a single body bounds one request; this bounds all of them. Nobody waits, or those
    that hold a part of it might wait for each other for ever.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._held = 0
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def share(self) -> Iterator["Share"]:
        """What one request takes of it, as long as the block takes."""
        share = Share(self)
        try:
            yield share
        finally:
            with self._lock:
                self._held -= share.size
                share.ended = True

    @contextlib.contextmanager
    def set_aside(self, size: int) -> Iterator[None]:
        """Have ``size`` bytes of it kept for what cannot be counted here, as long as the block
        takes."""
        self._size -= size
        try:
            yield
        finally:
            self._size += size

    def check(self, size: int, own: int) -> None:
        """Raise ``Overloaded`` if ``size`` bytes more do not fit, asked by who has ``own``."""
        if self._held > own and self._held + size > self._size:
            raise Overloaded(
                "The server holds as many bytes of other requests as it may.",
                hint="Try again in a moment.",
            )

    def take(self, size: int, share: "Share") -> None:
        """Take them for ``share``. Raises as ``check`` does, and ``CancelledError``."""
        with self._lock:
            # A thread does not know that its request has ended, and nobody would give them back.
            if share.ended:
                raise CancelledError
            self.check(size, share.size)
            self._held += size
            share.size += size


class Share:
    """The part of a ``ByteBudget`` that one request has."""

    def __init__(self, budget: ByteBudget) -> None:
        self._budget = budget
        self.size = 0
        """Bytes."""
        self.ended = False
        """Whether all of it has been given back."""

    def check(self, size: int) -> None:
        """Raise ``Overloaded`` if ``size`` bytes more would not fit now."""
        self._budget.check(size, self.size)

    def take(self, size: int) -> None:
        """Have ``size`` bytes more. Raises ``Overloaded``, and ``concurrent.futures``'s
        ``CancelledError`` once its request has ended; then it has what it had."""
        self._budget.take(size, self)
