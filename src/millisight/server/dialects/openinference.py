"""The Open Inference Protocol, version 2, over HTTP: what KServe's, Triton's and OpenVINO Model
Server's clients speak.

https://github.com/kserve/open-inference-protocol, with the extensions of ``model.EXTENSIONS``.
"""

from collections.abc import Iterator
from functools import partial

from fastapi import Request, Response
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute

from millisight.server import about
from millisight.server.access import note
from millisight.server.dialects import model
from millisight.server.dialects.described import (
    INFERENCE,
    NOT_READY,
    ConfigBody,
    IndexBody,
    InferenceBody,
    MetadataBody,
    ModelReadyBody,
    ServerBody,
    described,
)
from millisight.server.dialects.envelope import HEADER_LENGTH, read_inference, respond
from millisight.server.dialects.inference import infer
from millisight.server.intake import BYTES, JSON, Patience, within_deadline
from millisight.server.problems import GUARDED
from millisight.server.service import Service


async def _live(request: Request) -> Response:
    return JSONResponse((await about.live(request)).model_dump())


async def _ready(request: Request) -> Response:
    return JSONResponse((await about.ready(request)).model_dump())


async def _server(_: Request) -> Response:
    return JSONResponse(model.server())


async def _index(request: Request) -> Response:
    service: Service = request.app.state.service
    return JSONResponse([model.index_entry(served) for served in service.models.values()])


async def _metadata(request: Request) -> Response:
    return JSONResponse(model.metadata(model.found(request)))


async def _config(request: Request) -> Response:
    settings = request.app.state.service.settings
    return JSONResponse(model.config(model.found(request), settings))


async def _model_ready(request: Request) -> Response:
    served = model.ready_one(request)
    return JSONResponse({"name": served.name, "ready": True})


async def _infer(request: Request) -> Response:
    return await within_deadline(request, _respond)


async def _respond(request: Request, service: Service, patience: Patience) -> Response:
    model.ready_one(request)
    asked = await read_inference(request, service)
    with patience.watching():
        # Found anew: it may have been exchanged while the pictures came in.
        find = partial(model.ready_one, request)
        answer = await infer(service, find, asked, deadline=patience.deadline)
    note(request, model=answer.model, pictures=len(asked.pictures))
    return await respond(request, answer, asked)


_JSON_LENGTH = {
    "name": HEADER_LENGTH,
    "in": "header",
    "description": "How much of the body is JSON; what it describes follows",
    "schema": {"type": "integer", "minimum": 0},
}
_route = partial(described, "Open Inference Protocol")


def _routes() -> Iterator[APIRoute]:
    for path in ("/v2", "/v2/"):
        yield _route(path, _server, ServerBody, "What answers here", shown=path == "/v2")
    health = partial(_route, responses=NOT_READY)
    yield health("/v2/health/live", _live, about.Live, "Is the process alive?")
    yield health("/v2/health/ready", _ready, about.Ready, "Can it answer?")
    index = list[IndexBody]
    yield _route("/v2/repository/index", _index, index, "All models", methods=["POST"])
    yield from _of_model("/v2/models/{model}", shown=True)
    yield from _of_model("/v2/models/{model}/versions/{version}", shown=False)


def _of_model(path: str, *, shown: bool) -> Iterator[APIRoute]:
    route = partial(_route, shown=shown)
    yield route(path, _metadata, MetadataBody, "What a model takes and gives")
    ready = GUARDED | NOT_READY
    yield route(f"{path}/ready", _model_ready, ModelReadyBody, "Can it answer?", responses=ready)
    yield route(f"{path}/config", _config, ConfigBody, "How it is served")
    yield route(
        f"{path}/infer",
        _infer,
        InferenceBody,
        "Classify pictures",
        methods=["POST"],
        responses={200: {"content": BYTES}},
        body={"required": True, "content": {JSON: {"schema": INFERENCE}, **BYTES}},
        headers=[_JSON_LENGTH],
    )


routes = list(_routes())
