"""A server that says what it is told to: what proxies say, and what breaks on the way."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HANG_UP = 0
"""In the place of a status: the connection is closed without an answer."""

ANSWER = b"""{"predictions":[{"label":"cat","confidence":0.5,"index":1}],"inference_time_ms":1.0,
"model":"m","timings_ms":{"decode":1.0,"queue":0.0,"inference":1.0,"total":2.0},"cached":false,
"warnings":[],"new":"what a later server may say"}"""


@dataclass
class Scripted:
    """What it heard."""

    url: str
    came: list[float] = field(default_factory=list)
    """When each request came, in ``time.monotonic`` seconds."""


@contextmanager
def scripted(*answers: tuple[int, dict[str, str], bytes]) -> Iterator[Scripted]:
    """Gives each request the next of ``answers``: status, headers and body."""
    left = list(answers)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            heard.came.append(time.monotonic())
            self.rfile.read(int(self.headers["Content-Length"]))
            status, headers, body = left.pop(0)
            if status == HANG_UP:
                self.close_connection = True
                return
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        heard = Scripted(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield heard
        finally:
            server.shutdown()
            thread.join()
