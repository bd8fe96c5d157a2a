"""What the routes that take a picture have in common: how they are asked, and for how long."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

import mimeparse
import numpy as np
from fastapi import Request, Response
from numpy.typing import NDArray
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from millisight.answers import Timings
from millisight.errors import BadParameter, DeadlineExceeded
from millisight.predictions import MAX_TOP_K, check_top_k
from millisight.server.problems import GUARDED, Problem
from millisight.server.protocol import BEGAN, LEAVING
from millisight.server.service import Service
from millisight.server.upload import FIELD, read_picture

DEFAULT_TOP_K = 3
JSON = "application/json"
DEADLINE_HEADER = "X-Deadline-Ms"

_LONGEST_ACCEPT = 1024
"""Characters of the header Accept; a browser sends a hundred, and to parse many takes long."""

BYTES = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
"""Content for the documentation."""


def picture_body(field: str) -> dict[str, Any]:
    """A picture for the documentation: in ``field`` of a form, or as it is."""
    form = {
        "type": "object",
        "required": [field],
        "properties": {field: {"type": "string", "format": "binary"}},
    }
    (binary,) = BYTES.values()
    content = {"multipart/form-data": {"schema": form}, "image/*": binary, **BYTES}
    return {"required": True, "content": content}


REQUEST_BODY = picture_body(FIELD)
TOP_K_PARAMETER = {
    "name": "top_k",
    "in": "query",
    "description": "How many classes",
    "schema": {"type": "integer", "minimum": 1, "maximum": MAX_TOP_K, "default": DEFAULT_TOP_K},
}
MODEL_PARAMETER = {
    "name": "model",
    "in": "query",
    "description": "Which model is asked; without it, the default of GET /models",
    "schema": {"type": "string"},
}
DEADLINE_PARAMETER = {
    "name": DEADLINE_HEADER,
    "in": "header",
    "description": "How long the client will wait, if that is less than the server's own limit",
    "schema": {"type": "integer", "minimum": 1},
}
RESPONSES: dict[int | str, dict[str, Any]] = {
    400: {"model": Problem, "description": "No picture in the request"},
    **GUARDED,
    404: {"model": Problem, "description": "No such model is served"},
    413: {"model": Problem, "description": "Too many bytes or too many pixels"},
    415: {"model": Problem, "description": "Not a picture in a supported format"},
    422: {"model": Problem, "description": "A damaged picture or a wrong parameter"},
    429: {"model": Problem, "description": "Too busy; see Retry-After"},
    500: {"model": Problem, "description": "A fault of the server"},
    503: {"model": Problem, "description": "Starting or shutting down"},
    504: {"model": Problem, "description": "Not done within the deadline"},
}


class TimingsBody(BaseModel):
    """Where the time went, in milliseconds."""

    decode: float
    queue: float
    inference: float
    total: float


class Patience:
    """How long a request may take, and whether its client still waits for it."""

    def __init__(self, request: Request, timeout: asyncio.Timeout, deadline: float) -> None:
        self.deadline = deadline
        """In ``time.monotonic`` seconds."""
        self.gone = False
        """Whether the client has gone."""
        self._state = request.scope["state"]
        self._timeout = timeout

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Give up what is done here when the client goes; its whole body has been read before.

        Raises ``ClientDisconnect`` where it has gone already. Under another server than ours nobody
        tells of that, and the deadline bounds what is done in vain.
        """
        if self._state.get(LEAVING, self) is None:
            raise ClientDisconnect
        # Not by a task that waits for it, as is usual: that costs a tenth of what answering does.
        self._state[LEAVING] = self._leave
        try:
            yield
        finally:
            if self._state[LEAVING] is not None:
                del self._state[LEAVING]

    def _leave(self) -> None:
        self.gone = True
        # A time that is over, in this very moment, ends what is done here by itself.
        if not self._timeout.expired():
            self._timeout.reschedule(asyncio.get_running_loop().time())


