"""What a model can be exported to."""

from pathlib import Path

from millisight.errors import BadParameter
from millisight.manifest import Precision

FORMATS: dict[str, tuple[Precision, ...]] = {
    "torchscript": ("float32",),
    "onnx": ("float32", "int8"),
    "openvino": ("float32", "bf16", "int8"),
}
"""Each format, and the arithmetic it can hold."""

SUFFIXES = {"torchscript": ".pt", "onnx": ".onnx", "openvino": ".xml"}
"""How its files are named."""


def check_file(kind: str, file: Path) -> None:
    """Raises ``BadParameter`` where ``file`` is not named as those of the format ``kind``."""
    if file.suffix != SUFFIXES[kind]:
        raise BadParameter(
            f"{file} is no name for {kind}.", hint=f"Name a file that ends in {SUFFIXES[kind]}."
        )


def check_precision(kind: str, precision: Precision) -> None:
    """Raises ``BadParameter`` for a precision that the format ``kind`` cannot hold."""
    possible = FORMATS[kind]
    if precision not in possible:
        raise BadParameter(
            f"{kind} is not written in {precision}.", hint=f"Possible: {', '.join(possible)}."
        )
