"""torch with the colours of a pixel side by side, as its convolutions like them better."""

from pathlib import Path
from typing import TYPE_CHECKING

from millisight.compare import with_torch
from millisight.compare.protocol import Infer, Place

if TYPE_CHECKING:
    from millisight.compare.source import Source


class ChannelsLast:
    """See ``Engine``."""

    title = "torch eager, channels last"
    precision = "float32"
    packages: tuple[str, ...] = ()

    def prepare(self, source: "Source", folder: Path) -> None:
        """See ``Engine``."""
        with_torch.save(source.network(channels_last=True), folder)

    def load(self, folder: Path, place: Place) -> Infer:
        """See ``Engine``."""
        return with_torch.runner(with_torch.load(folder), place.threads)


ENGINE = ChannelsLast()
