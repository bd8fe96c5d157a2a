"""uvicorn's HTTP protocol with limits on what happens before and after the app has a request.

uvicorn waits for ever for the rest of a request line or of headers, takes headers of any size and
as many requests ahead of their answers as there are, reads a body to its end however long after the
answer, and waits for ever for who does not take it. Here each of these is bounded.
"""

import asyncio
import logging
import time
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from millisight.server.farewell import Farewell
from millisight.server.onewrite import OneWrite

logger = logging.getLogger(__name__)

BEGAN = "began"
"""The time of a first byte, in ``time.monotonic`` seconds, in the ``state`` of a scope."""

LEAVING = "leaving"
"""What to call when the client goes before the answer, in the ``state`` of a scope; ``None`` once
it has gone."""

DRAIN = "drain"
"""Under this name the app's lifespan leaves in its state what to call once the server is told to
stop, while connections that are open are still answered."""

MAX_HEAD_BYTES = 65_536
"""Request line and headers together; what nginx and Apache allow is less. As much may stand between
two parts of a body: sizes of chunks, their extensions, trailers."""

MAX_HEADERS = 128
"""Apache's limit is 100. Each is looked at more than once."""

MAX_PIPELINED = 16
"""Requests that wait on one connection behind the one that is being answered."""

LINGER_SECONDS = 2.0
"""How long after its answer the rest of a request is read and thrown away. Closing at once would
reset the connection, and the client might lose the answer."""

MAX_IGNORED_BYTES = 1_000_000
"""What may follow a request that was refused for its form, for the same reason."""

LAST_CALL_SECONDS = 0.5
"""How long a server that stops still waits for a request on a connection that is open. One may be
on its way: closing at once would lose it."""

_TAKING = 6
"""An answer must be taken within so many times the patience with a head."""

_BAD_REQUEST = b"400 Bad Request"
_HEAD_TOO_LARGE = b"431 Request Header Fields Too Large"


class _Refused(Exception):
    """Raised out of the parser, which stops at once: nothing that follows is looked at."""

    def __init__(self, status: bytes | None) -> None:
        """``status`` is what to answer, if anything."""
        super().__init__()
        self.status = status


