"""``POST /predict``: a picture in, its most likely classes out."""

import asyncio
import json
import time
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.types import ASGIApp, Receive, Scope, Send

from millisight.classifier import Result, Timings
from millisight.errors import BadParameter, DeadlineExceeded, MillisightError
from millisight.predictions import MAX_TOP_K, check_top_k
from millisight.server.problems import Problem, on_known
from millisight.server.service import Service
from millisight.server.upload import FIELD, read_picture


class PredictionBody(BaseModel):
    """One class and its softmax over all classes."""

    label: str
    confidence: float
    index: int


class TimingsBody(BaseModel):
    """Where the time went, in milliseconds."""

    decode: float
    queue: float
    inference: float
    total: float


class Answer(BaseModel):
    """The body of a successful answer."""

    predictions: list[PredictionBody]
    inference_time_ms: float
    model: str
    timings_ms: TimingsBody
    cached: bool
    warnings: list[str]


PATH = "/predict"
DEFAULT_TOP_K = 3

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode

_BINARY = {"schema": {"type": "string", "format": "binary"}}
_REQUEST_BODY = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": [FIELD],
                "properties": {FIELD: {"type": "string", "format": "binary"}},
            }
        },
        "image/*": _BINARY,
        "application/octet-stream": _BINARY,
    },
}
_PARAMETERS = [
    {
        "name": "top_k",
        "in": "query",
        "description": "How many classes",
        "schema": {"type": "integer", "minimum": 1, "maximum": MAX_TOP_K, "default": DEFAULT_TOP_K},
    },
    {
        "name": "If-None-Match",
        "in": "header",
        "description": "The ETag of an earlier answer: 304 if it is still the answer",
        "schema": {"type": "string"},
    },
]
_RESPONSES: dict[int | str, dict[str, Any]] = {
    304: {"description": "The answer is the one whose ETag was sent"},
    400: {"model": Problem, "description": "No picture in the request"},
    413: {"model": Problem, "description": "Too many bytes or too many pixels"},
    415: {"model": Problem, "description": "Not a picture in a supported format"},
    422: {"model": Problem, "description": "A damaged picture or a wrong parameter"},
    429: {"model": Problem, "description": "Too busy; see Retry-After"},
    500: {"model": Problem, "description": "A fault of the server"},
    503: {"model": Problem, "description": "Starting or shutting down"},
    504: {"model": Problem, "description": "Not done within the deadline"},
}


async def predict(request: Request) -> Response:
    """Send the picture as multipart field `file`, or as the body itself."""
    service: Service = request.app.state.service
    deadline_ms = service.settings.deadline_ms
    try:
        async with asyncio.timeout(deadline_ms / 1e3):
            return await _respond(request, service, time.monotonic() + deadline_ms / 1e3)
    except TimeoutError as error:
        raise DeadlineExceeded(
            f"The answer was not ready within {deadline_ms} ms.",
            hint="Try again when the server is less busy, or send a smaller picture.",
        ) from error


async def _respond(request: Request, service: Service, deadline: float) -> Response:
    service.ready()
    top_k = _top_k(request)
    picture = await read_picture(request, max_bytes=int(service.settings.max_upload_mb * 1e6))
    started = time.monotonic()
    key = service.key(picture, top_k)
    etag = f'W/"{key}"'
    # The weak comparison of RFC 9110, section 8.8.3.2: W/ makes no difference.
    if f'"{key}"' in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers={"ETag": etag})
    result, cached = await service.answer(key, picture, top_k, deadline=deadline)
    timings = result.timings_ms
    if cached:
        # What this answer cost, not what it once cost somebody else.
        timings = Timings(0.0, 0.0, 0.0, total=round((time.monotonic() - started) * 1e3, 3))
    return _response(result, timings, etag, cached=cached)


def _top_k(request: Request) -> int:
    if not request.scope["query_string"]:
        return DEFAULT_TOP_K
    given = request.query_params.get("top_k", str(DEFAULT_TOP_K))
    if not given.isdecimal():
        raise BadParameter(f"Parameter top_k cannot be {given!r}: it must be a whole number.")
    check_top_k(int(given))
    return int(given)


def _response(result: Result, timings: Timings, etag: str, *, cached: bool) -> Response:
    parts = {
        "decode": timings.decode,
        "queue": timings.queue,
        "inference": timings.inference,
        "total": timings.total,
    }
    body = {
        "predictions": [
            {"label": one.label, "confidence": round(one.confidence, 6), "index": one.index}
            for one in result.predictions
        ],
        "inference_time_ms": timings.inference,
        "model": result.model,
        "timings_ms": parts,
        "cached": cached,
        "warnings": result.warnings,
    }
    # Server-Timing is what browsers show in their network panel.
    server_timing = ", ".join(f"{name};dur={value:g}" for name, value in parts.items())
    return Response(
        _encode(body),
        media_type="application/json",
        headers={"ETag": etag, "Server-Timing": server_timing},
    )


route = APIRoute(
    PATH,
    predict,
    methods=["POST"],
    response_model=Answer,
    responses=_RESPONSES,
    openapi_extra={"parameters": _PARAMETERS, "requestBody": _REQUEST_BODY},
    summary="Classify one picture",
)


class Express:
    """ASGI app: ``POST /predict`` goes straight to its endpoint, all else to the ``app`` given.

    FastAPI's layers cost more processor time than all that is done here in Python. The route stays
    in the app, for the documentation and for requests that come by another prefix.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or (scope["method"], scope["path"]) != ("POST", PATH):
            await self.app(scope, receive, send)
            return
        scope["route"] = route
        request = Request(scope, receive)
        try:
            response = await predict(request)
        except MillisightError as error:
            response = on_known(request, error)
        await response(scope, receive, send)
