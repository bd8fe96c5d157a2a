"""What a real server logs: in one format from the first line to the last, forged by nobody."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import pytest
from PIL import Image

from tests.command import run
from tests.dialects import http2
from tests.dialects.conftest import free_port
from tests.e2e.test_workers import until
from tests.support import encode, texture

# A fault that no picture brings about, so that there is one to look at.
FAULTY = """
from millisight.server import about
def broken(*_, **__): raise RuntimeError("broken\\n2026-01-01T00:00:00.000Z INFO forged: \\x1b[31m")
about.summary = broken
from millisight.cli import main
main()
"""
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
SHOWN = "0123456789abcdef"
SERVICE = "inference.GRPCInferenceService"
FORGED = '/a\n{"level":"forged"}\x1b[31m\u2028 x'


def turned() -> bytes:
    """A picture that was taken with the camera on its side."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return encode(texture(400, 300), "JPEG", exif=exif)


JPEG = turned()


@dataclass
class Logging:
    """A server, and the lines it has logged by the time it is stopped."""

    process: "subprocess.Popen[str]"
    url: str = ""
    lines: list[str] = field(default_factory=list)
    printed: str = ""

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.printed, rest = self.process.communicate(timeout=30)
        self.lines += rest.splitlines()

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.url)
        return str(parts.hostname), int(parts.port or 0)


