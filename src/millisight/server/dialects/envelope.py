"""The Open Inference Protocol's bodies over HTTP: JSON, with tensors within or behind it."""

import asyncio
import math
import zlib
from typing import Annotated, Any, TypeVar

from fastapi import Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, FailFast, Field, ValidationError

from millisight.budget import Share
from millisight.errors import BadRequest
from millisight.server.dialects.aside import NUMBER_BYTES, aside
from millisight.server.dialects.batch import most_pictures
from millisight.server.dialects.inference import Answer
from millisight.server.dialects.model import (
    VERSION,
    check_tensors,
)
from millisight.server.dialects.tensors import (
    Asked,
    from_values,
    timeout_of,
    unpack,
    wanted,
)
from millisight.server.intake import exact, max_bytes
from millisight.server.service import Service
from millisight.server.upload import read_body, too_large

HEADER_LENGTH = "Inference-Header-Content-Length"

_MOST_LISTS = 250_000
"""Lists and objects in one request: five pictures of 224 × 224 with a list for each pixel. They are
what takes time and memory: 3,000,000 of them, in 10 MB, held up everything else for seconds."""

MOST_ELEMENTS = 1000
"""Of a list whose length is then looked at: a few are right, and millions need not be made."""

_STEP = 1_000_000
"""Bytes that are unpacked before it is seen whether there is room for more."""

_EITHER_FORMAT = zlib.MAX_WBITS | 32
"""zlib's word for: gzip or zlib, whichever it is."""

Parameters = dict[str, Any]
Parsed = TypeVar("Parsed", bound=BaseModel)
Element = TypeVar("Element")
Checked = Annotated[list[Element], FailFast()]
"""A list whose first wrong element is told and no other: there may be millions of them."""


class _Input(BaseModel):
    name: str
    shape: Checked[int]
    datatype: str
    parameters: Parameters = Field(default_factory=dict)
    data: list[Any] | None = None


class _Output(BaseModel):
    name: str
    parameters: Parameters = Field(default_factory=dict)


class _Inference(BaseModel):
    id: str = ""
    parameters: Parameters = Field(default_factory=dict)
    inputs: Checked[_Input] = Field(max_length=MOST_ELEMENTS)
    outputs: Checked[_Output] = Field(default_factory=list, max_length=MOST_ELEMENTS)


async def read_uncompressed(request: Request, *, max_bytes: int) -> bytes:
    """The body of ``request``, unpacked where it says that it is compressed.

    Raises ``UploadTooLarge`` for more than ``max_bytes``, packed or unpacked, ``Overloaded`` and
    ``BadRequest``.
    """
    body = await read_body(request, max_bytes=max_bytes)
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    match encoding:
        case "identity":
            return body
        case "gzip" | "deflate":
            return await asyncio.to_thread(_inflate, body, max_bytes, request.state.body)
        case _:
            raise BadRequest(
                f"Content-Encoding {encoding[:20]!r} is not known here.",
                hint="Use gzip, deflate or none.",
            )


def _inflate(body: bytes, max_bytes: int, share: Share) -> bytes:
    packed = zlib.decompressobj(_EITHER_FORMAT)
    plain: list[bytes] = []
    rest, room = body, max_bytes
    try:
        while part := packed.decompress(rest, _STEP):
            room -= len(part)
            if room < 0:
                raise too_large(max_bytes)
            share.take(len(part))
            plain.append(part)
            rest = packed.unconsumed_tail
    except zlib.error as error:
        raise BadRequest("The compressed body is damaged.") from error
    if not packed.eof or packed.unused_data:
        raise BadRequest("The compressed body is cut off, or something follows it.")
    return b"".join(plain)


def parse(kind: type[Parsed], text: bytes) -> Parsed:
    """JSON as ``kind``. Raises ``BadRequest``."""
    if text.count(b"[") + text.count(b"{") > _MOST_LISTS:
        raise BadRequest(
            f"The JSON of the request has more than {_MOST_LISTS} lists and objects.",
            hint="Send pictures as their files' bytes, or pixels in one flat list.",
        )
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BadRequest(
            f"The JSON of the request is wrong{' at ' if where else ''}{where}: {first['msg']}."
        ) from error


