"""What a model can be exported to."""

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


def check_precision(kind: str, precision: Precision) -> None:
    """Raises ``BadParameter`` for a precision that the format ``kind`` cannot hold."""
    possible = FORMATS[kind]
    if precision not in possible:
        raise BadParameter(
            f"{kind} is not written in {precision}.", hint=f"Possible: {', '.join(possible)}."
        )