@contextmanager
def logging(home: Path, *arguments: str) -> Iterator[Logging]:
    """A server that logs for programs, or as ``arguments`` say, once it answers."""
    port = free_port()
    line = [sys.executable, "-u", "-c", FAULTY, "serve", "--port", str(port), *arguments]
    # The machine may be busy with other tests.
    line += ["--deadline-ms", "60000"]
    process = subprocess.Popen(
        line,
        env=os.environ | {"MILLISIGHT_HOME": str(home)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    server = Logging(process, f"http://127.0.0.1:{port}")
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        if "json" in arguments:
            for one in process.stderr:
                server.lines.append(one.rstrip("\n"))
                if "Ready after" in one:
                    break
        else:
            next(one for one in process.stdout if one.startswith("Ready"))
        yield server
    finally:
        if process.poll() is None:
            server.stop()
        process.stdout.close()
        process.stderr.close()


def send(server: Logging, data: bytes, *, wait: bool = True) -> bytes:
    """What the server answers to ``data``; without ``wait``, the client leaves at once."""
    with socket.create_connection(server.address, timeout=30) as client:
        client.sendall(data)
        return client.recv(65536) if wait else b""


def use(server: Logging) -> None:
    """All kinds of requests, each with a name."""
    with httpx.Client(base_url=server.url, timeout=30) as client:
        for name in ("good", "again"):
            sent = {"file": ("a\nb.jpg", JPEG)}
            answer = client.post(
                "/predict?top_k=1&token=hunter2", files=sent, headers={"X-Request-ID": name}
            )
            assert answer.status_code == 200
        for method, path, body, name, status in (
            ("POST", "/predict", b"no picture", "refused", 415),
            ("GET", "/models", b"", "failing", 500),
            ("POST", "/v1/models/starter:predict", b"{}", "dialect", 400),
        ):
            answer = client.request(method, path, content=body, headers={"X-Request-ID": name})
            assert answer.status_code == status, answer.text
        assert client.get("/health/ready", headers={"X-Request-ID": "probe"}).is_success
    forged = f'GET {quote(FORGED)} HTTP/1.1\r\nHost: here\r\nX-Request-ID: a" {{"b":1}}\r\n\r\n'
    assert send(server, forged.encode()).startswith(b"HTTP/1.1 404 ")
    send(server, b"NONSENSE\r\n\r\n")
    head = b"POST /predict HTTP/1.1\r\nHost: here\r\nX-Request-ID: left\r\n"
    send(server, head + b"Content-Length: 100\r\n\r\nbegun", wait=False)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def spoken(home: Path) -> Logging:
    """A server that has logged for programs and has been stopped."""
    grpc = free_port()
    with logging(home, "--log-format", "json", "--grpc-port", str(grpc)) as server:
        use(server)
        ask_over_grpc(grpc)
        show_no_text(grpc)
        server.stop()
    return server


def ask_over_grpc(port: int) -> None:
    """The server's name, asked for under a name."""
    import grpc

    from millisight.server.dialects import messages_pb2 as messages

    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        ask = channel.unary_unary(
            f"/{SERVICE}/ServerMetadata",
            request_serializer=messages.Empty.SerializeToString,
            response_deserializer=messages.ServerMetadataResponse.FromString,
        )
        answer, call = ask.with_call(
            messages.Empty(), metadata=(("x-request-id", "asked"),), timeout=30
        )
    assert answer.name == "millisight"
    assert dict(call.trailing_metadata())["x-request-id"] == "asked"


def show_no_text(port: int) -> None:
    """Ask over gRPC with a key that is not UTF-8."""
    shown = {"authorization": f"Bearer {SHOWN}\xff"}
    with http2.opened(f"127.0.0.1:{port}", f"/{SERVICE}/ServerMetadata", shown) as connection:
        answer = b""
        while b"grpc-status" not in answer:
            part = connection.recv(4096)
            assert part, answer
            answer += part


@pytest.fixture(scope="module")
def records(spoken: Logging) -> list[dict[str, Any]]:
    return [json.loads(line) for line in spoken.lines]


def of(records: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """The line of the request with that id."""
    [one] = [
        one
        for one in records
        if one.get("request_id") == name and one["logger"] == "millisight.access"
    ]
    return one


def test_each_line_is_an_object_from_the_greeting_to_the_end(
    spoken: Logging, records: list[dict[str, Any]]
) -> None:
    assert spoken.printed == ""
    assert spoken.process.returncode == 0
    for one in records:
        assert list(one)[:5] == ["time", "level", "logger", "pid", "message"]
        assert re.fullmatch(TIME, one["time"])
        assert one["level"] in {"debug", "info", "warning", "error", "critical"}
    said = [one["message"] for one in records]
    assert said[0].startswith("millisight ")
    assert records[0]["url"] == spoken.url
    assert records[0]["models"]["starter"].startswith("efficientnet_lite0")
    assert said[1].startswith("Ready after ")
    assert said[-2:] == ["Stopping; what was begun is answered first", "Stopped"]


def test_an_answer_tells_who_asked_what_and_where_the_time_went(
    records: list[dict[str, Any]],
) -> None:
    good, again = of(records, "good"), of(records, "again")
    fixed = {
        "level": "info",
        "message": "POST /predict 200",
        "status": 200,
        "client": "127.0.0.1",
        "method": "POST",
        "path": "/predict",
        "model": "starter",
        "warnings": ["exif_rotated"],
        "cached": False,
    }
    assert {name: good[name] for name in fixed} == fixed
    assert len(JPEG) < good["bytes_in"] < len(JPEG) + 1000
    parts = [good[f"{part}_ms"] for part in ("decode", "queue", "inference")]
    assert 0 < sum(parts) < good["duration_ms"] < 5000
    assert again["cached"] is True
    assert "inference_ms" not in again
    asked = of(records, "asked")
    assert (asked["method"], asked["status"]) == ("gRPC", 200)
    assert asked["path"] == "/inference.GRPCInferenceService/ServerMetadata"
    assert asked["client"] == "127.0.0.1"


def test_neither_the_query_nor_the_label_nor_the_files_name_is_told(spoken: Logging) -> None:
    text = "\n".join(spoken.lines)
    for word in ("hunter2", "token", "b.jpg", "confidence", "label"):
        assert word not in text


def test_a_refusal_tells_its_code_and_a_fault_its_traceback(records: list[dict[str, Any]]) -> None:
    refused = of(records, "refused")
    assert (refused["level"], refused["status"]) == ("info", 415)
    assert refused["error"] == "unsupported_format"
    assert of(records, "dialect")["error"] == "bad_request"
    failing = of(records, "failing")
    assert (failing["level"], failing["error"]) == ("warning", "internal")
    [fault] = [one for one in records if "traceback" in one]
    assert (fault["level"], fault["request_id"]) == ("error", "failing")
    assert fault["traceback"].startswith("Traceback (most recent call last):\n")


def test_who_leaves_is_logged_and_what_is_no_http_fills_no_log(
    records: list[dict[str, Any]],
) -> None:
    left = of(records, "left")
    assert (left["status"], left["bytes_in"]) == (499, 5)
    assert "Invalid HTTP request received." not in [one["message"] for one in records]


def test_metadata_that_is_no_text_is_not_logged(spoken: Logging) -> None:
    assert SHOWN not in "\n".join(spoken.lines)
    assert "Invalid encoding" not in "\n".join(spoken.lines)


def test_health_checks_that_pass_are_not_logged(spoken: Logging) -> None:
    assert [line for line in spoken.lines if "probe" in line] == []


def test_nobody_forges_a_line(spoken: Logging, records: list[dict[str, Any]]) -> None:
    [forged] = [one for one in records if str(one.get("path")).startswith("/a%0A")]
    assert forged["path"] == "/a%0A%7B%22level%22:%22forged%22%7D%1B%5B31m%E2%80%A8%20x"
    assert re.fullmatch("[0-9a-f]{32}", forged["request_id"])
    assert "\x1b" not in "\n".join(spoken.lines)
    assert all(line.isascii() for line in spoken.lines)


def test_text_is_for_people_and_as_hard_to_forge(home: Path) -> None:
    with logging(home) as server:
        use(server)
        server.stop()
    text = "\n".join(server.lines)
    began = [line for line in server.lines if re.match(f"{TIME} [A-Z]+ [a-z._]+: ", line)]
    rest = [line for line in server.lines if line not in began]
    assert rest
    assert all(line.startswith("  ") for line in rest)
    assert not re.search(r"[^\n\x20-\x7e]", text)
    [good] = [line for line in began if "request_id=good" in line]
    assert re.search(r"INFO millisight\.access: POST /predict 200  duration_ms=[\d.]+ ", good)
    assert good.count("/predict") == 1
    assert "warnings=exif_rotated" in good
    assert "hunter2" not in text


def test_workers_log_alike_and_without_the_access_log_only_what_matters(home: Path) -> None:
    arguments = ("--log-format", "json", "--no-access-log", "--workers", "2")
    with logging(home, *arguments) as server:
        assert httpx.post(f"{server.url}/predict", content=JPEG, timeout=30).is_success
        send(server, b"NONSENSE\r\n\r\n")
        pid = children(server.process.pid)[0]
        os.kill(pid, signal.SIGKILL)
        until(lambda: len({*children(server.process.pid)} - {pid}) == 2, "a new worker")
        server.stop()
    records = [json.loads(line) for line in server.lines]
    said = [one["message"] for one in records]
    assert [one for one in records if one["logger"] == "millisight.access"] == []
    assert "Invalid HTTP request received." not in said
    assert any(one.startswith(f"Worker {pid} has died") for one in said)
    assert said[-2:] == ["Stopping; what was begun is answered first", "Stopped"]


def children(pid: int) -> list[int]:
    """Process ids of the workers."""
    path = Path(f"/proc/{pid}/task/{pid}/children")
    found = [int(one) for one in path.read_text().split()]
    return [one for one in found if b"spawn_main" in Path(f"/proc/{one}/cmdline").read_bytes()]


def test_what_prevents_the_start_is_an_object_too(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        environ = os.environ | {"MILLISIGHT_HOME": str(home), "MILLISIGHT_LOG_FORMAT": "json"}
        done = run(environ, "serve", "--port", port)
    assert (done.returncode, done.stdout) == (2, "")
    [record] = [json.loads(line) for line in done.stderr.splitlines()]
    assert (record["level"], record["error"]) == ("critical", "bad_settings")
    assert f"Cannot listen on 127.0.0.1 port {port}" in record["message"]
