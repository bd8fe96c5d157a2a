"""What the engines of OpenVINO have in common."""

from pathlib import Path
from typing import Any

import numpy as np

from millisight.compare.protocol import Infer, Place
from millisight.engine import Logits, Pixels, device_config
from millisight.manifest import Precision
from millisight.runtime import Graph, import_openvino

_FILE = "model.xml"


def save(graph: Graph, folder: Path, precision: Precision) -> None:
    """Write a graph for ``runner``, as a bundle would hold it."""
    ov = import_openvino()
    ov.save_model(graph, folder / _FILE, compress_to_fp16=precision == "bf16")


def runner(folder: Path, place: Place, precision: Precision) -> Infer:
    """What asks the graph in ``folder``, compiled for each size of batch that comes."""
    core = import_openvino().Core()
    model = core.read_model(folder / _FILE)
    config = device_config(place.device, precision, place.threads)
    requests: dict[int, Any] = {}

    def infer(pixels: Pixels) -> Logits:
        size = len(pixels)
        if size not in requests:
            model.reshape(pixels.shape)
            compiled = core.compile_model(model, place.device, config)
            requests[size] = compiled.create_infer_request()
        return np.array(requests[size].infer([pixels], share_inputs=True)[0], np.float32)

    return infer
