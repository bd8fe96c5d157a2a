"""Tensors of the Open Inference Protocol: pictures out of them, and answers as them."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from millisight.errors import BadRequest
from millisight.predictions import MAX_TOP_K, Scores
from millisight.server.dialects.batch import Sent, check_count, from_base64
from millisight.server.dialects.model import OUTPUT, elements

_LENGTH = struct.Struct("<I")

_AT_ONCE = 65_536
"""Numbers, or rows of them, that become an array in one go."""

_DEEPEST = 4
"""How deep pixels are nested: picture, row, column, channel."""

_TOO_LONG = 2**63
"""A time that no integer of the protocol holds, in microseconds."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """An output as the client wants it."""

    classes: int = 0
    """How many classes by name; 0: the numbers of all classes."""
    binary: bool = True


@dataclass(frozen=True, slots=True)
class Asked:
    """A request for inference, without the form that it came in."""

    pictures: list[Sent]
    output: Wanted = Wanted()
    id: str = ""
    timeout: float | None = None
    """How long it may wait, in seconds."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """One output of an answer."""

    datatype: str
    shape: tuple[int, ...]
    values: NDArray[np.float32] | list[str]

    name: str = OUTPUT

    def packed(self) -> bytes:
        """As the binary extension has it."""
        if isinstance(self.values, list):
            encoded = (value.encode() for value in self.values)
            return b"".join(_LENGTH.pack(len(one)) + one for one in encoded)
        return self.values.astype("<f4", copy=False).tobytes()


def unpack(datatype: str, shape: list[int], raw: bytes | memoryview, *, most: int) -> list[Sent]:
    """The pictures of a binary tensor, at most ``most``. Raises ``BadRequest``."""
    count = _count(datatype, shape, most)
    if datatype == "UINT8":
        _check_size(len(raw), elements(shape))
        return list(np.frombuffer(raw, np.uint8).reshape(shape))
    pictures: list[Sent] = []
    at = 0
    while at < len(raw):
        if len(pictures) == count:
            raise _too_many(count)
        if at + _LENGTH.size > len(raw):
            raise _cut_off()
        (length,) = _LENGTH.unpack_from(raw, at)
        at += _LENGTH.size + length
        if at > len(raw):
            raise _cut_off()
        pictures.append(bytes(raw[at - length : at]))
    _check_size(len(pictures), count)
    return pictures


def from_values(datatype: str, shape: list[int], values: Sequence[Any], *, most: int) -> list[Sent]:
    """The pictures, at most ``most``, of a tensor whose ``values``, flat or nested, came otherwise
    than as bytes: numbers for UINT8; for BYTES, bytes or base64. Raises ``BadRequest``."""
    count = _count(datatype, shape, most)
    if datatype == "UINT8":
        pixels = pixels_of(values)
        _check_size(pixels.size, elements(shape))
        return list(pixels.reshape(shape))
    flat = chain.from_iterable(row if isinstance(row, list) else [row] for row in values)
    found = list(islice(flat, count + 1))
    if len(found) > count:
        raise _too_many(count)
    _check_size(len(found), count)
    return [_encoded(one) for one in found]


def pixels_of(values: Sequence[Any]) -> NDArray[np.uint8]:
    """Whole numbers from 0 to 255, flat or nested; as they are nested, so is the array's shape.

    Raises ``BadRequest``.
    """
    # In parts, because no other thread runs while numpy reads a list.
    parts = range(0, len(values), _AT_ONCE)
    try:
        return np.concatenate([_pixels(values[at : at + _AT_ONCE]) for at in parts])
    except ValueError as error:
        raise BadRequest("The rows of the pixels are not equally long.") from error


def _pixels(values: Sequence[Any]) -> NDArray[np.uint8]:
    # Where a text is among them, numpy makes each number as wide as it: 40 GB out of 1 MB.
    if not _all_whole(values):
        raise _no_pixel()
    numbers = np.asarray(values)
    if numbers.dtype.kind not in "iu" or numbers.min() < 0 or numbers.max() > 255:
        raise _no_pixel()
    return numbers.astype(np.uint8)


def _all_whole(values: Sequence[Any]) -> bool:
    level = values
    for _ in range(_DEEPEST):
        kinds = set(map(type, level))
        if kinds != {list}:
            return kinds == {int}
        level = list(chain.from_iterable(level))
    return False


def _encoded(value: object) -> bytes:
    match value:
        case bytes():
            return value
        case str():
            return from_base64(value)
        case _:
            raise BadRequest("A picture in JSON is not a text of base64.")


def _count(datatype: str, shape: list[int], most: int) -> int:
    """How many pictures such a tensor has, told before any of them is unpacked."""
    size = elements(shape)
    match datatype:
        case "UINT8" if len(shape) == 4 and shape[3] == 3:
            check_count(shape[0], most)
            return shape[0]
        case "BYTES" if size == shape[0]:
            check_count(size, most)
            return size
        case "UINT8":
            raise BadRequest(
                f"A tensor of shape {shape[:8]} is not pictures.",
                hint="Its shape must be [pictures, height, width, 3], the channels RGB.",
            )
        case "BYTES":
            raise BadRequest(
                f"A tensor of shape {shape[:8]} is not encoded pictures.",
                hint="Its shape must be [pictures], each element the bytes of one file.",
            )
        case _:
            raise BadRequest(
                f"The model takes no tensors of type {datatype[:20]!r}.",
                hint="Send pixels as UINT8 [pictures, height, width, 3], or JPEG, PNG … as BYTES.",
            )


def _check_size(given: int, wanted: int) -> None:
    if given != wanted:
        raise BadRequest(f"The tensor has {given} elements, and its shape says {wanted}.")


def _too_many(wanted: int) -> BadRequest:
    return BadRequest(f"The tensor has more elements than the {wanted} that its shape says.")


def _no_pixel() -> BadRequest:
    return BadRequest(
        "A pixel is not a whole number from 0 to 255.",
        hint="Pixels are not to be scaled or normalised; the model does that itself.",
    )


def _cut_off() -> BadRequest:
    return BadRequest("The tensor of type BYTES ends within an element.")


def wanted(classes: object, *, binary: bool) -> Wanted:
    """The output with its parameter ``classification``. Raises ``BadRequest``."""
    if classes is None:
        return Wanted(binary=binary)
    if not isinstance(classes, int) or isinstance(classes, bool) or not 1 <= classes <= MAX_TOP_K:
        raise BadRequest(
            f"The parameter classification of {OUTPUT!r} must be between 1 and {MAX_TOP_K}.",
            hint="Leave it out to get the numbers of all classes.",
        )
    return Wanted(classes, binary=binary)


def timeout_of(given: object) -> float | None:
    """The parameter ``timeout``, which is in microseconds, in seconds. Raises ``BadRequest``."""
    if given is None or given == 0:
        return None
    if not isinstance(given, int) or isinstance(given, bool) or given < 0:
        raise BadRequest("The parameter timeout must be a whole number of microseconds.")
    if given >= _TOO_LONG:
        raise BadRequest(
            "The parameter timeout is too long.", hint="Leave it out to wait as long as others do."
        )
    return given / 1e6


def answer(scores: Sequence[Scores], labels: Sequence[str], output: Wanted) -> Tensor:
    """``scores`` of each picture as the client wants them."""
    if not output.classes:
        values = np.stack([one.confidences for one in scores])
        return Tensor("FP32", values.shape, values)
    best = [one.best(labels, output.classes) for one in scores]
    lines = [
        f"{one.confidence:f}:{one.index}:{one.label}" for predictions in best for one in predictions
    ]
    return Tensor("BYTES", (len(best), len(best[0])), lines)
