"""TorchScript by tracing: the first thing one is advised to do."""

from pathlib import Path
from typing import TYPE_CHECKING

from millisight.compare import with_torch
from millisight.compare.protocol import Infer, Place

if TYPE_CHECKING:
    from millisight.compare.source import Source


class Traced:
    """See ``Engine``."""

    title = "torch.jit.trace"
    precision = "float32"
    packages: tuple[str, ...] = ()

    def prepare(self, source: "Source", folder: Path) -> None:
        """See ``Engine``."""
        with_torch.save_script(with_torch.trace(source), folder)

    def load(self, folder: Path, place: Place) -> Infer:
        """See ``Engine``."""
        return with_torch.runner(with_torch.load_script(folder), place.threads)


ENGINE = Traced()