Respond = Callable[[Request, Service, Patience], Awaitable[Response]]
"""Answers a request."""


async def within_deadline(request: Request, respond: Respond) -> Response:
    """What ``respond`` answers.

    Raises ``DeadlineExceeded`` when the time is over that the settings or the request allow,
    whichever is less, counted from the first byte of the request; ``ClientDisconnect`` when the
    client has gone.
    """
    service: Service = request.app.state.service
    deadline_ms = service.settings.deadline_ms
    if (own := request.headers.get(DEADLINE_HEADER)) is not None:
        deadline_ms = min(deadline_ms, whole_number(DEADLINE_HEADER, own))
        if not deadline_ms:
            raise BadParameter(f"Parameter {DEADLINE_HEADER} must be at least 1.")
    deadline = request.scope["state"][BEGAN] + deadline_ms / 1e3
    patience = None
    try:
        async with asyncio.timeout(deadline - time.monotonic()) as timeout:
            patience = Patience(request, timeout, deadline)
            with service.bodies.share() as request.state.body:
                return await respond(request, service, patience)
    except TimeoutError as error:
        if patience is not None and patience.gone:
            raise ClientDisconnect from error
        raise DeadlineExceeded(
            f"The answer was not ready within {deadline_ms} ms.",
            hint="Try again when the server is less busy, or send a smaller picture.",
        ) from error


async def picture_of(request: Request, service: Service, fields: Sequence[str] = (FIELD,)) -> bytes:
    """The bytes of the picture in ``request``; see ``read_picture``."""
    return await read_picture(request, max_bytes=max_bytes(service), fields=fields)


def max_bytes(service: Service) -> int:
    """The longest body that is read."""
    return int(service.settings.max_upload_mb * 1e6)


def top_k_of(request: Request) -> int:
    """The query's ``top_k``. Raises ``BadParameter``."""
    if (given := in_query(request, "top_k")) is None:
        return DEFAULT_TOP_K
    top_k = whole_number("top_k", given)
    check_top_k(top_k)
    return top_k


def in_query(request: Request, name: str) -> str | None:
    """What the query says of a parameter, if anything."""
    # Most requests have no query, and it is parsed for who looks.
    return request.query_params.get(name) if request.scope["query_string"] else None


def accepted(request: Request, kinds: list[str]) -> str:
    """The one of ``kinds`` that the client likes best; of those it likes equally, the last."""
    wanted = ",".join(request.headers.getlist("accept")).lower() or "*/*"
    if len(wanted) > _LONGEST_ACCEPT:
        raise BadParameter(
            f"The header Accept is longer than {_LONGEST_ACCEPT} characters.",
            hint=f"Name what you take: {' or '.join(kinds)}.",
        )
    try:
        kind: str = mimeparse.best_match(kinds, wanted)
    except mimeparse.MimeTypeParseException as error:
        raise BadParameter("The header Accept cannot be read.") from error
    if not kind:
        raise HTTPException(406)
    return kind


def whole_number(name: str, given: str) -> int:
    """The value of a parameter. Raises ``BadParameter``."""
    if not (given.isascii() and given.isdecimal() and len(given) < 10):
        raise BadParameter(f"Parameter {name} cannot be {given[:20]!r}: it must be a whole number.")
    return int(given)


def exact(numbers: NDArray[np.float32]) -> list[float]:
    """``numbers`` for JSON."""
    # Nine digits name every float32; as doubles they would have seventeen.
    return [float(f"{number:.9g}") for number in numbers.ravel().tolist()]


def timings_of(timings: Timings) -> tuple[dict[str, float], str]:
    """The parts for the body, and the header Server-Timing, which browsers show."""
    parts = {
        "decode": timings.decode,
        "queue": timings.queue,
        "inference": timings.inference,
        "total": timings.total,
    }
    return parts, ", ".join(f"{name};dur={value:g}" for name, value in parts.items())
