"""BentoML: one worker with a thread a core, each decoding and inferring on its own.

    bentoml serve bentoml_service:Classify --port PORT

A worker a core was tried and left out: the first to wake up takes all connections that come at
once, and the others stay idle. So was adaptive batching, whose waiting made every load slower.
"""

from pathlib import Path
from queue import SimpleQueue
from typing import Annotated, Any

import bentoml
from bentoml.validators import ContentType
from network import CORES, Labels, Network, decode


@bentoml.service(
    workers=1, threads=CORES, traffic={"timeout": 30}, logging={"access": {"enabled": False}}
)
class Classify:
    """Bytes to an answer."""

    def __init__(self) -> None:
        self._labels = Labels()
        self._networks: SimpleQueue[Network] = SimpleQueue()
        for _ in range(CORES):
            self._networks.put(Network(1))

    @bentoml.api(route="/predict")
    def predict(self, image: Annotated[Path, ContentType("image/jpeg")], /) -> dict[str, Any]:
        """The raw body, which BentoML hands over as a file."""
        pixels = decode(image.read_bytes())
        network = self._networks.get()
        try:
            return self._labels.answer(network.infer(pixels[None])[0])
        finally:
            self._networks.put(network)