async def read_inference(request: Request, service: Service) -> Asked:
    """What ``request`` asks for. Raises ``UploadTooLarge`` and ``BadRequest``."""
    body = await read_uncompressed(request, max_bytes=max_bytes(service))
    most = most_pictures(service.settings)
    length = request.headers.get(HEADER_LENGTH)
    if length is None:
        return await aside(len(body), lambda: _asked(body, b"", most=most))
    if not (length.isascii() and length.isdecimal() and len(length) < 12) or int(length) > len(
        body
    ):
        raise BadRequest(f"{HEADER_LENGTH} is not a length within the body.")
    if not (at := int(length)):
        return Asked([body])
    # A view, because pixels need no copy.
    return await aside(at, lambda: _asked(body[:at], memoryview(body)[at:], most=most))


def _asked(text: bytes, tail: bytes | memoryview, *, most: int) -> Asked:
    inference = parse(_Inference, text)
    check_tensors(inference.inputs, inference.outputs)
    binary = bool(inference.parameters.get("binary_data_output", False))
    how = inference.outputs[0].parameters if inference.outputs else {}
    return Asked(
        pictures=_pictures(inference.inputs[0], tail, most),
        output=wanted(how.get("classification"), binary=bool(how.get("binary_data", binary))),
        id=inference.id,
        timeout=timeout_of(inference.parameters.get("timeout")),
    )


def _pictures(tensor: _Input, tail: bytes | memoryview, most: int) -> Any:
    size = tensor.parameters.get("binary_data_size")
    if (size is None) == (tensor.data is None):
        raise BadRequest(
            f"Input {tensor.name!r} must have either data, or binary_data_size and its bytes."
        )
    if (size or 0) != len(tail):
        raise BadRequest(
            f"{len(tail)} bytes follow the JSON, and binary_data_size says {str(size)[:20]}."
        )
    if tensor.data is None:
        return unpack(tensor.datatype, tensor.shape, tail, most=most)
    return from_values(tensor.datatype, tensor.shape, tensor.data, most=most)


async def respond(request: Request, answer: Answer, asked: Asked) -> Response:
    """``answer`` in the form that was ``asked`` for."""
    numbers = 0 if asked.output.binary else math.prod(answer.tensor.shape)
    response = await aside(numbers * NUMBER_BYTES, lambda: _written(answer, asked))
    return _compressed(response, request.headers.get("accept-encoding", "").strip().lower())


def _written(answer: Answer, asked: Asked) -> Response:
    tail = b""
    tensor = answer.tensor
    output: dict[str, Any] = {
        "name": tensor.name,
        "datatype": tensor.datatype,
        "shape": tensor.shape,
    }
    if asked.output.binary:
        tail = tensor.packed()
        output["parameters"] = {"binary_data_size": len(tail)}
    else:
        values = tensor.values
        output["data"] = values if isinstance(values, list) else exact(values)
    body = {"model_name": answer.model, "model_version": VERSION, "outputs": [output]}
    if asked.id:
        body["id"] = asked.id
    response: Response = JSONResponse(body)
    if tail:
        headers = {HEADER_LENGTH: str(len(response.body))}
        content = bytes(response.body) + tail
        response = Response(content, media_type="application/octet-stream", headers=headers)
    return response


def _compressed(response: Response, accepted: str) -> Response:
    """Only for who asks for one form and no other: tritonclient does so if it is told to, and
    says that it takes anything where it does not unpack."""
    if accepted not in {"gzip", "deflate"}:
        return response
    bits = zlib.MAX_WBITS | (16 if accepted == "gzip" else 0)
    packer = zlib.compressobj(wbits=bits)
    response.body = packer.compress(response.body) + packer.flush()
    response.headers["Content-Encoding"] = accepted
    response.headers["Content-Length"] = str(len(response.body))
    return response
