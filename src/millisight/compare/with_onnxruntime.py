"""What the engines of ONNX Runtime have in common."""

import logging
import tempfile
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

from millisight.compare.processor import has_vnni
from millisight.compare.protocol import Infer
from millisight.engine import Logits, Pixels

if TYPE_CHECKING:
    from millisight.compare.source import Source

FILE = "model.onnx"


_SAMPLES = 128
"""Pictures to calibrate with; its tool holds what it saw of all of them in memory."""


def quantize(source: "Source", target: Path) -> None:
    """Write the INT8 network: weights by channel, ranges by least and greatest value."""
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory(dir=source.scratch) as folder:
        ready = Path(folder) / "ready.onnx"
        logging.getLogger().setLevel(logging.ERROR)  # It advises on the root logger.
        quant_pre_process(source.onnx, ready)
        quantize_static(
            ready,
            target,
            _Reader(source.samples(_SAMPLES)),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            reduce_range=not has_vnni(),
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=_before_first_convolution(ready),
        )


def _before_first_convolution(file: Path) -> list[str]:
    """The normalisation, which is cheap and wants all its digits."""
    import onnx

    nodes = onnx.load(file, load_external_data=False).graph.node
    return [node.name for node in takewhile(lambda node: node.op_type != "Conv", nodes)]


class _Reader:
    """Gives pictures one by one, as ``CalibrationDataReader`` asks."""

    def __init__(self, samples: Sequence[Pixels]) -> None:
        self._left = iter(samples)

    def get_next(self) -> dict[str, Pixels] | None:
        """The next input, or nothing."""
        return next(({"pixels": pixels[None]} for pixels in self._left), None)


def annotate(file: Path, name: str, text: str) -> None:
    """Write ``text`` into the file's metadata."""
    import onnx

    model = onnx.load(file)
    model.metadata_props.add(key=name, value=text)
    onnx.save(model, file)


def runner(file: Path, threads: int) -> Infer:
    """What asks an ONNX file, on so many threads; 0 leaves it to the library."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Threads that wait by spinning take the cores from the engines whose turn it is.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])

    def infer(pixels: Pixels) -> Logits:
        logits: Logits = session.run(["logits"], {"pixels": pixels})[0]
        return logits

    return infer
