"""TensorFlow Serving's REST API, which is KServe's first protocol too.

https://www.tensorflow.org/tfx/serving/api_rest: rows of ``instances`` in, ``predictions`` out.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

from fastapi import Request, Response
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field

from millisight.errors import BadRequest
from millisight.server.access import note
from millisight.server.dialects.aside import NUMBER_BYTES, aside
from millisight.server.dialects.batch import (
    Sent,
    check_count,
    from_base64,
    most_pictures,
    scores_of,
)
from millisight.server.dialects.described import (
    INSTANCES,
    NamesBody,
    PredictionsBody,
    StatusBody,
    described,
)
from millisight.server.dialects.envelope import (
    MOST_ELEMENTS,
    parse,
    read_uncompressed,
)
from millisight.server.dialects.model import VERSION, found, ready_one
from millisight.server.dialects.tensors import pixels_of
from millisight.server.intake import JSON, Patience, exact, max_bytes, within_deadline
from millisight.server.service import Service

_B64 = "b64"


class _Rows(BaseModel):
    instances: list[Any] = Field(max_length=MOST_ELEMENTS)


async def _models(request: Request) -> Response:
    service: Service = request.app.state.service
    return JSONResponse({"models": list(service.models)})


async def _status(request: Request) -> Response:
    """What KServe's clients look for, and what TensorFlow Serving's do."""
    served = found(request)
    state = "AVAILABLE" if served.answers else "LOADING"
    status = {
        "version": VERSION,
        "state": state,
        "status": {"error_code": "OK", "error_message": ""},
    }
    return JSONResponse(
        {"name": served.name, "ready": served.answers, "model_version_status": [status]}
    )


async def _predict(request: Request) -> Response:
    return await within_deadline(request, _respond)


async def _respond(request: Request, service: Service, patience: Patience) -> Response:
    ready_one(request)
    body = await read_uncompressed(request, max_bytes=max_bytes(service))
    most = most_pictures(service.settings)
    pictures = await aside(len(body), lambda: _pictures(body, most))
    with patience.watching():
        # Found anew: it may have been exchanged while the pictures came in.
        find = partial(ready_one, request)
        served, scores = await scores_of(service, find, pictures, deadline=patience.deadline)
    note(request, model=served.name, pictures=len(scores))
    size = sum(one.confidences.size for one in scores) * NUMBER_BYTES
    return await aside(
        size, lambda: JSONResponse({"predictions": [exact(one.confidences) for one in scores]})
    )


def _pictures(body: bytes, most: int) -> list[Sent]:
    instances = parse(_Rows, body).instances
    check_count(len(instances), most)
    return [_picture(one) for one in instances]


def _picture(instance: object) -> Sent:
    """``{"b64": "…"}`` or pixels, either of them perhaps under a name, with other fields beside."""
    match _value(instance):
        case {"b64": str(text)} | str(text):
            return from_base64(text)
        case list(rows):
            pixels = pixels_of(rows)
            if pixels.ndim == 3 and pixels.shape[2] == 3:
                return pixels
    raise BadRequest(
        "An instance is not a picture.",
        hint='Send {"b64": "…"} with the base64 of a JPEG, PNG …, or pixels as [height][width][3].',
    )


def _value(instance: object) -> object:
    """What holds the picture in an instance."""
    if not isinstance(instance, dict) or _B64 in instance:
        return instance
    values = list(instance.values())
    # KServe's clients send bare base64 under a name, others a text of their own beside it.
    for kind in (dict | list, str):
        if len(fitting := [one for one in values if isinstance(one, kind)]) == 1:
            return fitting[0]
    return None


_route = partial(described, "TensorFlow Serving")


def _routes() -> Iterator[APIRoute]:
    yield _route("/v1/models", _models, NamesBody, "All models")
    for path in ("/v1/models/{model}", "/v1/models/{model}/versions/{version}"):
        route = partial(_route, shown="{version}" not in path)
        yield route(
            f"{path}:predict",
            _predict,
            PredictionsBody,
            "Classify pictures",
            methods=["POST"],
            body={"required": True, "content": {JSON: {"schema": INSTANCES}}},
        )
        yield route(path, _status, StatusBody, "Can it answer?")


routes = list(_routes())
