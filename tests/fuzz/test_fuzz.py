"""The fuzz targets hold for some damaged inputs; ``make fuzz`` tries many more."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.requests import ClientDisconnect

from millisight.errors import BadRequest, UploadTooLarge
from millisight.image import decode
from millisight.server.dialects import messages_pb2 as messages
from millisight.server.dialects.wire import MOST_FIELDS, slow_bytes
from tests.fuzz import decoder, dialects, multipart
from tests.support import PREPROCESS

EXAMPLES = settings(max_examples=1000)


@st.composite
def damaged(draw: st.DrawFn, seeds: Sequence[bytes]) -> bytes:
    """A seed with some of it, here and there, exchanged for a piece of another or for anything."""
    data, other = draw(st.sampled_from(seeds)), draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(1, 4))):
        begin = draw(st.integers(0, len(data)))
        end = draw(st.integers(begin, min(begin + 20, len(data))) | st.just(len(data)))
        at = draw(st.integers(0, len(other)))
        patch = draw(st.binary(max_size=8) | st.just(other[at : at + 20]) | st.just(other[at:]))
        data = data[:begin] + patch + data[end:]
    return data


def test_the_seeds_of_the_decoder_are_pictures() -> None:
    for seed in decoder.SEEDS:
        decode(seed, PREPROCESS, decoder.SMALL)
        decoder.check(seed)


@EXAMPLES
@given(damaged(decoder.SEEDS))
def test_a_damaged_picture_gives_pixels_or_an_error_of_ours(data: bytes) -> None:
    decoder.check(data)


def test_the_seeds_of_the_forms_end_in_every_way() -> None:
    for seed in multipart.SEEDS:
        multipart.check(seed)
    ends = {multipart.outcome(seed) for seed in multipart.SEEDS}
    assert ends == {b"abc", BadRequest, UploadTooLarge, ClientDisconnect}


@EXAMPLES
@given(damaged(multipart.SEEDS))
def test_a_damaged_upload_gives_the_picture_or_an_error_of_ours(data: bytes) -> None:
    multipart.check(data)


def test_the_seeds_of_the_dialects_are_pictures() -> None:
    for seed in dialects.SEEDS:
        assert dialects.pictures_of(seed)
        dialects.check(seed)


@settings(max_examples=300)
@given(damaged(dialects.SEEDS))
def test_a_damaged_message_gives_pictures_or_an_error_of_ours(data: bytes) -> None:
    dialects.check(data)


def of_tensors(count: int) -> bytes:
    request = messages.ModelInferRequest(inputs=[messages.Tensor()] * count)
    return bytes(request.SerializeToString())


def test_so_many_fields_are_counted_and_more_are_refused() -> None:
    most = of_tensors(MOST_FIELDS)
    assert slow_bytes(most, messages.ModelInferRequest) == len(most)
    with pytest.raises(BadRequest, match="more than 2000 fields"):
        slow_bytes(of_tensors(MOST_FIELDS + 1), messages.ModelInferRequest)
