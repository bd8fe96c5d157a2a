"""Whatever stands in a request: it gives pictures, or an error that says why not."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from millisight.errors import BadRequest
from millisight.server.dialects.envelope import _asked
from millisight.server.dialects.tensors import from_values, unpack

SHAPES = st.lists(st.integers(-2, 4) | st.integers(), max_size=5)
KINDS = st.sampled_from(["UINT8", "BYTES", "FP32", ""])
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=12,
)


@given(KINDS, SHAPES, st.binary(max_size=60))
def test_any_bytes_are_as_many_pictures_as_the_shape_says_or_refused(
    kind: str, shape: list[int], raw: bytes
) -> None:
    try:
        pictures = unpack(kind, shape, raw, most=256)
    except BadRequest:
        return
    assert len(pictures) == shape[0]


@given(KINDS, SHAPES, st.lists(VALUES, max_size=6))
def test_any_values_are_as_many_pictures_as_the_shape_says_or_refused(
    kind: str, shape: list[int], values: list[Any]
) -> None:
    try:
        pictures = from_values(kind, shape, values, most=256)
    except BadRequest:
        return
    assert len(pictures) == shape[0]


@given(VALUES, st.binary(max_size=20))
def test_any_json_is_understood_or_refused(value: Any, tail: bytes) -> None:
    tensor = {"name": "image", "shape": [1], "datatype": "BYTES", "data": value}
    wanted = [{"name": "probabilities", "parameters": {"classification": value}}]
    for body in (value, {"inputs": value}, {"inputs": [tensor], "outputs": wanted}):
        try:
            asked = _asked(json.dumps(body).encode(), tail, most=256)
        except BadRequest:
            continue
        assert len(asked.pictures) == 1


@given(st.lists(st.binary(max_size=9), min_size=1, max_size=5))
def test_what_is_packed_is_unpacked(pictures: list[bytes]) -> None:
    raw = b"".join(len(one).to_bytes(4, "little") + one for one in pictures)
    assert unpack("BYTES", [len(pictures)], raw, most=5) == pictures
    assert unpack("BYTES", [len(pictures), 1], memoryview(raw), most=5) == pictures


def test_pixels_keep_their_places() -> None:
    pixels = np.arange(2 * 3 * 4 * 3, dtype=np.uint8).reshape(2, 3, 4, 3)
    for values in (pixels.tolist(), pixels.ravel().tolist()):
        found = from_values("UINT8", [2, 3, 4, 3], values, most=2)
        assert np.array_equal(np.stack(found), pixels)
    found = unpack("UINT8", [2, 3, 4, 3], pixels.tobytes(), most=2)
    assert np.array_equal(np.stack(found), pixels)


def test_a_shape_that_no_memory_could_hold_is_refused() -> None:
    with pytest.raises(BadRequest, match="its shape says"):
        unpack("UINT8", [1, 2**31 - 1, 2**31 - 1, 3], b"", most=256)
