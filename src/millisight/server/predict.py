"""``POST /predict``: a picture in, its most likely classes out."""

import asyncio
import json
import time
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel

from millisight.classifier import Result, Timings
from millisight.errors import DeadlineExceeded
from millisight.predictions import MAX_TOP_K
from millisight.server.problems import Problem
from millisight.server.service import Service
from millisight.server.upload import FIELD, read_picture

router = APIRouter()


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
_PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: {"model": Problem, "description": "No picture in the request"},
    413: {"model": Problem, "description": "Too many bytes or too many pixels"},
    415: {"model": Problem, "description": "Not a picture in a supported format"},
    422: {"model": Problem, "description": "A damaged picture or a wrong parameter"},
    429: {"model": Problem, "description": "Too busy; see Retry-After"},
    500: {"model": Problem, "description": "A fault of the server"},
    503: {"model": Problem, "description": "Starting or shutting down"},
    504: {"model": Problem, "description": "Not done within the deadline"},
}


@router.post(
    "/predict",
    response_model=Answer,
    responses=_PROBLEMS,
    openapi_extra={"requestBody": _REQUEST_BODY},
    summary="Classify one picture",
)
async def predict(
    request: Request,
    top_k: Annotated[int, Query(ge=1, le=MAX_TOP_K, description="How many classes")] = 3,
) -> Response:
    """Send the picture as multipart field `file`, or as the body itself."""
    service: Service = request.app.state.service
    deadline_ms = service.settings.deadline_ms
    try:
        async with asyncio.timeout(deadline_ms / 1e3):
            result = await _answer(request, service, top_k, time.monotonic() + deadline_ms / 1e3)
    except TimeoutError as error:
        raise DeadlineExceeded(
            f"The answer was not ready within {deadline_ms} ms.",
            hint="Try again when the server is less busy, or send a smaller picture.",
        ) from error
    return _response(result)


async def _answer(request: Request, service: Service, top_k: int, deadline: float) -> Result:
    classifier = service.ready()
    max_bytes = int(service.settings.max_upload_mb * 1e6)
    picture = await read_picture(request, max_bytes=max_bytes)
    started = time.monotonic()
    loop = asyncio.get_running_loop()
    decoded = await loop.run_in_executor(service.decoders, classifier.decode, picture)
    decode_time = time.monotonic() - started
    inferred = await asyncio.wrap_future(classifier.infer(decoded.pixels, deadline=deadline))
    return classifier.result(
        decoded, inferred, top_k=top_k, started=started, decode_time=decode_time
    )


def _response(result: Result) -> Response:
    body = {
        "predictions": [
            {"label": one.label, "confidence": round(one.confidence, 6), "index": one.index}
            for one in result.predictions
        ],
        "inference_time_ms": result.inference_time_ms,
        "model": result.model,
        "timings_ms": asdict(result.timings_ms),
        "cached": False,
        "warnings": result.warnings,
    }
    return Response(
        json.dumps(body, ensure_ascii=False, separators=(",", ":")),
        media_type="application/json",
        headers={"Server-Timing": server_timing(result.timings_ms)},
    )


def server_timing(timings: Timings) -> str:
    """The parts as a ``Server-Timing`` header, which browsers show in their network panel."""
    return ", ".join(f"{name};dur={value:g}" for name, value in asdict(timings).items())
