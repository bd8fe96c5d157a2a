"""OpenVINO without quantisation."""

from pathlib import Path
from typing import TYPE_CHECKING

from millisight.compare import with_openvino
from millisight.compare.protocol import Infer, Place

if TYPE_CHECKING:
    from millisight.compare.source import Source


class OpenVinoFloat32:
    """See ``Engine``."""

    title = "OpenVINO"
    precision = "float32"
    packages: tuple[str, ...] = ()

    def prepare(self, source: "Source", folder: Path) -> None:
        """See ``Engine``."""
        with_openvino.save(source.openvino, folder, "float32")

    def load(self, folder: Path, place: Place) -> Infer:
        """See ``Engine``."""
        return with_openvino.runner(folder, place, "float32")


ENGINE = OpenVinoFloat32()
