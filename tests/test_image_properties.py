"""No bytes and no array get anything but pixels or an error of ours out of the image module."""

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from millisight.errors import BadImage, ImageError
from millisight.image import Decoded, Limits, decode, from_array
from tests import hazards
from tests.support import LIMITS, PREPROCESS, encode, solid, texture

SMALL = Limits(max_pixels=250_000)
"""Damage may make a picture claim any size; these tests need not decode millions of pixels."""

SIGNATURES = (
    *(b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", b"II*\0", b"MM\0*", b"II+\0"),
    *(b"RIFF\x20\0\0\0WEBP", b"\0\0\0\x18ftypavif", b"\0\0\0\x18ftypheic"),
)


def _originals() -> list[bytes]:
    picture = texture(40, 30)
    many = {"save_all": True, "append_images": [solid("red", size=(40, 30))]}
    return [
        *(encode(picture, name) for name in ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF")),
        *(encode(picture, name, **many) for name in ("GIF", "PNG", "WEBP", "TIFF", "MPO")),
        encode(picture, "JPEG", progressive=True),
        hazards.with_exif(encode(picture, "JPEG"), hazards.exif_orientation(6)),
        encode(picture.convert("RGBA"), "PNG"),
        encode(picture.quantize(16), "PNG", transparency=3),
        encode(picture.convert("CMYK"), "JPEG", icc_profile=hazards.cmyk_profile((9, 128, 128))),
        encode(picture, "TIFF", compression="tiff_lzw"),
        hazards.tiff(4, 4, bytes(64), bits=32, sample_format=3),
        hazards.tiff_of_one_tile(64),
    ]


ORIGINALS = _originals()


@st.composite
def damaged_files(draw: st.DrawFn) -> bytes:
    """A picture file with a few bytes changed, lost or added; half of the time in its head."""
    data = bytearray(draw(st.sampled_from(ORIGINALS)))
    for _ in range(draw(st.integers(1, 4))):
        last = max(len(data) - 1, 0)
        at = draw(st.integers(0, min(last, 200)) | st.integers(0, last))
        match draw(st.sampled_from(["flip", "set", "cut", "drop", "add"])):
            case "flip" if data:
                data[at] ^= 1 << draw(st.integers(0, 7))
            case "set":
                data[at : at + 4] = draw(st.sampled_from([b"\0" * 4, b"\xff" * 4, b"\x7f\xff"]))
            case "cut":
                del data[at:]
            case "drop":
                del data[at : at + draw(st.integers(1, 20))]
            case "add":
                data[at:at] = draw(st.binary(min_size=1, max_size=20))
    return bytes(data)


def attempt(data: bytes) -> None:
    try:
        decoded = decode(data, PREPROCESS, SMALL)
    except ImageError:
        return
    check(decoded)


def check(decoded: Decoded) -> None:
    assert decoded.pixels.shape == (224, 224, 3)
    assert decoded.pixels.dtype == np.uint8
    assert all(isinstance(warning, str) for warning in decoded.warnings)


def test_the_undamaged_files_are_decoded() -> None:
    for data in ORIGINALS:
        check(decode(data, PREPROCESS, SMALL))


@given(st.builds(bytes.__add__, st.sampled_from(SIGNATURES), st.binary(max_size=300)))
def test_any_bytes_give_pixels_or_an_image_error(data: bytes) -> None:
    attempt(data)


@settings(max_examples=500)
@given(damaged_files())
@example(b"\xff\xd8\xff\xc0")
def test_any_damage_gives_pixels_or_an_image_error(data: bytes) -> None:
    attempt(data)


@given(
    arrays.arrays(
        st.sampled_from([np.uint8, np.uint16, np.int16, np.float32, np.bool_, np.complex64]),
        arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=8),
        fill=st.just(0),
    )
)
def test_any_array_gives_pixels_or_a_bad_image(array: np.ndarray) -> None:
    try:
        decoded = from_array(array, PREPROCESS, LIMITS)
    except BadImage:
        return
    check(decoded)


@given(
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.sampled_from([((), np.uint8), ((3,), np.uint8), ((4,), np.uint8), ((), np.uint16)]),
)
def test_every_array_of_the_right_kind_is_a_picture(
    size: tuple[int, int], kind: tuple[tuple[int, ...], type]
) -> None:
    channels, dtype = kind
    check(from_array(np.ones((*size, *channels), dtype), PREPROCESS, LIMITS))
