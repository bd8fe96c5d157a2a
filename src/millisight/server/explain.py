"""``POST /explain``: a picture in, which parts of it speak for a class out."""

import asyncio
from typing import Any

from fastapi import Request, Response
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel

from millisight.errors import BadParameter
from millisight.explainer import Explanation
from millisight.heatmap import overlay
from millisight.server.access import note_answer
from millisight.server.intake import (
    DEADLINE_PARAMETER,
    JSON,
    MODEL_PARAMETER,
    REQUEST_BODY,
    RESPONSES,
    TOP_K_PARAMETER,
    Patience,
    TimingsBody,
    accepted,
    in_query,
    picture_of,
    timings_of,
    top_k_of,
    whole_number,
    within_deadline,
)
from millisight.server.predict import PredictionBody
from millisight.server.problems import Problem
from millisight.server.service import Service

PNG = "image/png"


class MapBody(PredictionBody):
    """A class and its map, row by row: what each part of the picture adds to its logit."""

    map: list[list[float]]


class ExplainAnswer(BaseModel):
    """The body of a successful answer. ``box`` is the part of the upright picture that the maps
    cover, as fractions of its sides: left, top, right, bottom."""

    maps: list[MapBody]
    box: tuple[float, float, float, float]
    model: str
    timings_ms: TimingsBody
    warnings: list[str]


_PARAMETERS = [
    MODEL_PARAMETER,
    TOP_K_PARAMETER,
    DEADLINE_PARAMETER,
    {
        "name": "class",
        "in": "query",
        "description": "The index of a class, in place of top_k; may come several times",
        "schema": {"type": "array", "items": {"type": "integer", "minimum": 0}},
    },
]
_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The maps; as image/png the first of them over what the network saw",
        "content": {PNG: {"schema": {"type": "string", "format": "binary"}}},
    },
    406: {"model": Problem, "description": "Neither application/json nor image/png is accepted"},
    **RESPONSES,
    404: {"model": Problem, "description": "No such model, or one without activation maps"},
}


async def explain(request: Request) -> Response:
    """Send the picture as to `/predict`; `Accept: image/png` gives a picture in place of JSON."""
    return await within_deadline(request, _respond)


async def _respond(request: Request, service: Service, patience: Patience) -> Response:
    name = in_query(request, "model")
    service.ready_one(name)
    kind = accepted(request, [PNG, JSON])
    top_k = top_k_of(request)
    classes = [whole_number("class", value) for value in request.query_params.getlist("class")]
    if classes and "top_k" in request.query_params:
        raise BadParameter("Give either top_k or class, not both.")
    picture = await picture_of(request, service)
    with patience.watching():
        explanation = await service.explain(
            name, picture, top_k, classes, deadline=patience.deadline
        )
    note_answer(request, explanation.model, explanation)
    parts, server_timing = timings_of(explanation.timings_ms)
    headers = {"Server-Timing": server_timing, "Vary": "Accept"}
    if kind == PNG:
        # Not in the event loop, which others wait for.
        cells = explanation.maps[0].cells
        drawn = await asyncio.to_thread(overlay, explanation.pixels, cells)
        return Response(drawn, media_type=PNG, headers=headers)
    return JSONResponse(_body(explanation, parts), headers=headers)


def _body(explanation: Explanation, parts: dict[str, float]) -> dict[str, Any]:
    return {
        "maps": [
            {
                "label": one.prediction.label,
                "confidence": round(one.prediction.confidence, 6),
                "index": one.prediction.index,
                "map": [[round(cell, 4) for cell in row] for row in one.cells.tolist()],
            }
            for one in explanation.maps
        ],
        "box": [round(side, 6) for side in explanation.box],
        "model": explanation.model,
        "timings_ms": parts,
        "warnings": explanation.warnings,
    }


route = APIRoute(
    "/explain",
    explain,
    methods=["POST"],
    response_model=ExplainAnswer,
    responses=_RESPONSES,
    openapi_extra={"parameters": _PARAMETERS, "requestBody": REQUEST_BODY},
    summary="Which parts of a picture speak for a class",
)
