"""``POST /predict``: a picture in, its most likely classes out."""

import json
import time
from functools import partial
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field

from millisight.answers import Result, Timings
from millisight.classifier import Classifier
from millisight.server.access import note_answer
from millisight.server.intake import (
    DEADLINE_PARAMETER,
    MODEL_PARAMETER,
    REQUEST_BODY,
    RESPONSES,
    TOP_K_PARAMETER,
    Patience,
    TimingsBody,
    in_query,
    picture_of,
    timings_of,
    top_k_of,
    within_deadline,
)
from millisight.server.service import Service


class PredictionBody(BaseModel):
    """One class and its softmax over all classes."""

    label: str
    confidence: float
    index: int


class Answer(BaseModel):
    """The body of a successful answer."""

    predictions: list[PredictionBody]
    inference_time_ms: float
    model: str
    timings_ms: TimingsBody
    cached: bool
    warnings: list[str]
    uncertain: bool | None = Field(
        None,
        description="Whether the best confidence is below the threshold that the model was built "
        "with (`min_precision`); there only where it has one",
    )


PATH = "/predict"
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode

_PARAMETERS = [
    MODEL_PARAMETER,
    TOP_K_PARAMETER,
    DEADLINE_PARAMETER,
    {
        "name": "If-None-Match",
        "in": "header",
        "description": "The ETag of an earlier answer: 304 if it is still the answer",
        "schema": {"type": "string"},
    },
]
_RESPONSES = {304: {"description": "The answer is the one whose ETag was sent"}, **RESPONSES}


async def predict(request: Request) -> Response:
    """Send the picture as multipart field `file`, or as the body itself."""
    return await within_deadline(request, _respond)


async def _respond(request: Request, service: Service, patience: Patience) -> Response:
    name = in_query(request, "model")
    service.ready_one(name)
    top_k = top_k_of(request)
    picture = await picture_of(request, service)
    started = time.monotonic()
    # Not the one from before: it may have been exchanged while the picture came in.
    served = service.ready_one(name)
    key = served.key(picture, top_k)
    etag = f'W/"{key}"'
    # The weak comparison of RFC 9110, section 8.8.3.2: W/ makes no difference.
    if f'"{key}"' in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers={"ETag": etag})
    with patience.watching():
        ask = partial(Classifier.submit, picture=picture, top_k=top_k, deadline=patience.deadline)
        result, cached = await service.answer(served, key, ask, deadline=patience.deadline)
    timings = result.timings_ms
    if cached:
        # What this answer cost, not what it once cost somebody else.
        timings = Timings(0.0, 0.0, 0.0, total=round((time.monotonic() - started) * 1e3, 3))
    note_answer(request, served.name, result, cached=cached)
    return _response(result, timings, etag, cached=cached)


def _response(result: Result, timings: Timings, etag: str, *, cached: bool) -> Response:
    parts, server_timing = timings_of(timings)
    body: dict[str, Any] = {
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
    if result.uncertain is not None:
        body["uncertain"] = result.uncertain
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
    openapi_extra={"parameters": _PARAMETERS, "requestBody": REQUEST_BODY},
    summary="Classify one picture",
)
