"""TorchServe's inference API, answering as its stock image classifier does: the five best classes.

https://docs.pytorch.org/serve/inference_api.html
"""

import json
from collections.abc import Iterator
from functools import partial

from fastapi import Request, Response
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute

from millisight.classifier import Classifier
from millisight.errors import ModelNotFound
from millisight.server import about
from millisight.server.access import note_answer
from millisight.server.dialects.described import NOT_READY, PingBody, described
from millisight.server.intake import Patience, picture_body, picture_of, within_deadline
from millisight.server.service import Service

TOP_K = 5

_FIELDS = ["data", "body"]

_VERSIONS = {"1.0", "1"}
"""What ``torch-model-archiver --version`` was usually told."""


async def _ping(request: Request) -> Response:
    await about.ready(request)
    return JSONResponse({"status": "Healthy"})


async def _predictions(request: Request) -> Response:
    return await within_deadline(request, _respond)


async def _respond(request: Request, service: Service, patience: Patience) -> Response:
    name = request.path_params["model"]
    version = request.path_params.get("version", "1")
    service.ready_one(name)
    if version not in _VERSIONS:
        raise ModelNotFound(
            f"There is no version {version[:20]!r} of this model.", hint="Leave it out."
        )
    picture = await picture_of(request, service, _FIELDS)
    # Not the one from before: it may have been exchanged while the picture came in.
    served = service.ready_one(name)
    ask = partial(Classifier.submit, picture=picture, top_k=TOP_K, deadline=patience.deadline)
    with patience.watching():
        result, cached = await service.answer(
            served, served.key(picture, TOP_K), ask, deadline=patience.deadline
        )
    note_answer(request, served.name, result, cached=cached)
    answer: dict[str, float] = {}
    for one in result.predictions:
        # Two classes may have one label; the more confident is the one to tell.
        answer.setdefault(one.label, one.confidence)
    return Response(json.dumps(answer, indent=2, ensure_ascii=False), media_type="application/json")


_route = partial(described, "TorchServe")


def _routes() -> Iterator[APIRoute]:
    yield _route("/ping", _ping, PingBody, "Can it answer?", responses=NOT_READY)
    for path in ("/predictions/{model}", "/predictions/{model}/{version}"):
        for method in ("POST", "PUT"):
            yield _route(
                path,
                _predictions,
                dict[str, float],
                "Classify one picture",
                methods=[method],
                body=picture_body(_FIELDS[0]),
                shown="{version}" not in path,
            )


routes = list(_routes())
