"""Why this label: bytes to class activation maps, apart from the way of ordinary answers."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from millisight import predictions
from millisight.activation import with_maps
from millisight.answers import Prediction, Timings
from millisight.bundle import Bundle
from millisight.dispatcher import Dispatcher, Line
from millisight.engine import Logits, Pixels
from millisight.errors import BadParameter, NotExplainable
from millisight.geometry import Box
from millisight.image import Decoded
from millisight.ondemand import OnDemand
from millisight.runtime import Graph
from millisight.watch import Watch
from millisight.work import Work


@dataclass(frozen=True, slots=True)
class ClassMap:
    """What speaks for one class, and where."""

    prediction: Prediction
    cells: NDArray[np.float32]
    """Shape ``(height, width)``: what each part of the picture adds to the logit of the class.
    Their mean and the bias of the class are the logit."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """The maps for one picture."""

    maps: list[ClassMap]
    box: Box
    """The part of the upright picture that the network saw and the maps cover, as fractions of
    its sides: left, top, right, bottom."""
    pixels: Pixels
    """That part as the network saw it, ``(crop, crop, 3)``."""
    model: str
    timings_ms: Timings
    warnings: tuple[str, ...]


class Explainer(OnDemand):
    """Explains what one bundle answers. Thread-safe.

    It has one core and a graph of its own, which is compiled when first asked for: ordinary
    answers pay nothing for it, and wait for it no longer than for their neighbours.
    """

    def __init__(
        self, bundle: Bundle, dispatcher: Dispatcher, *, device: str, watch: Watch
    ) -> None:
        """Nothing is compiled yet; ``dispatcher`` has one lane, which explainers may share."""
        super().__init__(bundle, dispatcher, threads=1, max_batch=1, device=device, watch=watch)

    def submit(
        self,
        decode: Callable[[], Decoded],
        top_k: int,
        classes: Sequence[int],
        *,
        deadline: float = float("inf"),
    ) -> "Future[Explanation]":
        """Maps for ``classes`` by index or, without any, for the ``top_k`` best.

        Raises ``NotExplainable`` where the bundle has no maps, ``BadParameter``, and what
        ``Line.submit`` raises. The first call takes some tenths of a second, unless
        ``prepare`` was called before.
        """
        predictions.check_top_k(top_k)
        _check_classes(classes, self._bundle.manifest.class_count)
        work = Work(decode, partial(self._explanation, top_k, tuple(classes)), self._watch)
        return self.prepare().submit(work.decode, deadline=deadline, finish=work.finish)

    def prepare(self) -> Line:
        """See ``OnDemand.prepare``. Raises ``NotExplainable`` too."""
        if self._bundle.manifest.activation_map is None:
            raise NotExplainable(
                f"Model {self._bundle.manifest.name} has no class activation maps.",
                hint="Networks have them that end in average pooling and one linear layer.",
            )
        return super().prepare()

    def _changed(self, graph: Graph) -> Graph:
        return with_maps(graph)

    def _explanation(
        self,
        top_k: int,
        classes: tuple[int, ...],
        output: Logits,
        decoded: Decoded,
        timings: Timings,
    ) -> Explanation:
        """``output`` is one picture's of ``with_maps``: ``(classes, 1 + cells)``."""
        manifest = self._bundle.manifest
        logits = output[:, 0]
        chosen = predictions.of_classes(
            logits,
            self._bundle.labels,
            classes or predictions.top_indices(logits, top_k).tolist(),
            manifest.temperature,
        )
        return Explanation(
            maps=[
                ClassMap(one, output[one.index, 1:].reshape(manifest.activation_map))
                for one in chosen
            ],
            box=decoded.box,
            pixels=decoded.pixels,
            model=manifest.name,
            timings_ms=timings,
            warnings=decoded.warnings,
        )


def _check_classes(classes: Sequence[int], count: int) -> None:
    if len(classes) > predictions.MAX_TOP_K:
        raise BadParameter(f"At most {predictions.MAX_TOP_K} classes may be asked for at once.")
    for index in classes:
        if not 0 <= index < count:
            raise BadParameter(f"There is no class {index}: they are 0 to {count - 1}.")
