"""How a model looks in the Open Inference Protocol: one input, one output, one version."""

from collections.abc import Collection, Iterable
from math import prod
from typing import Any

from fastapi import Request

from millisight.errors import BadRequest, ModelNotFound
from millisight.server.dialects.batch import most_pictures
from millisight.server.served import Served
from millisight.server.service import Service
from millisight.settings import Settings

INPUT = "image"
OUTPUT = "probabilities"

VERSION = "1"
"""The only one. What exactly answers is told by the digest in ``GET /models``."""

PLATFORM = "openvino_ir"

_MOST_AXES = 8
_LONGEST_AXIS = 2**31 - 1

PROTOCOL = "2"
"""Its version."""

EXTENSIONS = ["binary_tensor_data", "classification", "model_configuration"]


def check_version(version: str | None) -> None:
    """Raise ``ModelNotFound`` unless it is ``VERSION`` or left open."""
    if version not in {None, "", VERSION}:
        raise ModelNotFound(
            f"There is no version {str(version)[:20]!r} of this model.",
            hint=f"Each model has one version, {VERSION}.",
        )


def found(request: Request) -> Served:
    """The model that the path of ``request`` names. Raises ``ModelNotFound``."""
    check_version(request.path_params.get("version"))
    service: Service = request.app.state.service
    return service.find(request.path_params["model"])


def ready_one(request: Request) -> Served:
    """The same, warmed up. Raises ``ModelNotFound`` and ``NotReady``."""
    service: Service = request.app.state.service
    return service.ready_one(found(request).name)


def check_tensors(inputs: Collection[Any], outputs: Collection[Any]) -> None:
    """Raise ``BadRequest`` unless ``inputs`` are ``INPUT``, ``outputs`` are ``OUTPUT`` or left
    open, and all are in the request. Each has a name and parameters, out of JSON or protobuf."""
    _check_input([one.name for one in inputs])
    _check_output([one.name for one in outputs])
    for one in (*inputs, *outputs):
        _check_parameters(one.parameters)


def _check_input(names: list[str]) -> None:
    if names != [INPUT]:
        given = ", ".join(repr(name[:40]) for name in names[:4]) or "none"
        raise BadRequest(
            f"The model takes one input, {INPUT!r}, and the request has {given}.",
            hint="GET /v2/models/{model} says what it takes.",
        )


def _check_output(names: list[str]) -> None:
    if len(names) > 1:
        raise BadRequest("The model has one output; name it once.")
    for name in names:
        if name != OUTPUT:
            raise BadRequest(
                f"The model has no output {name[:40]!r}.", hint=f"Its one output is {OUTPUT!r}."
            )


def _check_parameters(parameters: Iterable[str]) -> None:
    if any(name.startswith("shared_memory") for name in parameters):
        raise BadRequest(
            "Shared memory is not offered here.", hint="Send the tensors in the request."
        )


def server() -> dict[str, Any]:
    """What ``GET /v2`` says."""
    # Which millisight this is would tell strangers what it is open to.
    return {"name": "millisight", "version": PROTOCOL, "extensions": EXTENSIONS}


def metadata(served: Served) -> dict[str, Any]:
    """What ``GET /v2/models/{model}`` says."""
    return {
        "name": served.name,
        "versions": [VERSION],
        "platform": PLATFORM,
        "inputs": [{"name": INPUT, "datatype": "UINT8", "shape": [-1, -1, -1, 3]}],
        "outputs": [{"name": OUTPUT, "datatype": "FP32", "shape": [-1, class_count(served)]}],
    }


def config(served: Served, settings: Settings) -> dict[str, Any]:
    """What ``GET /v2/models/{model}/config`` says; shapes are without the batch there."""
    return {
        "name": served.name,
        "platform": PLATFORM,
        "backend": "openvino",
        "max_batch_size": most_pictures(settings),
        "input": [{"name": INPUT, "data_type": "TYPE_UINT8", "dims": [-1, -1, 3]}],
        "output": [{"name": OUTPUT, "data_type": "TYPE_FP32", "dims": [class_count(served)]}],
    }


def index_entry(served: Served) -> dict[str, str]:
    """What the repository's index says of it."""
    state = "READY" if served.answers else "UNAVAILABLE"
    return {"name": served.name, "version": VERSION, "state": state, "reason": ""}


def class_count(served: Served) -> int:
    """How many numbers the output has for each picture."""
    return served.bundle.manifest.class_count


def elements(shape: list[int]) -> int:
    """How many values a tensor of ``shape`` has. Raises ``BadRequest`` for what is no shape."""
    # Before anything is reckoned or written with them: they may be as long as the request.
    if not 1 <= len(shape) <= _MOST_AXES or not 1 <= min(shape) <= max(shape) <= _LONGEST_AXIS:
        raise BadRequest(
            f"A shape has 1 to {_MOST_AXES} whole numbers, each from 1 to {_LONGEST_AXIS}.",
            hint="Pixels have [pictures, height, width, 3], files' bytes [pictures].",
        )
    return prod(shape)
