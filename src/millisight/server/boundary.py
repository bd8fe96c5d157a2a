"""The outermost layer of the app: every request has an id, and every answer is made here or within.

An exception that nobody foresaw answers its own request with 500 and an id; its traceback stands
under that id in the log and nowhere else.
"""

import itertools
import logging
import re
import secrets
import time
from collections.abc import Callable

from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from millisight.errors import MillisightError
from millisight.server.problems import FAULT, LOOK, problem
from millisight.server.protocol import BEGAN

logger = logging.getLogger(__name__)

HEADER = b"x-request-id"

# For every answer: it is what it says it is, for pages of this server only, and in no frame.
_SECURITY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
)

# Nothing that could forge a log line or a header.
_HARMLESS = re.compile(r"[A-Za-z0-9._:-]{1,128}")


class RequestIds:
    """Names for requests: the caller's own where it is harmless, else a new one."""

    def __init__(self) -> None:
        # Random once and then counted: random bytes cost a system call each time.
        self._own = secrets.token_hex(8)
        self._number = itertools.count(1)

    def of(self, given: str) -> str:
        """The id of a request that came with ``given``, which may be anything."""
        if _HARMLESS.fullmatch(given):
            return given
        return f"{self._own}{next(self._number):016x}"


class Boundary:
    """ASGI middleware: the id is the caller's own where it is harmless, else a new one; it is in
    ``request.state.request_id`` and in the answer's header."""

    def __init__(self, app: ASGIApp, responded: Callable[[Scope, int], None]) -> None:
        """``responded`` is told of every answer: the request's scope and the status."""
        self.app = app
        self.responded = responded
        self._ids = RequestIds()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = next((value for name, value in scope["headers"] if name == HEADER), b"").decode(
            "latin-1"
        )
        request_id = self._ids.of(given)
        state = scope.setdefault("state", {})
        state["request_id"] = request_id
        # Where another server than ours calls, nobody knows of a time before now.
        state.setdefault(BEGAN, time.monotonic())
        started = False

        async def send_with_id(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                self.responded(scope, message["status"])
                named = (HEADER, request_id.encode("ascii"))
                message["headers"] = [*message.get("headers", ()), named, *_SECURITY_HEADERS]
            await send(message)

        try:
            await self.app(scope, receive, send_with_id)
        except ClientDisconnect:
            logger.debug("The client went away", extra={"request_id": request_id})
        except Exception:
            logger.exception("Request %s failed", request_id, extra={"request_id": request_id})
            if started:
                raise  # Half an answer is out: only closing the connection tells the client.
            response = problem(
                Request(scope),
                MillisightError.status,
                MillisightError.code,
                FAULT,
                hint=LOOK,
            )
            await response(scope, receive, send_with_id)
