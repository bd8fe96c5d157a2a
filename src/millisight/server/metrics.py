"""What is counted, for Prometheus: ``GET /metrics``."""

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from fastapi import APIRouter, Request, Response
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    generate_latest,
    multiprocess,
)
from starlette.types import Scope

from millisight.server.problems import GUARDED

SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""Environment variable of prometheus_client: where several workers add up their numbers."""

COMPUTED = "computed"
SHARED = "shared"
REMEMBERED = "remembered"

Total = tuple[str, Mapping[str, str], float]
"""What was counted: name, labels and how many."""

router = APIRouter()


class Metrics:
    """The counters of one app; with several workers, of all of them together."""

    def __init__(self) -> None:
        """Nothing is counted yet."""
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "millisight_requests",
            "Requests answered, by route and HTTP status.",
            ["route", "status"],
            registry=self._registry,
        )
        self._answers = Counter(
            "millisight_answers",
            "Pictures answered, by model and by where the answer came from: computed for this "
            "request, shared with one under way, or remembered.",
            ["model", "source"],
            registry=self._registry,
        )
        # Finding a counter by its labels takes longer than counting.
        self._sources: dict[tuple[str, str], Counter] = {}

    def begin(self, models: Iterable[str]) -> None:
        """Show the numbers of ``models`` by name, of which nothing is counted yet."""
        for model in models:
            for source in (COMPUTED, SHARED, REMEMBERED):
                self._sources[model, source] = self._answers.labels(model, source)

    def answered(self, model: str, source: str) -> None:
        """One picture, by the model of that name."""
        self._sources[model, source].inc()

    def count(self, scope: Scope, status: int) -> None:
        """One answer with ``status`` to the request of ``scope``."""
        # Paths that do not exist share one name, or strangers could make up any number.
        self.count_at(getattr(scope.get("route"), "path", "none"), status)

    def count_at(self, route: str, status: int) -> None:
        """One answer with ``status`` at ``route``, which is one of few."""
        self._requests.labels(route, status).inc()

    def totals(self) -> Iterator[Total]:
        """All numbers of this process."""
        for family in self._registry.collect():
            for sample in family.samples:
                if sample.name.endswith("_total"):
                    yield family.name, sample.labels, sample.value

    def render(self) -> bytes:
        """All numbers in Prometheus' text format."""
        # What dead workers have counted stays in: a total that shrinks looks like a new server.
        if not os.environ.get(SHARED_FOLDER):
            return generate_latest(self._registry)
        everyone = CollectorRegistry()
        multiprocess.MultiProcessCollector(everyone)  # type: ignore[no-untyped-call]
        return generate_latest(everyone)


_TEXT: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/plain": {"schema": {"type": "string"}}}}
}


@router.get(
    "/metrics",
    summary="Numbers for Prometheus",
    response_class=Response,
    responses=_TEXT | GUARDED,
)
def metrics(request: Request) -> Response:
    """Counters in Prometheus' text format, of all workers together."""
    counted: Metrics = request.app.state.service.metrics
    return Response(counted.render(), media_type=CONTENT_TYPE_LATEST)
