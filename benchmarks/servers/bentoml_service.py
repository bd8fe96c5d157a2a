"""BentoML: one worker a core, each decoding and inferring on one thread.

    bentoml serve bentoml_service:Classify --port PORT

Adaptive batching was tried and left out: its waiting made this service slower at every load.
"""

from pathlib import Path
from typing import Annotated, Any

import bentoml
from bentoml.validators import ContentType
from network import CORES, Labels, Network, decode


@bentoml.service(
    workers=CORES, threads=1, traffic={"timeout": 30}, logging={"access": {"enabled": False}}
)
class Classify:
    """Bytes to an answer."""

    def __init__(self) -> None:
        self._labels = Labels()
        self._network = Network(1)

    @bentoml.api(route="/predict")
    def predict(self, image: Annotated[Path, ContentType("image/jpeg")], /) -> dict[str, Any]:
        """The raw body, which BentoML hands over as a file."""
        return self._labels.answer(self._network.infer(decode(image.read_bytes())[None])[0])
