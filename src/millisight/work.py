"""One picture on its way through the dispatcher, and where its time went."""

import time
from collections.abc import Callable
from typing import Generic, TypeVar

from millisight.answers import Timings
from millisight.engine import Inferred, Logits, Pixels
from millisight.image import Decoded
from millisight.watch import Watch

Answer = TypeVar("Answer")


class Work(Generic[Answer]):
    """What the dispatcher calls when a picture's turn comes."""

    __slots__ = ("_answer", "_decode", "_decode_seconds", "_decoded", "_started", "_watch")

    def __init__(
        self,
        decode: Callable[[], Decoded],
        answer: Callable[[Logits, Decoded, Timings], Answer],
        watch: Watch,
    ) -> None:
        """``answer`` makes the answer from what the engine gave for this picture; ``watch`` is
        told how that went."""
        self._decode = decode
        self._answer = answer
        self._watch = watch.begin()
        self._started = time.monotonic()

    def decode(self) -> Pixels:
        """The first stage: network input."""
        started = time.monotonic()
        try:
            self._decoded = self._decode()
        finally:
            self._decode_seconds = time.monotonic() - started
            self._watch.went_through("decode", started, self._decode_seconds)
        if self._decoded.warnings:
            self._watch.warned(self._decoded.warnings)
        return self._decoded.pixels

    def finish(self, inferred: Inferred) -> Answer:
        """The last stage: the answer and its timings."""
        total = time.monotonic() - self._started
        self._watch.went_through("queue", self._started, inferred.queued)
        self._watch.went_through("inference", inferred.begun, inferred.inference)
        self._watch.went_through("total", self._started, total)
        timings = Timings(
            decode=_milliseconds(self._decode_seconds),
            queue=_milliseconds(inferred.queued),
            inference=_milliseconds(inferred.inference),
            total=_milliseconds(total),
        )
        return self._answer(inferred.logits, self._decoded, timings)


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1e3, 3)
