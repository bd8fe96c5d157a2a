"""How a serving process ends when it is told to."""

import http.client
import json
import signal
import socket
from pathlib import Path
from urllib.parse import urlsplit

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
