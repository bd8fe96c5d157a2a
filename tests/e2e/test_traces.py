"""Traces: what a collector is told of a real server's requests."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from tritonclient.grpc import InferenceServerClient, InferInput
from tritonclient.utils import InferenceServerException

import millisight
from millisight.cli import exit_codes
from millisight.errors import SettingsError
from millisight.settings import load_settings
from tests.dialects.conftest import free_port
from tests.e2e.conftest import Server, running
from tests.e2e.test_workers import workers
from tests.support import encode, solid, texture

pytest.importorskip("opentelemetry.sdk", reason="needs the extra otel")
pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="needs the extra otel")

from tests.e2e.collector import Collector, Span, collecting

SERVER, INTERNAL = 2, 1
PARENT = "00f067aa0ba902b7"


def trace_id(number: int) -> str:
    return f"4bf92f3577b34da6a3ce929d{number:08x}"


def context(number: int, *, sampled: bool = True) -> dict[str, str]:
    return {"traceparent": f"00-{trace_id(number)}-{PARENT}-{'01' if sampled else '00'}"}


def picture(seed: int) -> bytes:
    return encode(texture(300, 200, seed), "JPEG")


@pytest.fixture(scope="module")
def grpc_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def traced(
    tmp_path_factory: pytest.TempPathFactory, grpc_port: int
) -> Iterator[tuple[Server, Collector]]:
    """Two workers, told by the environment as every OpenTelemetry program is."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch, collecting() as collector:
        for name, value in {
            "BSP_SCHEDULE_DELAY": "500",
            "EXPORTER_OTLP_ENDPOINT": collector.url,
            "EXPORTER_OTLP_COMPRESSION": "gzip",
            "SERVICE_NAME": "sorting",
            "RESOURCE_ATTRIBUTES": "deployment.environment.name=hall-2",
        }.items():
            patch.setenv(f"OTEL_{name}", value)
        with running(home, "--workers", "2", "--grpc-port", str(grpc_port)) as server:
            yield server, collector


def test_a_request_is_a_span_and_its_stages_are_spans_below_it(
    traced: tuple[Server, Collector],
) -> None:
    server, collector = traced
    before = time.time_ns()
    answer = httpx.post(
        f"{server.url}/predict?top_k=2",
        content=picture(1),
        headers={**context(1), "X-Request-Id": "mine-1"},
    )
    after = time.time_ns()
    request, *stages = collector.of(trace_id(1), 4)
    assert (request.name, request.kind, request.parent) == ("POST /predict", SERVER, PARENT)
    expected = {
        "http.request.method": "POST",
        "http.route": "/predict",
        "http.response.status_code": 200,
        "url.path": "/predict",
        "url.query": "top_k=2",
        "url.scheme": "http",
        "server.address": "127.0.0.1",
        "millisight.request_id": "mine-1",
        "millisight.answer": "computed",
    }
    assert expected.items() <= request.attributes.items()
    # It ends when all of the answer is out, which the client may have read by then.
    assert before <= request.start <= after
    assert request.start <= request.end
    assert [stage.name for stage in stages] == ["queue", "decode", "inference"]
    timings = answer.json()["timings_ms"]
    for stage in stages:
        assert (stage.kind, stage.parent) == (INTERNAL, request.own)
        assert stage.attributes == {"millisight.model": "starter"}
        assert stage.milliseconds == pytest.approx(timings[stage.name], abs=0.002)
        # Two clocks are read one after the other.
        assert request.start - 10**6 <= stage.start <= stage.end <= request.end + 10**6
    assert request.resource["service.name"] == "sorting"
    assert request.resource["deployment.environment.name"] == "hall-2"
    assert request.resource["service.version"] == millisight.__version__
    assert request.resource["process.pid"] in workers(server)
    assert collector.paths == {"/v1/traces"}


def test_no_span_has_anything_of_the_picture(traced: tuple[Server, Collector]) -> None:
    server, collector = traced
    files = {"file": ("secret-name.png", encode(solid((9, 9), "LA"), "PNG"))}
    httpx.post(f"{server.url}/predict", files=files, headers=context(2)).raise_for_status()
    spans = collector.of(trace_id(2), 4)
    assert spans[0].attributes["millisight.picture_warnings"] == ["alpha_on_white"]
    assert "secret-name" not in str(spans)
    names = {name for span in spans for name in span.attributes}
    assert names <= {
        "http.request.method", "http.route", "http.response.status_code", "url.path", "url.scheme",
        "server.address", "server.port", "network.protocol.version", "millisight.request_id",
        "millisight.answer", "millisight.model", "millisight.picture_warnings",
    }  # fmt: skip


def test_what_is_remembered_goes_through_no_stage(traced: tuple[Server, Collector]) -> None:
    server, collector = traced
    # Both on one connection, so that one worker answers them.
    with httpx.Client(base_url=server.url) as client:
        for number in (3, 4):
            client.post("/predict", content=picture(3), headers=context(number))
    collector.of(trace_id(3), 4)
    [request] = collector.of(trace_id(4), 1)
    assert request.attributes["millisight.answer"] == "remembered"


@pytest.mark.parametrize(
    ("number", "path", "body", "status", "code", "count"),
    [
        (5, "/predict", b"no picture", 415, "unsupported_format", 2),
        (6, "/predict", b"", 400, "bad_request", 1),
        (7, "/model?model=none", None, 404, "model_not_found", 1),
    ],
)
def test_a_refusal_says_why(
    traced: tuple[Server, Collector],
    number: int, path: str, body: bytes | None, status: int, code: str, count: int,
) -> None:  # fmt: skip
    server, collector = traced
    method = "GET" if body is None else "POST"
    httpx.request(method, server.url + path, content=body, headers=context(number))
    # What cannot be decoded has waited, but only the decoding is known of it.
    request = collector.of(trace_id(number), count)[0]
    assert request.name == f"{method} {path.partition('?')[0]}"
    assert request.attributes["http.response.status_code"] == status
    assert request.attributes["millisight.error"] == code
    # The client's mistake is not the server's error.
    assert request.status == 0


