"""ONNX Runtime, as exported."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from millisight.compare import with_onnxruntime
from millisight.compare.protocol import Infer, Place

if TYPE_CHECKING:
    from millisight.compare.source import Source


class OnnxFloat32:
    """See ``Engine``."""

    title = "ONNX Runtime"
    precision = "float32"
    packages: tuple[str, ...] = ("onnx", "onnxscript", "onnxruntime")

    def prepare(self, source: "Source", folder: Path) -> None:
        """See ``Engine``."""
        shutil.copy(source.onnx, folder / with_onnxruntime.FILE)

    def load(self, folder: Path, place: Place) -> Infer:
        """See ``Engine``."""
        return with_onnxruntime.runner(folder / with_onnxruntime.FILE, place.threads)


ENGINE = OnnxFloat32()
