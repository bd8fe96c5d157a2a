"""torch as it comes: operation by operation, planes of colour one after another."""

from pathlib import Path
from typing import TYPE_CHECKING

from millisight.compare import with_torch
from millisight.compare.protocol import Infer, Place

if TYPE_CHECKING:
    from millisight.compare.source import Source


class Eager:
    """See ``Engine``."""

    title = "torch eager"
    precision = "float32"
    packages: tuple[str, ...] = ()

    def prepare(self, source: "Source", folder: Path) -> None:
        """See ``Engine``."""
        with_torch.save(source.network(), folder)

    def load(self, folder: Path, place: Place) -> Infer:
        """See ``Engine``."""
        return with_torch.runner(with_torch.load(folder), place.threads)


ENGINE = Eager()
