"""One picture on its way through the dispatcher, and where its time went."""

import time
from collections.abc import Callable
from typing import Generic, TypeVar

from millisight.answers import Timings
from millisight.dispatcher import Inferred
from millisight.engine import Logits, Pixels
from millisight.image import Decoded

Answer = TypeVar("Answer")


class Work(Generic[Answer]):
    """What the dispatcher calls when a picture's turn comes."""

    __slots__ = ("_answer", "_decode", "_decode_seconds", "_decoded", "_started")

    def __init__(
        self,
        decode: Callable[[], Decoded],
        answer: Callable[[Logits, Decoded, Timings], Answer],
    ) -> None:
        """``answer`` makes the answer from what the engine gave for this picture."""
        self._decode = decode
        self._answer = answer
        self._started = time.monotonic()

    def decode(self) -> Pixels:
        """The first stage: network input."""
        started = time.monotonic()
        self._decoded = self._decode()
        self._decode_seconds = time.monotonic() - started
        return self._decoded.pixels

    def finish(self, inferred: Inferred) -> Answer:
        """The last stage: the answer and its timings."""
        timings = Timings(
            decode=_milliseconds(self._decode_seconds),
            queue=_milliseconds(inferred.queued),
            inference=_milliseconds(inferred.inference),
            total=_milliseconds(time.monotonic() - self._started),
        )
        return self._answer(inferred.logits, self._decoded, timings)


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1e3, 3)
