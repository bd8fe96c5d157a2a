"""What an OpenTelemetry collector is told, where somebody names one: a span for each request, made
by FastAPI, and below it one for each stage of its pictures. Nothing of the pictures themselves.

Without one nothing of OpenTelemetry's SDK is imported.
"""

import asyncio
import logging
import os
import re
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from fastapi.telemetry import TelemetryConfig
from opentelemetry import context, propagate, trace
from starlette.types import Scope

import millisight
from millisight.errors import ExtraMissing
from millisight.settings import Settings
from millisight.watch import Stage, Watch

logger = logging.getLogger(__name__)

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
"""Environment variables of OpenTelemetry that name a collector, the first to be asked first."""

_PATH = "/v1/traces"
"""Where OTLP over HTTP has traces, below the address of a collector."""

LAST_SECONDS = 1.0
"""How long a server that ends waits for a collector to take what is left."""

# What asks all the time, and what a browser fetches with the page.
_UNTRACED = re.compile(
    r"/metrics|/health/.*|/v2/health/.*|/ping|/static/.*|/static-offline-docs/.*"
)


Metadata = Iterable[tuple[str, str | bytes]]
"""What comes with a call over gRPC."""


class Untraced:
    """Nobody is told anything."""

    def __init__(self) -> None:
        # Left alone, it asks the environment at every request whether somebody wants it.
        self.telemetry: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False}
        """What FastAPI is to do."""

    def start(self) -> None:
        """Send from now on."""

    async def stop(self) -> None:
        """Send what is left."""

    def watch(self, model: str, watch: Watch) -> Watch:  # noqa: ARG002
        """``watch``, and who follows the pictures of ``model``."""
        return watch

    def note(self, name: str, value: str) -> None:
        """Something to remember of the request that is being answered."""

    def responded(self, scope: Scope) -> None:
        """The request of ``scope`` has its answer."""

    @contextmanager
    def call(self, service: str, method: str, metadata: Metadata) -> Iterator[None]:  # noqa: ARG002
        """While a call over gRPC is answered."""
        yield


class Tracing(Untraced):
    """A collector is told of every request, from a thread of its own."""

    def __init__(self, endpoint: str) -> None:
        """``endpoint`` is the collector's address, or empty for that of the environment.

        Nothing is sent before ``start``.
        """
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import TracerProvider

        super().__init__()
        own: dict[str, str | int] = {
            "service.name": "millisight",
            "service.version": millisight.__version__,
            "process.pid": os.getpid(),
        }
        # What the environment says of the service comes before what is said here.
        resource = Resource.create({**own, **OTELResourceDetector().detect().attributes})
        self._endpoint = endpoint
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._tracer = self._provider.get_tracer("millisight", millisight.__version__)
        self.telemetry |= {
            "tracing": True,
            "tracer_provider": self._provider,
            "operation_spans": False,
            "exclude": lambda scope: _UNTRACED.fullmatch(scope["path"]) is not None,
        }

    def start(self) -> None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        url = f"{self._endpoint.rstrip('/')}{_PATH}" if self._endpoint else None
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=url)))

    async def stop(self) -> None:
        # By itself it tries for ten seconds, and nobody could stop it.
        ending = threading.Thread(target=self._provider.shutdown, daemon=True)
        ending.start()
        await asyncio.to_thread(ending.join, LAST_SECONDS)

    def watch(self, model: str, watch: Watch) -> Watch:
        return _Follow(model, watch, self._tracer)

    def note(self, name: str, value: str) -> None:
        trace.get_current_span().set_attribute(name, value)

    def responded(self, scope: Scope) -> None:
        span = trace.get_current_span()
        span.set_attribute("millisight.request_id", scope["state"]["request_id"])
        # FastAPI does not see which way the requests take that go past its layers.
        if (path := getattr(scope.get("route"), "path", None)) is not None:
            span.set_attribute("http.route", path)
            span.update_name(f"{scope['method']} {path}")

    @contextmanager
    def call(self, service: str, method: str, metadata: Metadata) -> Iterator[None]:
        attributes = {"rpc.system": "grpc", "rpc.service": service, "rpc.method": method}
        with self._tracer.start_as_current_span(
            f"{service}/{method}",
            context=propagate.extract(dict(metadata)),
            kind=trace.SpanKind.SERVER,
            attributes=attributes,
            record_exception=False,
            set_status_on_exception=False,
        ):
            yield


class _Follow(Watch):
    """Follows the pictures of one model."""

    def __init__(self, model: str, watch: Watch, tracer: trace.Tracer) -> None:
        self._model = model
        self._watch = watch
        self._tracer = tracer

    def begin(self) -> Watch:
        watch = self._watch.begin()
        if not trace.get_current_span().is_recording():
            return watch
        return _Followed(self._model, watch, self._tracer)

    def ran(self, count: int) -> None:
        self._watch.ran(count)


class _Followed(Watch):
    """Makes a span of each stage of one picture, below that of the request that brings it now."""

    def __init__(self, model: str, watch: Watch, tracer: trace.Tracer) -> None:
        self._attributes = {"millisight.model": model}
        self._watch = watch
        self._tracer = tracer
        self._context = context.get_current()
        # Spans have the time of day.
        self._since = time.time_ns() - time.monotonic_ns()

    def went_through(self, stage: Stage, began: float, took: float) -> None:
        self._watch.went_through(stage, began, took)
        if stage == "total":
            return
        start = self._since + round(began * 1e9)
        self._tracer.start_span(
            stage, self._context, start_time=start, attributes=self._attributes
        ).end(start + round(took * 1e9))

    def warned(self, warnings: Sequence[str]) -> None:
        self._watch.warned(warnings)
        span = trace.get_current_span(self._context)
        span.set_attribute("millisight.picture_warnings", list(warnings))


def tracing_of(settings: Settings) -> Untraced:
    """What ``settings`` and the environment ask for; raises what ``collector`` does."""
    return Tracing(settings.otlp_endpoint) if collector(settings) else Untraced()


def collector(settings: Settings) -> str:
    """The address that traces are sent to, which ``settings`` name or else the environment, as for
    every OpenTelemetry program; empty if nothing is sent.

    Raises ``ExtraMissing`` where ``settings`` name one and the packages are not there.
    """
    named = settings.otlp_endpoint or next(filter(None, map(os.environ.get, ENDPOINTS)), "")
    if not named or os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return ""
    try:
        import opentelemetry.exporter.otlp.proto.http.trace_exporter
        import opentelemetry.sdk.trace  # noqa: F401
    except ImportError as error:
        missing = ExtraMissing(
            "Sending traces needs packages that are not installed.",
            hint="Install them with: pip install 'millisight[otel]'",
        )
        if settings.otlp_endpoint:
            raise missing from error
        # The environment may name it for others.
        logger.warning("No traces are sent to %s. %s %s", named, missing.message, missing.hint)
        return ""
    return named
