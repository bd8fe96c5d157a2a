"""Protobuf's bytes to what they ask for, at no more cost than what they could ask for is worth.

Two bytes are enough for one more tensor in a message, and each takes a hundred in memory; so the
fields are counted before any message is made of them.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError

from millisight.errors import BadRequest
from millisight.server.dialects import messages_pb2 as messages
from millisight.server.dialects import model
from millisight.server.dialects.tensors import Asked, from_values, timeout_of, unpack, wanted

MOST_FIELDS = 2_000
"""In one request, those of messages within it included; 256 pictures take some 300."""

_LONGEST_VARINT = 10

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
"""Kinds of fields on the wire; the other two, groups, are in no message here."""


@dataclass(frozen=True, slots=True)
class Inference:
    """A request for inference."""

    model: str
    version: str
    asked: Asked


def read_inference(raw: bytes, *, most: int) -> Inference:
    """What a ``ModelInferRequest`` of at most ``most`` pictures asks for.

    ``slow_bytes`` is to be asked first. Raises ``BadRequest``.
    """
    request = parse(messages.ModelInferRequest, raw)
    model.check_tensors(request.inputs, request.outputs)
    how = _parameters(request.outputs[0].parameters) if request.outputs else {}
    asked = Asked(
        pictures=_pictures(request.inputs[0], request.raw_input_contents, most),
        output=wanted(how.get("classification"), binary=True),
        id=request.id,
        timeout=timeout_of(_parameters(request.parameters).get("timeout")),
    )
    return Inference(request.model_name, request.model_version, asked)


def parse(kind: Any, raw: bytes) -> Any:
    """The message of class ``kind``. Raises ``BadRequest``."""
    try:
        return kind.FromString(raw)
    except DecodeError as error:
        raise _broken() from error


def _pictures(tensor: Any, raw: Collection[bytes], most: int) -> Any:
    shape = list(tensor.shape)
    if len(raw) > 1 or (raw and tensor.HasField("contents")):
        raise BadRequest(
            f"Input {tensor.name!r} must have either contents, or one of raw_input_contents."
        )
    for one in raw:
        return unpack(tensor.datatype, shape, one, most=most)
    contents = tensor.contents
    pixels = tensor.datatype == "UINT8"
    values = contents.uint_contents if pixels else contents.bytes_contents
    return from_values(tensor.datatype, shape, values, most=most)


def _parameters(given: Mapping[str, Any]) -> dict[str, Any]:
    """Their values by name, whatever kind they are of."""
    return {
        name: getattr(one, kind)
        for name, one in given.items()
        if (kind := one.WhichOneof("parameter_choice"))
    }


def slow_bytes(raw: bytes, kind: Any) -> int:
    """How many of the bytes of a message of class ``kind`` are slow to read: all but pictures'.

    Raises ``BadRequest`` for more than ``MOST_FIELDS`` fields and for what is no message.
    """
    slow, left = len(raw), MOST_FIELDS
    parts: list[tuple[int, int, Descriptor]] = [(0, len(raw), kind.DESCRIPTOR)]
    while parts:
        at, end, descriptor = parts.pop()
        while at < end:
            number, at, length = _field(raw, at, end)
            field = descriptor.fields_by_number.get(number)
            left -= 1
            if length and field is not None:
                if field.message_type is not None:
                    parts.append((at - length, at, field.message_type))
                elif field.type == FieldDescriptor.TYPE_BYTES:
                    slow -= length
                elif field.type == FieldDescriptor.TYPE_INT64:
                    # The numbers of a shape, each of one byte or more.
                    left -= length
            if left < 0:
                raise BadRequest(
                    f"The message has more than {MOST_FIELDS} fields.",
                    hint="Send each tensor as one of raw_input_contents.",
                )
    return slow


def _field(raw: bytes, at: int, end: int) -> tuple[int, int, int]:
    """The number of the field at ``at``, where it ends, and how much it holds of what has a
    length: 0 if it is of another kind."""
    key, at = _varint(raw, at, end)
    length = 0
    match key & 7:
        case _ if not key >> 3:
            raise _broken()
        case kind if kind == _VARINT:
            _, at = _varint(raw, at, end)
        case kind if kind == _FIXED64:
            at += 8
        case kind if kind == _LENGTH:
            length, at = _varint(raw, at, end)
            at += length
        case kind if kind == _FIXED32:
            at += 4
        case _:
            raise _broken()
    if at > end:
        raise _broken()
    return key >> 3, at, length


def _varint(raw: bytes, at: int, end: int) -> tuple[int, int]:
    """The number at ``at``, and where it ends."""
    value = 0
    for place, byte in enumerate(raw[at : min(end, at + _LONGEST_VARINT)]):
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return value, at + place + 1
    raise _broken()


def _broken() -> BadRequest:
    return BadRequest("The message is damaged, or of another kind.")
