"""``POST /embed``: a picture in, what the network knows of it out, as numbers."""

from io import BytesIO
from typing import Any

import numpy as np
from fastapi import Request, Response
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel

from millisight.answers import Embedding
from millisight.errors import BadParameter
from millisight.server.access import note_answer
from millisight.server.intake import (
    DEADLINE_PARAMETER,
    JSON,
    MODEL_PARAMETER,
    REQUEST_BODY,
    RESPONSES,
    Patience,
    TimingsBody,
    accepted,
    exact,
    in_query,
    picture_of,
    timings_of,
    within_deadline,
)
from millisight.server.problems import Problem
from millisight.server.service import Service

NPY = "application/x-npy"


class EmbedAnswer(BaseModel):
    """The body of a successful answer; the numbers are exact to the last bit of float32."""

    embedding: list[float]
    dimensions: int
    normalized: bool
    model: str
    timings_ms: TimingsBody
    warnings: list[str]


_PARAMETERS = [
    MODEL_PARAMETER,
    {
        "name": "normalize",
        "in": "query",
        "description": "Whether to scale the embedding to length 1",
        "schema": {"type": "boolean", "default": False},
    },
    DEADLINE_PARAMETER,
]
_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The embedding; as application/x-npy a file of NumPy's format, float32",
        "content": {NPY: {"schema": {"type": "string", "format": "binary"}}},
    },
    406: {"model": Problem, "description": f"Neither {JSON} nor {NPY} is accepted"},
    **RESPONSES,
    404: {"model": Problem, "description": "No such model, or one without embeddings"},
}


async def embed(request: Request) -> Response:
    """Send the picture as to `/predict`; `Accept: application/x-npy` gives a file for NumPy."""
    return await within_deadline(request, _respond)


async def _respond(request: Request, service: Service, patience: Patience) -> Response:
    name = in_query(request, "model")
    service.ready_one(name)
    kind = accepted(request, [NPY, JSON])
    normalize = _normalize_of(request)
    picture = await picture_of(request, service)
    with patience.watching():
        embedding = await service.embed(
            name, picture, normalize=normalize, deadline=patience.deadline
        )
    note_answer(request, embedding.model, embedding)
    parts, server_timing = timings_of(embedding.timings_ms)
    headers = {"Server-Timing": server_timing, "Vary": "Accept"}
    if kind == NPY:
        file = BytesIO()
        np.save(file, embedding.vector)
        return Response(file.getvalue(), media_type=NPY, headers=headers)
    return JSONResponse(_body(embedding, parts, normalized=normalize), headers=headers)


def _normalize_of(request: Request) -> bool:
    given = in_query(request, "normalize")
    if given is None:
        return False
    if given not in {"true", "false"}:
        raise BadParameter(f"Parameter normalize cannot be {given[:20]!r}: it is true or false.")
    return given == "true"


def _body(embedding: Embedding, parts: dict[str, float], *, normalized: bool) -> dict[str, Any]:
    return {
        "embedding": exact(embedding.vector),
        "dimensions": embedding.dimensions,
        "normalized": normalized,
        "model": embedding.model,
        "timings_ms": parts,
        "warnings": embedding.warnings,
    }


route = APIRoute(
    "/embed",
    embed,
    methods=["POST"],
    response_model=EmbedAnswer,
    responses=_RESPONSES,
    openapi_extra={"parameters": _PARAMETERS, "requestBody": REQUEST_BODY},
    summary="A picture as numbers: similar ones are near",
)
