"""How many pixels may be decoded at one time, by all threads together."""

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass

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
