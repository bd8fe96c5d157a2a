"""What will be done for a picture that waits, and the future of its answer."""

from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass
from typing import Any

from millisight.engine import Inferred, Pixels


def unchanged(inferred: Inferred) -> Inferred:
    """What the network said is the answer."""
    return inferred


def _never() -> Pixels:
    raise CancelledError


@dataclass(slots=True)
class Steps:
    """The calls before and after the network. They hold the picture's bytes."""

    decode: Callable[[], Pixels]
    finish: Callable[[Inferred], Any]

    def forget(self) -> None:
        """Nothing will be done for the picture."""
        self.decode, self.finish = _never, unchanged


class Awaited(Future[Any]):
    """A future that lets go of the picture when it is cancelled: the picture's place in the queue
    may be far from its turn, and the budget of bytes counts it no more."""

    def __init__(self, steps: Steps, tell: Callable[[], None]) -> None:
        """``tell`` is called then, too."""
        super().__init__()
        self._steps = steps
        self._tell = tell

    def cancel(self) -> bool:
        """See ``Future.cancel``."""
        if cancelled := super().cancel():
            self._steps.forget()
            self._tell()
        return cancelled