class PatientProtocol(HttpToolsProtocol):
    """One connection of at most ``most``. ``patience`` is how long a head may take to arrive, in
    seconds."""

    def __init__(self, *args: Any, patience: float, most: int, **options: Any) -> None:
        super().__init__(*args, **options)
        self._patience = patience
        self._most = most
        self._end: Farewell = None  # type: ignore[assignment]
        self._answering: Any = None
        self._in_head = True
        self._head_bytes = 0
        self._spare_bytes = 0
        self._first_byte = 0.0
        self._leaving = False
        self._deaf = False
        self._ignored_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.heard = self.loop.time()
        self._end = Farewell(self.loop, transport, _TAKING * self._patience)
        self._end.close_in(self._patience)
        if len(self.connections) > self._most:
            self._make_room()

    def _make_room(self) -> None:
        """Hang up on the connection without a request that was heard of least lately, if need be
        this one: those that are kept open for nothing cannot keep others out."""
        idle = (one for one in self.connections if isinstance(one, PatientProtocol) and one.idle)
        min(idle, key=lambda one: one.heard, default=self).transport.abort()

    @property
    def idle(self) -> bool:
        """Whether there is no whole head that is to be answered."""
        answered = self.cycle is None or self.cycle.response_complete
        return self._in_head and answered and not self.transport.is_closing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end.stay()
        self._end.taken()
        super().connection_lost(exc)
        # uvicorn tells the newest request only, not the one that is being answered.
        _forsake(self._answering)

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        self.heard = self.loop.time()
        if self._deaf:
            self._ignored_bytes += len(data)
            if self._ignored_bytes > MAX_IGNORED_BYTES:
                self._end.close()
            return
        try:
            view, begin = memoryview(data), 0
            while begin < len(data):
                end = self._end_of_piece(data, begin)
                self._feed(view[begin:end])
                begin = end
        except httptools.HttpParserUpgrade:
            pass  # There is no other protocol: what came with it is answered as it is.
        except httptools.HttpParserError as error:
            # What a callback raised stands behind the parser's own.
            cause = error.__context__
            self._refuse(cause.status if isinstance(cause, _Refused) else _BAD_REQUEST)
        except _Refused as refused:
            self._refuse(refused.status)

    def _end_of_piece(self, data: bytes, begin: int) -> int:
        """Where the next piece of ``data`` to be parsed ends: with a head, since what is behind it
        does not count, or where a head is as long as it may be."""
        if not self._in_head:
            return len(data)
        longest = begin + MAX_HEAD_BYTES - self._head_bytes
        end = data.find(b"\r\n\r\n", begin, longest)
        return min(longest, len(data)) if end < 0 else end + 4

    def _feed(self, data: memoryview) -> None:
        """Have ``data`` parsed. Raises ``_Refused`` where it makes a head or what is beside a body
        too long."""
        begins = self._in_head and not self._head_bytes
        if begins:
            self._first_byte = time.monotonic()
        if self._in_head:
            self._head_bytes += len(data)
        else:
            self._spare_bytes -= len(data)
        self.parser.feed_data(data)
        # Most heads come in one piece, and a clock for each costs time.
        if begins and self._in_head and self._head_bytes:
            self._end.close_in(self._patience)
        if self._in_head and self._head_bytes >= MAX_HEAD_BYTES:
            raise _Refused(_HEAD_TOO_LARGE)
        if not self._in_head and self._spare_bytes < 0:
            raise _Refused(_BAD_REQUEST)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if not self._head_bytes:  # It came in one piece with the request before it.
            self._first_byte = time.monotonic()
        self.scope["state"][BEGAN] = self._first_byte

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:
            return  # Nobody here has a use for trailers.
        if len(self.headers) >= MAX_HEADERS:
            raise _Refused(_HEAD_TOO_LARGE)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if len(self.pipeline) >= MAX_PIPELINED:
            # Those that wait are answered, then the connection ends.
            self._end.stay()
            self.cycle.keep_alive = False
            raise _Refused(None)
        super().on_headers_complete()
        self._end.stay()
        self._in_head = False
        self._spare_bytes = MAX_HEAD_BYTES
        if self._leaving:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        # Twice, because a client may send it in many small chunks.
        self._spare_bytes = min(self._spare_bytes + 2 * len(body), MAX_HEAD_BYTES)
        # The first piece, often all there is, is handed on without a copy; further ones that come
        # before it is taken are gathered.
        cycle: Any = self.cycle
        if not cycle.body:
            cycle.body = b""
        elif isinstance(cycle.body, bytes):
            cycle.body = bytearray(cycle.body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._end.stay()
        super().on_message_complete()
        self._in_head = True
        self._head_bytes = 0
        # Answered already, it is over: nothing else would end a connection on which no more comes.
        if self.cycle.response_complete:
            self._end.close_in(self._patience)

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        self._answering = cycle
        cycle.transport = OneWrite(cycle, cycle.transport)
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        self._answering.transport.flush()
        others_wait = bool(self.pipeline)
        super().on_response_complete()
        if self.transport.is_closing():
            self._end.cut_off_in_time()
            return
        if not self.flow.write_paused:
            self._end.taken()
        if self.pipeline:
            self.flow.pause_reading()
        # The body that still arrives may be that of a request which waits.
        if not self._in_head and not others_wait:
            self._end.close_in(LINGER_SECONDS)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._end.cut_off_in_time()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._answering is None or self._answering.response_complete:
            self._end.taken()

    def timeout_keep_alive_handler(self) -> None:
        self._end.close()

    def shutdown(self) -> None:
        """Called when the server stops: the request that comes next is the last."""
        if (drain := self.app_state.get(DRAIN)) is not None:
            drain()
        self._leaving = True
        if self.cycle is None or self.cycle.response_complete:
            self._end.close_in(LAST_CALL_SECONDS)
        else:
            self.cycle.keep_alive = False

    def _refuse(self, status: bytes | None) -> None:
        """Tell ``status``, if any, where it is not taken for another's answer; then only wait for
        who sends it to have read that."""
        self._deaf = True
        if status is None:
            return
        logger.debug("A request is refused: %s", status.decode())
        running = self._answering
        _forsake(running)
        if self.transport.is_closing():
            return
        if (
            running is None
            or running.response_complete
            # What is refused is the body of the very request that runs.
            or not (self._in_head or running is not self.cycle or running.response_started)
        ):
            answer = b"HTTP/1.1 %s\r\ncontent-length: 0\r\nconnection: close\r\n\r\n" % status
            self.transport.write(answer)
            self.transport.write_eof()
            self._end.close_in(LINGER_SECONDS)
        else:
            self._end.close()


def _forsake(cycle: Any) -> None:
    """Tell the app that nobody waits for its answer."""
    if cycle is not None and not cycle.response_complete:
        cycle.disconnected = True
        cycle.message_event.set()
        state = cycle.scope["state"]
        leave, state[LEAVING] = state.get(LEAVING), None
        if leave is not None:
            leave()
