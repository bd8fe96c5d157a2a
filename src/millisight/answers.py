"""What a picture is answered with, in this process or over HTTP. Needs no other library."""

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Measured with tracemalloc: an answer without its predictions but with its place in a cache, and
# one prediction without its label.
_RESULT_BYTES = 800
_PREDICTION_BYTES = 120


@dataclass(frozen=True, slots=True)
class Prediction:
    """One class and how sure the network is of it."""

    label: str
    confidence: float
    """Softmax over all classes, 0…1, at the temperature of the bundle."""
    index: int
    """Position of the class in the bundle's label list."""


@dataclass(frozen=True, slots=True)
class Timings:
    """Where the time of one answer went, in milliseconds."""

    decode: float
    queue: float
    inference: float
    total: float


@dataclass(frozen=True, slots=True)
class Result:
    """The answer for one picture."""

    predictions: list[Prediction]
    """Best first."""
    model: str
    timings_ms: Timings
    warnings: tuple[str, ...]
    """What was done to the picture, such as ``exif_rotated`` or ``alpha_on_white``."""
    uncertain: bool | None = None
    """Whether the best confidence is below the bundle's threshold; ``None`` where it has none."""

    @property
    def inference_time_ms(self) -> float:
        """Time of the network alone."""
        return self.timings_ms.inference

    def size_bytes(self) -> int:
        """Memory that this result takes, its strings counted as if they were its own."""
        texts = [self.model, *self.warnings, *(one.label for one in self.predictions)]
        return (
            _RESULT_BYTES
            + sum(map(sys.getsizeof, texts))
            + _PREDICTION_BYTES * len(self.predictions)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedResult(Result):
    """The answer of a server for one picture; ``timings_ms`` are the server's own."""

    cached: bool
    """Whether the server had answered the same question before."""
    request_id: str
    """Under which the server's log has the request."""


@dataclass(frozen=True, slots=True)
class Embedding:
    """One picture as a place among all pictures: similar ones are near."""

    vector: "NDArray[np.float32]"
    """Shape ``(dimensions,)``: the input of the network's last layer, or that scaled to length 1
    where this was asked for."""
    model: str
    timings_ms: Timings
    warnings: tuple[str, ...]

    @property
    def dimensions(self) -> int:
        """How many numbers there are."""
        return len(self.vector)


@dataclass(frozen=True, slots=True)
class ServedModel:
    """One of the models of a server."""

    name: str
    """What ``model=`` asks for."""
    digest: str
    """Of the bundle's manifest: another one is another model."""
    description: str
