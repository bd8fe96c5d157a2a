"""What an engine of the comparison is. Adding one is one file in ``engines``, with an ``ENGINE``.

The libraries are imported in the methods only: a process that measures one engine is to hold
nothing of the others.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from millisight.engine import Logits, Pixels

if TYPE_CHECKING:
    from millisight.compare.source import Source

Infer = Callable[[Pixels], Logits]
"""Logits ``(n, classes)`` float32 for pixels ``(n, crop, crop, 3)`` uint8, RGB."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an engine runs."""

    threads: int
    """The process may use as many cores."""
    device: str
    """An OpenVINO device, for OpenVINO's engines."""


class Engine(Protocol):
    """One way to run a network."""

    @property
    def title(self) -> str:
        """What people call it."""
        ...

    @property
    def precision(self) -> str:
        """What most of the arithmetic is done in."""
        ...

    @property
    def packages(self) -> tuple[str, ...]:
        """What must be installed besides the building half."""
        ...

    def prepare(self, source: "Source", folder: Path) -> None:
        """Write into the empty ``folder`` what ``load`` needs and nothing else.

        Raises ``EngineUnavailable`` where this machine cannot run it.
        """
        ...

    def load(self, folder: Path, place: Place) -> Infer:
        """Make it ready, in a process of its own."""
        ...
