"""BentoML."""

from pathlib import Path
from typing import Annotated, Any

import bentoml
import numpy as np
from bentoml.validators import ContentType
from network import CORES, Labels, Network, decode


@bentoml.service(workers=CORES, threads=1, traffic={"timeout": 30}, logging={"access": {"enabled": False}})
class Classify:
    def __init__(self) -> None:
        self._labels = Labels()
        self._network = Network(1)

    @bentoml.api(route="/predict")
    def predict(self, image: Annotated[Path, ContentType("image/jpeg")], /) -> dict[str, Any]:
        return self._labels.answer(self._network.infer(decode(image.read_bytes())[None])[0])
