"""uvicorn's HTTP protocol with limits on what happens before and after the app has a request.

uvicorn waits for ever for the rest of a request line or of headers, takes headers of any size, and
reads a body to its end however long after the answer. Here each of these is bounded.
"""

import asyncio
import time
from functools import partial
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from millisight.settings import Settings

BEGAN = "began"
"""Where the time of the first byte of a request stands, in ``time.monotonic`` seconds, in the
``state`` of its scope."""

MAX_HEAD_BYTES = 65_536
"""Request line and headers together; what nginx and Apache allow is less."""

LINGER_SECONDS = 2.0
"""How long after its answer the rest of a request is read and thrown away. Closing at once would
reset the connection, and the client might lose the answer."""

LAST_CALL_SECONDS = 0.5
"""How long a server that stops still waits for a request on a connection that is open. One may be
on its way: closing at once would lose it."""

_HEAD_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-length: 0\r\nconnection: close\r\n\r\n"
)


def uvicorn_options(settings: Settings) -> dict[str, Any]:
    """How uvicorn serves, with one process or several."""
    return {
        "http": partial(PatientProtocol, patience=settings.deadline_ms / 1e3),
        "log_config": None,
        "access_log": False,
        "server_header": False,
        # Nothing here asks for the client's address, so nobody's headers are to be believed.
        "proxy_headers": False,
    }


class PatientProtocol(HttpToolsProtocol):
    """One connection. ``patience`` is how long a head may take to arrive, in seconds."""

    def __init__(self, *args: Any, patience: float, **options: Any) -> None:
        super().__init__(*args, **options)
        self._patience = patience
        self._closing: asyncio.TimerHandle | None = None
        self._in_head = True
        self._head_bytes = 0
        self._first_byte = 0.0
        self._leaving = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._close_in(self._patience)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stay()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._in_head:
            if not self._head_bytes:
                self._first_byte = time.monotonic()
                self._close_in(self._patience)
            self._head_bytes += len(data)
        super().data_received(data)
        # A whole head that came at once is out of this already, whatever came with it.
        if self._in_head and self._head_bytes > MAX_HEAD_BYTES:
            self.transport.write(_HEAD_TOO_LARGE)
            self.transport.close()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if not self._head_bytes:  # It came in one piece with the request before it.
            self._first_byte = time.monotonic()
        self.scope["state"][BEGAN] = self._first_byte

    def on_headers_complete(self) -> None:
        self._stay()
        self._in_head = False
        super().on_headers_complete()
        if self._leaving:
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        self._stay()
        super().on_message_complete()
        self._in_head = True
        self._head_bytes = 0

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self._in_head:
            self._close_in(LINGER_SECONDS)

    def shutdown(self) -> None:
        """Called when the server stops: the request that comes next is the last."""
        self._leaving = True
        if self.cycle is None or self.cycle.response_complete:
            self._close_in(LAST_CALL_SECONDS)
        else:
            self.cycle.keep_alive = False

    def _close_in(self, seconds: float) -> None:
        self._stay()
        self._closing = self.loop.call_later(seconds, self.transport.close)

    def _stay(self) -> None:
        if self._closing is not None:
            self._closing.cancel()
            self._closing = None
