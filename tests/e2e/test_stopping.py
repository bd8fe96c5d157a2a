"""How a serving process ends when it is told to."""

import contextlib
import http.client
import json
import signal
import socket
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.e2e.conftest import running
from tests.support import encode, texture


def wait_until_refused(address: tuple[str, int]) -> None:
    """Return once nobody listens at ``address``."""
    while True:
        try:
            socket.create_connection(address, timeout=30).close()
        except (ConnectionRefusedError, ConnectionResetError):
            return


@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGINT])
def test_an_upload_that_had_begun_is_answered_after_the_signal(
    tmp_path: Path, kind: signal.Signals
) -> None:
    picture = encode(texture(400, 300), "JPEG")
    with running(tmp_path) as server:
        url = urlsplit(server.url)
        assert url.hostname is not None
        assert url.port is not None
        address = (url.hostname, url.port)
        with socket.create_connection(address, timeout=30) as client:
            head = (
                "POST /predict HTTP/1.1\r\nHost: here\r\nExpect: 100-continue\r\n"
                f"Content-Length: {len(picture)}\r\n\r\n"
            )
            client.sendall(head.encode())
            # The app is reading this body now, so the request is in flight.
            assert client.recv(100).startswith(b"HTTP/1.1 100 ")
            server.process.send_signal(kind)
            wait_until_refused(address)
            client.sendall(picture)
            answer = http.client.HTTPResponse(client)
            answer.begin()
            body = json.loads(answer.read())
        server.process.wait(30)
    assert answer.status == 200
    assert len(body["predictions"]) == 3
    assert server.process.returncode == 0


def test_readiness_is_false_as_soon_as_it_is_told_to_stop(tmp_path: Path) -> None:
    with running(tmp_path) as server, httpx.Client(base_url=server.url) as kept:
        assert kept.get("/health/ready").status_code == 200
        server.process.send_signal(signal.SIGTERM)
        statuses = [200]
        # The connection ends with the first answer that says so.
        with contextlib.suppress(httpx.TransportError):
            while statuses[-1] == 200:
                statuses.append(kept.get("/health/ready").status_code)
                time.sleep(0.02)
        assert statuses[-1] == 503
        assert server.process.wait(30) == 0