def test_other_servers_clients_are_followed_too(traced: tuple[Server, Collector]) -> None:
    server, collector = traced
    headers = context(8) | {"Inference-Header-Content-Length": "0"}
    httpx.post(f"{server.url}/v2/models/starter/infer", content=picture(8), headers=headers)
    request, *stages = collector.of(trace_id(8), 4)
    assert request.name == "POST /v2/models/{model}/infer"
    assert {stage.parent for stage in stages} == {request.own}


def test_calls_over_grpc_are_followed_and_their_refusals(
    traced: tuple[Server, Collector], grpc_port: int
) -> None:
    _, collector = traced
    tensor = InferInput("image", [1], "BYTES")
    tensor.set_data_from_numpy(np.array([picture(13)], object))
    with InferenceServerClient(f"127.0.0.1:{grpc_port}") as client:
        assert client.is_server_live(headers=context(15))
        client.infer("starter", [tensor], headers=context(13))
        with pytest.raises(InferenceServerException):
            client.get_model_metadata("none", headers=context(14))
    call, *stages = collector.of(trace_id(13), 4)
    service = "inference.GRPCInferenceService"
    assert (call.name, call.kind, call.parent) == (f"{service}/ModelInfer", SERVER, PARENT)
    assert re.fullmatch("[0-9a-f]{32}", call.attributes.pop("millisight.request_id"))
    assert call.attributes == {
        "rpc.system": "grpc",
        "rpc.service": service,
        "rpc.method": "ModelInfer",
        "millisight.answer": "computed",
    }
    assert {stage.parent for stage in stages} == {call.own}
    [refused] = collector.of(trace_id(14), 1)
    assert refused.attributes["millisight.error"] == "model_not_found"
    assert collector.of(trace_id(15)) == []


def test_who_is_not_sampled_and_who_asks_for_health_leaves_no_trace(
    traced: tuple[Server, Collector],
) -> None:
    server, collector = traced
    httpx.post(f"{server.url}/predict", content=picture(9), headers=context(9, sampled=False))
    for path in ("/metrics", "/health/live", "/health/ready", "/static/page.js"):
        httpx.get(server.url + path, headers=context(10)).raise_for_status()
    httpx.get(f"{server.url}/models", headers=context(11))
    collector.of(trace_id(11), 1)
    assert {span.trace for span in collector.spans}.isdisjoint({trace_id(9), trace_id(10)})


def test_without_a_parent_a_trace_begins_here(traced: tuple[Server, Collector]) -> None:
    server, collector = traced
    headers = {"traceparent": "nonsense", "X-Request-Id": "mine-12"}
    httpx.post(f"{server.url}/predict", content=picture(12), headers=headers).raise_for_status()

    def mine() -> list[Span]:
        return [
            one
            for one in collector.spans
            if one.attributes.get("millisight.request_id") == "mine-12"
        ]

    for _ in range(1000):
        if mine():
            break
        time.sleep(0.01)
    [request] = mine()
    assert request.parent == ""
    collector.of(request.trace, 4)


def test_every_worker_sends_and_what_is_left_is_sent_at_the_end(
    traced: tuple[Server, Collector],
) -> None:
    server, collector = traced
    numbers = range(20, 50)
    for number in numbers:
        # Each on a connection of its own: all of them at one worker happens once in 10^8.
        httpx.post(f"{server.url}/predict", content=picture(20), headers=context(number))
    assert server.stop() == 0
    for number in numbers:
        assert collector.of(trace_id(number))[0].name == "POST /predict"
    assert len({span.resource["process.pid"] for span in collector.spans}) == 2


def test_a_collector_that_is_not_there_costs_no_answer_and_no_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    # Nothing listens at port 9.
    with running(tmp_path, "--otlp-endpoint", "http://127.0.0.1:9") as server:
        assert "  traces   to http://127.0.0.1:9" in server.printed
        for number in range(5):
            httpx.post(f"{server.url}/predict", content=picture(number)).raise_for_status()
        time.sleep(0.2)
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < 5


def test_who_has_not_the_extra_is_told_how_to_get_it_if_they_asked_for_it(tmp_path: Path) -> None:
    (tmp_path / "opentelemetry" / "sdk").mkdir(parents=True)
    (tmp_path / "opentelemetry" / "sdk" / "__init__.py").write_text("raise ImportError")
    first = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    own = os.environ | {"PYTHONPATH": first, "MILLISIGHT_HOME": str(tmp_path)}

    def serve(*arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
        line = [sys.executable, "-m", "millisight", "serve", *arguments]
        return subprocess.run(line, env=own | environ, capture_output=True, text=True, check=False)

    done = serve("--otlp-endpoint", "http://127.0.0.1:9")
    assert done.returncode == exit_codes.NOT_INSTALLED
    assert "Sending traces needs packages that are not installed." in done.stderr
    assert "pip install 'millisight[otel]'" in done.stderr
    # The environment may ask it of everybody; then it is another error that ends this one.
    done = serve("--model", "none", OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9")
    assert "No traces are sent to http://127.0.0.1:9." in done.stderr
    assert done.returncode == exit_codes.MODEL_NOT_FOUND


def test_an_address_must_be_one() -> None:
    with pytest.raises(SettingsError, match="otlp_endpoint cannot be 'collector:4318'"):
        load_settings({"otlp_endpoint": "collector:4318"}, {})
