"""OpenVINO, quantised as ``millisight build`` does: what a bundle holds."""

from pathlib import Path
from typing import TYPE_CHECKING

from millisight.compare import with_openvino
from millisight.compare.protocol import Infer, Place

if TYPE_CHECKING:
    from millisight.compare.source import Source


class OpenVinoInt8:
    """See ``Engine``."""

    title = "OpenVINO"
    precision = "int8"
    packages: tuple[str, ...] = ()

    def prepare(self, source: "Source", folder: Path) -> None:
        """See ``Engine``."""
        with_openvino.save(source.openvino_int8, folder, "int8")

    def load(self, folder: Path, place: Place) -> Infer:
        """See ``Engine``."""
        return with_openvino.runner(folder, place, "int8")


ENGINE = OpenVinoInt8()
