"""How many pixels may be decoded at one time, by all threads together."""

import contextlib
import threading
from collections.abc import Iterator


class PixelBudget:
    """A number of pixels that threads share. One picture may always be decoded, of any size.

    The cap on a single picture bounds one decoder; this bounds the memory of all of them.
    """

    def __init__(self, pixels: int) -> None:
        self._total = pixels
        self._free = pixels
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def hold(self, pixels: int) -> Iterator[None]:
        """Wait until ``pixels`` are free, and have them for as long as the block takes."""
        wanted = min(pixels, self._total)
        with self._changed:
            self._changed.wait_for(lambda: self._free >= wanted)
            self._free -= wanted
        try:
            yield
        finally:
            with self._changed:
                self._free += wanted
                self._changed.notify_all()
