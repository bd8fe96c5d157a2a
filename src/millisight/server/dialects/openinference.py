"""The Open Inference Protocol, version 2, over HTTP: what KServe's, Triton's and OpenVINO Model
Server's clients speak.

https://github.com/kserve/open-inference-protocol, with the extensions of ``model.EXTENSIONS``.
"""

from collections.abc import Iterator
from functools import partial

from fastapi import Request, Response
from fastapi.responses import JSONResponse
from starlette.routing import Route

from millisight.server import about
from millisight.server.access import note
from millisight.server.dialects import model
from millisight.server.dialects.envelope import read_inference, respond
from millisight.server.dialects.inference import infer
from millisight.server.intake import Patience, within_deadline
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


def _routes() -> Iterator[Route]:
    for path in ("/v2", "/v2/"):
        yield Route(path, _server)
    yield Route("/v2/health/live", _live)
    yield Route("/v2/health/ready", _ready)
    yield Route("/v2/repository/index", _index, methods=["POST"])
    for path in ("/v2/models/{model}", "/v2/models/{model}/versions/{version}"):
        yield Route(path, _metadata)
        yield Route(f"{path}/ready", _model_ready)
        yield Route(f"{path}/config", _config)
        yield Route(f"{path}/infer", _infer, methods=["POST"])


routes = list(_routes())
