"""The Open Inference Protocol, version 2, over HTTP: what KServe's, Triton's and OpenVINO Model
Server's clients speak.

https://github.com/kserve/open-inference-protocol, with the extensions of ``model.EXTENSIONS``.
"""

import time
from collections.abc import Iterator

from fastapi import Request, Response
from fastapi.responses import JSONResponse
from starlette.routing import Route

import millisight
from millisight.server import about
from millisight.server.dialects import model, tensors
from millisight.server.dialects.batch import check_count, scores_of
from millisight.server.dialects.envelope import read_inference, respond
from millisight.server.intake import Patience, max_bytes, within_deadline
from millisight.server.service import Service


async def _live(request: Request) -> Response:
    return JSONResponse((await about.live(request)).model_dump())


async def _ready(request: Request) -> Response:
    return JSONResponse((await about.ready(request)).model_dump())


async def _server(_: Request) -> Response:
    return JSONResponse(
        {
            "name": "millisight",
            "version": millisight.__version__,
            "extensions": model.EXTENSIONS,
        }
    )


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
    began = time.monotonic()
    model.ready_one(request)
    asked = await read_inference(request, max_bytes=max_bytes(service))
    check_count(len(asked.pictures), service.settings)
    # Not the one from before: it may have been exchanged while the pictures came in.
    served = model.ready_one(request)
    deadline = patience.deadline
    if asked.timeout is not None:
        deadline = min(deadline, began + asked.timeout)
    with patience.watching():
        scores = await scores_of(service, served, asked.pictures, deadline=deadline)
    answers = [tensors.answer(scores, served.bundle.labels, output) for output in asked.outputs]
    return respond(request, served.name, asked, answers)


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
