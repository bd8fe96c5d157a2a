"""OpenVINO in bf16."""

from pathlib import Path
from typing import TYPE_CHECKING

from millisight.compare import with_openvino
from millisight.compare.processor import has_bf16
from millisight.compare.protocol import Infer, Place
from millisight.errors import EngineUnavailable

if TYPE_CHECKING:
    from millisight.compare.source import Source


class OpenVinoBf16:
    """See ``Engine``."""

    title = "OpenVINO"
    precision = "bf16"
    packages: tuple[str, ...] = ()

    def prepare(self, source: "Source", folder: Path) -> None:
        """See ``Engine``."""
        if not has_bf16():
            raise EngineUnavailable(
                "this CPU has no bf16 instructions, and OpenVINO would take float32"
            )
        with_openvino.save(source.openvino, folder, "bf16")

    def load(self, folder: Path, place: Place) -> Infer:
        """See ``Engine``."""
        return with_openvino.runner(folder, place, "bf16")


ENGINE = OpenVinoBf16()
