"""The access log: a line for every request, whatever came of it.

It tells who asked for what, how it ended and where the time went. It does not tell what was in the
picture, what it was taken for, the query or any header but the request's id: these may be private.
"""

import logging
import time
from typing import Any, Protocol
from urllib.parse import quote

from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from millisight.answers import Timings
from millisight.server.protocol import BEGAN

logger = logging.getLogger("millisight.access")

_NOTES = "access"
"""Where a request's notes stand in the ``state`` of its scope."""

_LONGEST_PATH = 200

_UNCHANGED = "/:@!$&'()*+,;=~"
"""What RFC 3986 lets stand in a path, beside letters, digits and ``-._``."""

_PROBES = {
    *("/health/live", "/health/ready", "/v2/health/live", "/v2/health/ready", "/ping"),
    "/metrics",
}
"""Asked for every few seconds by machines: where all is well, there is nothing to read of."""

CLIENT_LEFT = 499
"""Logged as the status where the client left before its answer: nginx's number, never sent."""


def note(request: Request, **fields: Any) -> None:
    """Have ``fields`` in the line of ``request``."""
    request.scope["state"].setdefault(_NOTES, {}).update(fields)


class Answered(Protocol):
    """An answer for one picture."""

    @property
    def timings_ms(self) -> Timings:
        """Where the time went."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was done to the picture."""


def note_answer(request: Request, model: str, answer: Answered, *, cached: bool = False) -> None:
    """Have in the line of ``request`` which model answered, and what it took.

    Of an answer that was there already the times are those of another request.
    """
    note(request, model=model, cached=cached)
    if answer.warnings:
        note(request, warnings=list(answer.warnings))
    if not cached:
        took = answer.timings_ms
        note(request, decode_ms=took.decode, queue_ms=took.queue, inference_ms=took.inference)


def log_request(
    subject: str, status: int, seconds: float, /, *, quiet: bool, **fields: Any
) -> None:
    """One line: ``subject`` says what was asked for."""
    if status >= 500:
        level = logging.WARNING
    elif quiet and status < 400:
        level = logging.DEBUG
    else:
        level = logging.INFO
    if logger.isEnabledFor(level):
        more = {"status": status, "duration_ms": round(seconds * 1e3, 3), **fields}
        logger.log(level, "%s %d", subject, status, extra=more)


class AccessLog:
    """ASGI middleware around all others, which logs each request when it is done."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        began = state.get(BEGAN) or time.monotonic()
        bytes_in = 0
        status = CLIENT_LEFT

        async def counting_receive() -> Message:
            nonlocal bytes_in
            message = await receive()
            bytes_in += len(message.get("body", b""))
            return message

        async def watching_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, counting_receive, watching_send)
        finally:
            path = quote(scope["path"][:_LONGEST_PATH], safe=_UNCHANGED, errors="replace")
            client = scope.get("client")
            log_request(
                f"{scope['method']} {path}",
                status,
                time.monotonic() - began,
                quiet=scope["path"] in _PROBES,
                request_id=state.get("request_id"),
                client=client[0] if client else None,
                method=scope["method"],
                path=path,
                bytes_in=bytes_in,
                **state.get(_NOTES, {}),
            )
