"""The frames within an AVIF are no larger than the file says, and no more than it needs."""

import struct
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millisight.av1 import check_frames
from millisight.errors import BadImage
from millisight.image import decode
from tests import hazards
from tests.support import LIMITS, PREPROCESS, encode, solid, texture

SIZE = (400, 300)
PICTURE = texture(*SIZE)
STILL = encode(PICTURE, "AVIF")
OTHERS = [solid("red", size=SIZE)] * 3


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"subsampling": "4:4:4"},
        {"quality": 100},
        {"tile_rows": 1, "tile_cols": 1},
        {"save_all": True, "append_images": OTHERS},
    ],
    ids=["plain", "all colours", "best", "tiles", "animated"],
)
@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
def test_what_pillow_writes_is_read(mode: str, options: dict[str, object]) -> None:
    if "append_images" in options:
        options = options | {"append_images": [one.convert(mode) for one in OTHERS]}
    data = encode(PICTURE.convert(mode), "AVIF", **options)
    check_frames(data, SIZE)
    assert decode(data, PREPROCESS, LIMITS).pixels.shape == (224, 224, 3)


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (3001, 2)])
def test_pictures_of_every_shape_are_read(size: tuple[int, int]) -> None:
    data = encode(solid("red", size=size), "AVIF")
    assert decode(data, PREPROCESS, LIMITS).warnings == ()


def test_a_frame_that_is_larger_than_its_file_says_is_refused_before_it_is_decoded() -> None:
    data = hazards.avif_that_says(encode(solid("red", size=(3000, 3000)), "AVIF"), 10, 10)
    program = """
import pathlib, sys
from millisight.errors import BadImage
from tests.support import encode, solid
from tests.test_image import show
def peak():
    status = pathlib.Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) // 1024
show(encode(solid("red"), "AVIF"))
before = peak()
try:
    show(sys.stdin.buffer.read())
except BadImage as error:
    print(error.message, peak() - before, sep="\\n")
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=data,
        capture_output=True,
        check=True,
        cwd=Path(__file__).parents[1],
    )
    message, megabytes = done.stdout.decode().splitlines()
    assert message == "The AVIF holds larger or more frames than it says."
    assert int(megabytes) < 5


def test_nor_may_a_track_hold_a_larger_one() -> None:
    large = solid("red", size=(1500, 1500))
    data = encode(large, "AVIF", save_all=True, append_images=[large])
    check_frames(data, (1500, 1500))
    with pytest.raises(BadImage, match="larger or more frames"):
        check_frames(data, (10, 10))


def test_frames_that_are_never_shown_count() -> None:
    check_frames(hazards.avif_of_frames(STILL, 3), (1, 1))
    with pytest.raises(BadImage, match="larger or more frames"):
        check_frames(hazards.avif_of_frames(STILL, 1000), SIZE)


@pytest.mark.parametrize(
    "data",
    [
        STILL.replace(b"iloc", b"ilok"),
        STILL.replace(b"av01Color", b"av09Color"),
        STILL.replace(b"infe\2", b"infe\1"),
        STILL[:100],
        STILL[:-200].replace(b"meta", b"meta", 1)[:150],
        b"",
    ],
    ids=["no places", "another codec", "old item", "cut off", "cut off in its boxes", "empty"],
)
def test_what_cannot_be_followed_is_refused(data: bytes) -> None:
    with pytest.raises(BadImage, match="of a rare kind"):
        check_frames(data, SIZE)


def test_a_frame_may_not_be_of_a_size_that_its_sequence_does_not_have() -> None:
    # The last bits of the header of a sequence that is no still picture's, of 16 and 16 bits.
    operating_point = "0" * 12 + "00000"
    bits = "000" + "0" + "0" + "0" + "0" + "00000" + operating_point + "1111" * 2
    bits += f"{9:016b}" * 2
    header = int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8))
    stream = bytes([0x0A, len(header)]) + header + b"\x32\x01\x10"
    with pytest.raises(BadImage, match="of a rare kind"):
        check_frames(hazards.avif_of_stream(STILL, stream), SIZE)


@given(st.data())
def test_any_damage_is_found_harmless_or_refused(data: st.DataObject) -> None:
    damaged = bytearray(STILL)
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, 330))
        damaged[at : at + 1] = data.draw(st.binary(min_size=1, max_size=9))
    try:
        check_frames(bytes(damaged), SIZE)
    except BadImage as error:
        assert error.hint


def test_boxes_within_boxes_take_no_time() -> None:
    nested = b""
    for _ in range(30_000):
        nested = struct.pack(">L", len(nested) + 8) + b"trak"
    deep = b"".join(struct.pack(">L4s", 8 * (20_000 - n), b"trak") for n in range(20_000))
    for data in (deep, nested * 20_000):
        with pytest.raises(BadImage):
            check_frames(data, SIZE)
