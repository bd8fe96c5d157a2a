"""What the contestants with OpenVINO share: pixels, the INT8 network, the answer.

Written as a user of these frameworks would write it with Pillow and OpenVINO, so that what differs
between them is the framework. Settings arrive in the environment: ``BENCHMARK_BUNDLE`` (folder of
the bundle) and ``BENCHMARK_CORES`` (cores this machine gives).
"""

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
from labels import labels
from numpy.typing import NDArray
from PIL import Image

BUNDLE = Path(os.environ["BENCHMARK_BUNDLE"])
CORES = int(os.environ["BENCHMARK_CORES"])
TOP_K = 3

_RESIZE, _CROP = 256, 224


def decode(data: bytes) -> NDArray[np.uint8]:
    """Network input ``(224, 224, 3)`` from the bytes of a picture, as torchvision would cut it."""
    image = Image.open(io.BytesIO(data)).convert("RGB")
    scale = _RESIZE / min(image.size)
    width, height = (round(side * scale) for side in image.size)
    image = image.resize((width, height), Image.Resampling.BILINEAR)
    left, top = (width - _CROP) // 2, (height - _CROP) // 2
    return np.asarray(image.crop((left, top, left + _CROP, top + _CROP)))


class Network:
    """The bundle's graph, compiled for ``threads`` cores."""

    def __init__(self, threads: int, *, max_batch: int = 1) -> None:
        """Compile, and run each batch size once: no request should pay for the first time."""
        core = ov.Core()
        compiled = core.compile_model(
            core.read_model(BUNDLE / "model.xml"),
            "CPU",
            {
                "PERFORMANCE_HINT": "LATENCY",
                "NUM_STREAMS": 1,
                "INFERENCE_NUM_THREADS": threads,
                # Processes do not know of each other and would all pin to the first core.
                "ENABLE_CPU_PINNING": False,
                # What millisight uses: where the CPU has bf16, the default would differ from it.
                "INFERENCE_PRECISION_HINT": "f32",
            },
        )
        self._request: Any = compiled.create_infer_request()
        for size in range(1, max_batch + 1):
            self.infer(np.zeros((size, _CROP, _CROP, 3), np.uint8))

    def infer(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits ``(n, classes)`` for pixels ``(n, 224, 224, 3)``."""
        outputs = self._request.infer([batch], share_inputs=True)
        return np.array(outputs[0], dtype=np.float32)


class Labels:
    """Class names, and logits to an answer."""

    def __init__(self) -> None:
        self._names = labels()

    def answer(self, logits: NDArray[np.float32]) -> dict[str, Any]:
        """The best three classes of one picture, for JSON."""
        exponentials = np.exp(logits - logits.max())
        best = np.argpartition(logits, -TOP_K)[-TOP_K:]
        best = best[np.argsort(-logits[best])]
        confidences = exponentials[best] / exponentials.sum()
        return {
            "predictions": [
                {
                    "label": self._names[index],
                    "confidence": round(float(confidence), 6),
                    "index": int(index),
                }
                for index, confidence in zip(best, confidences, strict=True)
            ]
        }
