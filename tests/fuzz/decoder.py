"""Any bytes come out of the decoder as pixels, or as an error of ours: ``make fuzz``."""

import struct
import sys
import zlib

import numpy as np

from millisight.errors import MillisightError
from millisight.image import Limits, decode
from tests import hazards
from tests.fuzz.runner import main
from tests.support import PREPROCESS, encode, solid, texture

SMALL = Limits(max_pixels=250_000)
"""Damage may make a picture claim any size; nothing here is about decoding millions of pixels."""

_PNG = b"\x89PNG\r\n\x1a\n"


def _seeds() -> list[bytes]:
    picture = texture(20, 15)
    frames = {"save_all": True, "append_images": [solid("red", size=(20, 15))]}
    profile = hazards.cmyk_profile((9, 128, 128))
    return [
        *(encode(picture, name) for name in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")),
        *(encode(picture, name, **frames) for name in ("PNG", "WEBP", "GIF", "TIFF", "MPO")),
        *(encode(picture.quantize(16), name, transparency=3) for name in ("PNG", "GIF")),
        *(encode(picture.convert(mode), "PNG") for mode in ("1", "I;16", "LA", "RGBA")),
        encode(picture, "JPEG", progressive=True),
        encode(picture, "TIFF", compression="tiff_lzw"),
        encode(picture, "WEBP", lossless=True),
        encode(picture.convert("CMYK"), "JPEG", icc_profile=profile),
        hazards.with_exif(encode(picture, "JPEG"), hazards.exif_orientation(6)),
        hazards.tiff(4, 4, bytes(64), bits=32, sample_format=3),
        hazards.tiff_of_one_tile(64),
    ]


SEEDS = _seeds()


def check(data: bytes) -> None:
    """Raise what ``decode`` raises, if that is no error of ours, and if it gives no picture."""
    _check_as_it_is(data)
    if data.startswith(_PNG):
        _check_as_it_is(with_checksums(data))


def with_checksums(png: bytes) -> bytes:
    """``png`` with right checksums; a wrong one ends it before what it covers is looked at."""
    repaired = bytearray(png)
    position = len(_PNG)
    while position + 12 <= len(png):
        end = position + 8 + int.from_bytes(png[position : position + 4])
        if end + 4 > len(png):
            break
        struct.pack_into(">I", repaired, end, zlib.crc32(png[position + 4 : end]))
        position = end + 4
    return bytes(repaired)


def _check_as_it_is(data: bytes) -> None:
    try:
        decoded = decode(data, PREPROCESS, SMALL)
    except MillisightError:
        return
    assert decoded.pixels.shape == (224, 224, 3)
    assert decoded.pixels.dtype == np.uint8
    left, top, right, bottom = decoded.box
    assert 0 <= left < right <= 1
    assert 0 <= top < bottom <= 1


if __name__ == "__main__":
    sys.exit(main("decoder", SEEDS, check))
