"""Who looks on while pictures are worked on: whoever counts them, or follows one of them."""

from collections.abc import Sequence
from typing import Literal, get_args

Stage = Literal["decode", "queue", "inference", "total"]
"""What a picture goes through; the last is all of it, from being handed in to its answer."""

STAGES: tuple[Stage, ...] = get_args(Stage)


class Watch:
    """Is told what happens, in whichever thread it does; this one makes nothing of it."""

    def begin(self) -> "Watch":
        """What is told of one picture, which is handed in now, in this very context."""
        return self

    def went_through(self, stage: Stage, began: float, took: float) -> None:
        """``began`` is in ``time.monotonic`` seconds, and ``took`` in seconds. Of a picture that
        could not be decoded, that is the only stage."""

    def warned(self, warnings: Sequence[str]) -> None:
        """What was done to a picture, see ``Decoded.warnings``."""

    def ran(self, count: int) -> None:
        """The network has run, on as many pictures together."""


NOBODY = Watch()
