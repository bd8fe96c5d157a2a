"""An OpenTelemetry collector that keeps what it is sent: OTLP over HTTP, in protobuf."""

import contextlib
import gzip
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from tests.e2e.test_workers import until


@dataclass
class Span:
    """A span as it came, with what it says of its process."""

    name: str
    trace: str
    own: str
    parent: str
    kind: int
    start: int
    end: int
    status: int
    attributes: dict[str, Any]
    resource: dict[str, Any]

    @property
    def milliseconds(self) -> float:
        return (self.end - self.start) / 1e6


@dataclass
class Collector:
    url: str
    spans: list[Span] = field(default_factory=list)
    paths: set[str] = field(default_factory=set)

    def of(self, trace: str, count: int = 0) -> list[Span]:
        """The spans of one trace, the request's first, once there are ``count``; without that,
        those that are there."""
        until(lambda: len(self._of(trace)) >= count, f"{count} spans of {trace}")
        found = self._of(trace)
        assert len(found) == (count or len(found))
        return found

    def _of(self, trace: str) -> list[Span]:
        return sorted(
            (span for span in self.spans if span.trace == trace),
            key=lambda span: (span.kind != 2, span.start),
        )


def plain(attributes: Any) -> dict[str, Any]:
    def value(any_value: Any) -> Any:
        kind = any_value.WhichOneof("value")
        given = getattr(any_value, kind)
        return [value(one) for one in given.values] if kind == "array_value" else given

    return {one.key: value(one.value) for one in attributes}


@contextlib.contextmanager
def collecting() -> Iterator[Collector]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            collector.paths.add(self.path)
            take(ExportTraceServiceRequest.FromString(body))
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    def take(request: ExportTraceServiceRequest) -> None:
        for process in request.resource_spans:
            resource = plain(process.resource.attributes)
            for scope in process.scope_spans:
                for span in scope.spans:
                    collector.spans.append(
                        Span(
                            span.name,
                            span.trace_id.hex(),
                            span.span_id.hex(),
                            span.parent_span_id.hex(),
                            span.kind,
                            span.start_time_unix_nano,
                            span.end_time_unix_nano,
                            span.status.code,
                            plain(span.attributes),
                            resource,
                        )
                    )

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    collector = Collector(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
