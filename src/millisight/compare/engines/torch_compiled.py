"""torch.compile: generated C++, made on the machine that runs it."""

from pathlib import Path
from typing import TYPE_CHECKING

from millisight.compare import with_torch
from millisight.compare.protocol import Infer, Place

if TYPE_CHECKING:
    from millisight.compare.source import Source


class Compiled:
    """See ``Engine``."""

    title = "torch.compile"
    precision = "float32"
    packages: tuple[str, ...] = ()

    def prepare(self, source: "Source", folder: Path) -> None:
        """See ``Engine``."""
        with_torch.save(source.network(), folder)

    def load(self, folder: Path, place: Place) -> Infer:
        """See ``Engine``."""
        import torch

        return with_torch.runner(torch.compile(with_torch.load(folder)), place.threads)


ENGINE = Compiled()
