"""What a model can be exported to."""

from millisight.manifest import Precision

FORMATS: dict[str, tuple[Precision, ...]] = {
    "torchscript": ("float32",),
    "onnx": ("float32", "int8"),
    "openvino": ("float32", "bf16", "int8"),
}
"""Each format, and the arithmetic it can hold."""

SUFFIXES = {"torchscript": ".pt", "onnx": ".onnx", "openvino": ".xml"}
"""How its files are named."""
