"""LitServe: one worker a core, each decoding and inferring on one thread.

python litserve_server.py PORT

The photograph comes in base64 in JSON, as in the examples of LitServe's makers and their
``ImageInput``. As the raw body it was measured too, and took longer.
"""

import base64
import sys
from typing import Any

import litserve as ls
import numpy as np
from network import CORES, Labels, Network, decode
from numpy.typing import NDArray


class Classify(ls.LitAPI):
    """A photograph in base64 to an answer."""

    def setup(self, device: str) -> None:  # noqa: ARG002
        """Load once a worker."""
        self._labels = Labels()
        self._network = Network(1)

    def decode_request(self, request: dict[str, str]) -> NDArray[np.uint8]:
        """The field that LitServe's examples use."""
        return decode(base64.b64decode(request["image_data"]))

    def predict(self, x: NDArray[np.uint8]) -> NDArray[np.float32]:
        """One picture."""
        return self._network.infer(x[None])[0]

    def encode_response(self, output: NDArray[np.float32]) -> dict[str, Any]:
        """The answer for JSON."""
        return self._labels.answer(output)


if __name__ == "__main__":
    server = ls.LitServer(
        Classify(api_path="/predict"), accelerator="cpu", workers_per_device=CORES
    )
    server.run(
        host="127.0.0.1",
        port=int(sys.argv[1]),
        num_api_servers=1,
        generate_client_file=False,
        log_level="warning",
    )
