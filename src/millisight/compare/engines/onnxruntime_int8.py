"""ONNX Runtime, quantised by its own tool."""

from pathlib import Path
from typing import TYPE_CHECKING

from millisight.compare import with_onnxruntime
from millisight.compare.protocol import Infer, Place

if TYPE_CHECKING:
    from millisight.compare.source import Source


class OnnxInt8:
    """See ``Engine``."""

    title = "ONNX Runtime"
    precision = "int8"
    packages: tuple[str, ...] = ("onnx", "onnxscript", "onnxruntime")

    def prepare(self, source: "Source", folder: Path) -> None:
        """See ``Engine``."""
        with_onnxruntime.quantize(source, folder / with_onnxruntime.FILE)

    def load(self, folder: Path, place: Place) -> Infer:
        """See ``Engine``."""
        return with_onnxruntime.runner(folder / with_onnxruntime.FILE, place.threads)


ENGINE = OnnxInt8()
