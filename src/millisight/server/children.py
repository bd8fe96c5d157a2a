"""The parts of metrics, by their labels, and who counts a model's pictures in them."""

import re
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from prometheus_client import Counter, Histogram

from millisight.watch import STAGES, Stage, Watch

_COUNT = re.compile(r"_(over_)?\d+_")

Metric = TypeVar("Metric", Counter, Histogram)


class Children(dict[tuple[str, ...], Metric], Generic[Metric]):
    """The parts of a metric by their labels: the metric itself takes longer to find one than that
    one takes to count."""

    def __init__(self, metric: Metric) -> None:
        super().__init__()
        self._metric: Any = metric

    def __missing__(self, labels: tuple[str, ...]) -> Metric:
        child: Metric = self._metric.labels(*labels)
        self[labels] = child
        return child


class ModelWatch(Watch):
    """Counts what happens to one model's pictures."""

    def __init__(
        self,
        model: str,
        stages: Children[Histogram],
        batches: Children[Histogram],
        warnings: Children[Counter],
    ) -> None:
        self._model = model
        self._stages = {stage: stages[model, stage] for stage in STAGES}
        self._batches = batches[model,]
        self._warnings = warnings

    def went_through(self, stage: Stage, began: float, took: float) -> None:  # noqa: ARG002
        self._stages[stage].observe(took)

    def warned(self, warnings: Sequence[str]) -> None:
        for warning in warnings:
            # One kind for all numbers of frames, or strangers could make up as many.
            self._warnings[self._model, _COUNT.sub("_n_", warning)].inc()

    def ran(self, count: int) -> None:
        self._batches.observe(count)
