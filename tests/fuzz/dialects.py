"""Any message of a dialect comes out as pictures, or as an error of ours: ``make fuzz``.

An input is a byte that says which dialect, and the message; what follows the JSON of an Open
Inference request begins behind the first zero byte.
"""

import json
import sys

import numpy as np

from millisight.errors import BadRequest
from millisight.server.dialects import messages_pb2 as messages
from millisight.server.dialects.envelope import _asked as read_json
from millisight.server.dialects.tensors import Asked
from millisight.server.dialects.tfserving import _pictures as read_instances
from millisight.server.dialects.wire import read_inference, slow_bytes
from tests.fuzz.runner import main

MOST = 4
_GRPC, _OPEN, _TFSERVING = b"\0", b"\1", b"\2"

_BYTES = {"name": "image", "shape": [1], "datatype": "BYTES"}
_PIXELS = {"name": "image", "shape": [1, 1, 1, 3], "datatype": "UINT8"}


def _message(datatype: str, shape: list[int], raw: bytes = b"", **contents: object) -> bytes:
    tensor = messages.Tensor(name="image", datatype=datatype, shape=shape)
    if contents:
        tensor.contents.CopyFrom(messages.InferTensorContents(**contents))
    request = messages.ModelInferRequest(model_name="m", id="1", inputs=[tensor])
    if raw:
        request.raw_input_contents.append(raw)
    request.parameters["timeout"].int64_param = 5
    request.outputs.add(name="probabilities").parameters["classification"].int64_param = 3
    return _GRPC + request.SerializeToString()


def _open(tail: bytes = b"", **tensor: object) -> bytes:
    outputs = [{"name": "probabilities", "parameters": {"classification": 2}}]
    body = {"id": "1", "parameters": {"timeout": 9}, "inputs": [tensor], "outputs": outputs}
    return _OPEN + json.dumps(body).encode() + (b"\0" + tail if tail else b"")


def _instances(*instances: object) -> bytes:
    return _TFSERVING + json.dumps({"signature_name": "s", "instances": instances}).encode()


SEEDS = [
    _message("UINT8", [1, 1, 1, 3], b"abc"),
    _message("UINT8", [1, 1, 1, 3], uint_contents=[1, 2, 255]),
    _message("BYTES", [2], b"\1\0\0\0a\2\0\0\0bc"),
    _message("BYTES", [2], bytes_contents=[b"a", b"bc"]),
    _open(**_PIXELS, data=[1, 2, 3]),
    _open(**_PIXELS, data=[[[[1, 2, 3]]]]),
    _open(**_BYTES, data=["YWJj"]),
    _open(b"abc", **_PIXELS, parameters={"binary_data_size": 3}),
    _open(b"\1\0\0\0a", **_BYTES, parameters={"binary_data_size": 5}),
    _instances({"b64": "YWJj"}, {"image_bytes": {"b64": "YWJj"}}),
    _instances([[[1, 2, 3]]], {"data": "YWJj"}),
]


def check(data: bytes) -> None:
    """Raise what a parser raises, if that is no error of ours, and if it gives no pictures."""
    try:
        pictures = pictures_of(data)
    except BadRequest as error:
        assert error.message.endswith(".")
        return
    assert 1 <= len(pictures) <= MOST
    for one in pictures:
        assert isinstance(one, bytes) or (one.dtype == np.uint8 and one.shape[2] == 3)


def pictures_of(data: bytes) -> list[object]:
    """The pictures in an input. Raises ``BadRequest``."""
    how, message = data[:1], data[1:]
    if how == _TFSERVING:
        return list(read_instances(message, MOST))
    return list(_asked(how, message).pictures)


def _asked(how: bytes, message: bytes) -> Asked:
    if how == _OPEN:
        text, _, tail = message.partition(b"\0")
        return read_json(text, tail, most=MOST)
    assert 0 <= slow_bytes(message, messages.ModelInferRequest) <= len(message)
    return read_inference(message, most=MOST).asked


if __name__ == "__main__":
    sys.exit(main("dialects", SEEDS, check))
