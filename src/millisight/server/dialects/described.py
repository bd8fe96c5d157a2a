"""How the dialects stand in this server's own OpenAPI document, for who looks at ``/docs``."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict

from millisight.server.intake import DEADLINE_PARAMETER, RESPONSES
from millisight.server.problems import GUARDED

_MODEL = {
    "name": "model",
    "in": "path",
    "required": True,
    "description": "Its name in GET /models",
    "schema": {"type": "string"},
}
_NOT_FOUND: dict[int | str, dict[str, Any]] = {404: RESPONSES[404]}
NOT_READY: dict[int | str, dict[str, Any]] = {503: RESPONSES[503]}


def described(
    tag: str,
    path: str,
    endpoint: Callable[..., Any],
    answer: Any,
    summary: str,
    *,
    methods: Collection[str] = ("GET",),
    responses: Mapping[int | str, Any] = GUARDED,
    body: Mapping[str, Any] | None = None,
    headers: Collection[Mapping[str, Any]] = (),
    shown: bool = True,
) -> APIRoute:
    """The route at ``path``, which answers with JSON as ``answer`` is or with one of ``responses``.

    With a ``body``, which is as OpenAPI has it, like ``headers``, it classifies.
    """
    extra: dict[str, Any] = {"parameters": [_MODEL] if "{model}" in path else []}
    found = _NOT_FOUND if "{model}" in path else {}
    if body is not None:
        extra["parameters"] += [DEADLINE_PARAMETER, *headers]
        extra["requestBody"] = body
        responses = RESPONSES | dict(responses)
    return APIRoute(
        path,
        endpoint,
        name=endpoint.__name__.lstrip("_"),
        methods=list(methods),
        response_model=answer,
        responses={**found, **responses},
        openapi_extra=extra,
        summary=summary,
        tags=[tag],
        include_in_schema=shown,
    )


INFERENCE = {
    "type": "object",
    "required": ["inputs"],
    "properties": {
        "id": {"type": "string"},
        "parameters": {"type": "object"},
        "inputs": {
            "type": "array",
            "minItems": 1,
            "maxItems": 1,
            "items": {
                "type": "object",
                "required": ["name", "shape", "datatype"],
                "properties": {
                    "name": {"type": "string", "enum": ["image"]},
                    "shape": {"type": "array", "items": {"type": "integer", "minimum": 1}},
                    "datatype": {"type": "string", "enum": ["UINT8", "BYTES"]},
                    "parameters": {"type": "object"},
                    "data": {"type": "array", "items": {}},
                },
            },
        },
        "outputs": {
            "type": "array",
            "maxItems": 1,
            "items": {
                "type": "object",
                "required": ["name"],
                "properties": {
                    "name": {"type": "string", "enum": ["probabilities"]},
                    "parameters": {"type": "object"},
                },
            },
        },
    },
}
"""What the Open Inference Protocol sends."""

INSTANCES = {
    "type": "object",
    "required": ["instances"],
    "properties": {"instances": {"type": "array", "minItems": 1, "items": {}}},
}
"""What TensorFlow Serving is sent."""


class _Body(BaseModel):
    """The protocols themselves have fields that begin with ``model_``."""

    model_config = ConfigDict(protected_namespaces=())


class ServerBody(_Body):
    """What answers, and in which ways."""

    name: str
    version: str
    extensions: list[str]


class TensorBody(_Body):
    """An input or an output; -1 is any number."""

    name: str
    datatype: str
    shape: list[int]


class MetadataBody(_Body):
    """What a model takes and gives."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorBody]
    outputs: list[TensorBody]


class ConfiguredBody(_Body):
    """The same as Triton configures it, without the batch."""

    name: str
    data_type: str
    dims: list[int]


class ConfigBody(_Body):
    """How a model is served."""

    name: str
    platform: str
    backend: str
    max_batch_size: int
    input: list[ConfiguredBody]
    output: list[ConfiguredBody]


class IndexBody(_Body):
    """A model of the repository."""

    name: str
    version: str
    state: str
    reason: str


class ModelReadyBody(_Body):
    """A model that answers."""

    name: str
    ready: bool


class OutputBody(TensorBody):
    """The output; ``data`` is missing where the numbers follow the JSON."""

    parameters: dict[str, int] = {}
    data: list[float | str] = []


class InferenceBody(_Body):
    """What a model says of the pictures of one request."""

    model_name: str
    model_version: str
    id: str = ""
    outputs: list[OutputBody]


class PingBody(_Body):
    """As TorchServe says it."""

    status: str


class NamesBody(_Body):
    """The names of all models."""

    models: list[str]


class VersionBody(_Body):
    """As TensorFlow Serving says it."""

    version: str
    state: str
    status: dict[str, str]


class StatusBody(_Body):
    """Whether a model answers: for KServe's clients, and for TensorFlow Serving's."""

    name: str
    ready: bool
    model_version_status: list[VersionBody]


class PredictionsBody(_Body):
    """The probabilities of all classes, of each picture."""

    predictions: list[list[float]]
