"""What is counted, for Prometheus: ``GET /metrics``."""

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request, Response
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
    multiprocess,
)
from starlette.types import Scope

from millisight import errors
from millisight.server.children import Children, ModelWatch
from millisight.server.departed import reading
from millisight.server.problems import GUARDED
from millisight.server.protocol import BEGAN
from millisight.server.served import Served
from millisight.watch import Watch

SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""Environment variable of prometheus_client: where several workers add up their numbers."""

COMPUTED = "computed"
SHARED = "shared"
REMEMBERED = "remembered"

SECONDS = (
    *(0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
)
"""Bounds for times: close where answers of this server are, at 1 to 15 ms, so that a quantile is
known to about a third of itself, and up to the deadline that it has by default."""

BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
"""Bounds for batches, up to the largest that ``max_batch`` allows."""

REASONS = [
    reason.code
    for reason in (
        errors.BadRequest,
        errors.BadParameter,
        errors.Unauthorized,
        errors.UnsupportedFormat,
        errors.BadImage,
        errors.ImageTooLarge,
        errors.UploadTooLarge,
        errors.ModelNotFound,
        errors.NotExplainable,
        errors.NotEmbeddable,
        errors.NoReport,
        errors.NotReady,
        errors.Overloaded,
        errors.DeadlineExceeded,
    )
]
"""Why requests are refused; each is shown from the start, since a rate needs two numbers."""

Total = tuple[str, Mapping[str, str], float]
"""What was counted: name, labels and how many."""

router = APIRouter()


class Metrics:
    """The numbers of one app; with several workers, of all of them together."""

    def __init__(self) -> None:
        """Nothing is counted yet."""
        # When each number was first there: several workers have none, and nothing here asks.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        self._process = ProcessCollector(registry=None)
        self._count_requests()
        self._count_pictures()
        self._measure_now()

    def _count_requests(self) -> None:
        self._requests = Children(
            Counter(
                "millisight_requests",
                "Requests answered, by route and HTTP status.",
                ["route", "status"],
                registry=self._registry,
            )
        )
        self._durations = Children(
            Histogram(
                "millisight_request_duration_seconds",
                "From a request's first byte to its answer; without those that were refused.",
                ["route"],
                buckets=SECONDS,
                registry=self._registry,
            )
        )
        self._rejections = Children(
            Counter(
                "millisight_rejections",
                "Requests refused, by the code of the answer.",
                ["reason"],
                registry=self._registry,
            )
        )
        for reason in REASONS:
            self._rejections[reason,].inc(0)

    def _count_pictures(self) -> None:
        self._answers = Children(
            Counter(
                "millisight_answers",
                "Pictures answered, by where the answer came from: computed for this request, "
                "shared with one under way, or remembered.",
                ["model", "source"],
                registry=self._registry,
            )
        )
        self._stages = Children(
            Histogram(
                "millisight_stage_duration_seconds",
                "Time of a picture in each stage, if its answer is computed.",
                ["model", "stage"],
                buckets=SECONDS,
                registry=self._registry,
            )
        )
        self._batches = Children(
            Histogram(
                "millisight_batch_pictures",
                "Pictures that the network took in one run.",
                ["model"],
                buckets=BATCHES,
                registry=self._registry,
            )
        )
        self._warnings = Children(
            Counter(
                "millisight_picture_warnings",
                "Pictures decoded with a warning, by its kind.",
                ["model", "kind"],
                registry=self._registry,
            )
        )

    def _measure_now(self) -> None:
        self._queue = Gauge(
            "millisight_queue_pictures",
            "Pictures that wait for their turn.",
            ["model"],
            registry=self._registry,
            multiprocess_mode="livesum",
        )
        self._memory = Gauge(
            "millisight_resident_memory_bytes",
            "Memory of the processes that answer.",
            registry=self._registry,
            multiprocess_mode="livesum",
        )
        self._info = Gauge(
            "millisight_model_info",
            "What is served: 1 for each model.",
            ["model", "digest", "precision"],
            registry=self._registry,
            multiprocess_mode="livemax",
        )
        self._served: set[tuple[str, str, str]] = set()

    def begin(self, models: Iterable[Served]) -> None:
        """Show the numbers of ``models``, of which nothing is counted yet, in place of those that
        were shown before."""
        shown: set[tuple[str, str, str]] = {
            (one.name, one.digest, one.bundle.manifest.precision) for one in models
        }
        for gone in self._served - shown:
            self._info.remove(*gone)
        for model in shown:
            self._info.labels(*model).set(1)
            for source in (COMPUTED, SHARED, REMEMBERED):
                self._answers[model[0], source].inc(0)
        self._served = shown

    def watch(self, model: str) -> Watch:
        """Who counts what happens to the pictures of the model of that name."""
        return ModelWatch(model, self._stages, self._batches, self._warnings)

    def answered(self, model: str, source: str) -> None:
        """One picture, by the model of that name."""
        self._answers[model, source].inc()

    def rejected(self, reason: str) -> None:
        """One request, for a ``reason`` that is the code of an error."""
        self._rejections[reason,].inc()

    def count(self, scope: Scope, status: int) -> None:
        """One answer with ``status`` to the request of ``scope``."""
        # Paths that do not exist share one name, or strangers could make up any number.
        route = getattr(scope.get("route"), "path", "none")
        self.count_at(route, status, time.monotonic() - scope["state"][BEGAN])

    def count_at(self, route: str, status: int, seconds: float) -> None:
        """One answer with ``status`` at ``route``, which is one of few, after ``seconds``."""
        self._requests[route, str(status)].inc()
        # Refusing is quick: under too much load, the server would seem to become faster.
        if status < 400:
            self._durations[route,].observe(seconds)

    def measure(self, waiting: Mapping[str, int]) -> None:
        """Take down how things are now in this process: the pictures ``waiting`` by model."""
        for model, count in waiting.items():
            self._queue.labels(model).set(count)
        for family in self._process.collect():
            if family.name == "process_resident_memory_bytes":
                self._memory.set(family.samples[0].value)

    def totals(self) -> Iterator[Total]:
        """All numbers of this process."""
        for family in self._registry.collect():
            for sample in family.samples:
                if sample.name.endswith("_total"):
                    yield family.name, sample.labels, sample.value

    def render(self) -> bytes:
        """All numbers in Prometheus' text format."""
        # What dead workers have counted stays in: a total that shrinks looks like a new server.
        if not (folder := os.environ.get(SHARED_FOLDER)):
            return generate_latest(self._registry)
        everyone = CollectorRegistry()
        multiprocess.MultiProcessCollector(everyone, folder)  # type: ignore[no-untyped-call]
        with reading(Path(folder)):
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
    """Numbers in Prometheus' text format, of all workers together."""
    service = request.app.state.service
    service.measure()
    counted: Metrics = service.observer.metrics
    return Response(counted.render(), media_type=CONTENT_TYPE_LATEST)
