"""The frames within an AVIF are no larger than the file says, and no more than it needs."""

import struct
import subprocess
import sys
from base64 import b64decode
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

# 96 x 64, by libavif 0.11.1 with SVT-AV1 1.4.1: avifenc -c svt -s 8 --min 30 --max 40 -y 420
SVT = b64decode(
    "AAAAIGZ0eXBhdmlmAAAAAGF2aWZtaWYxbWlhZk1BMUIAAADybWV0YQAAAAAAAAAoaGRscgAAAAAAAAAAcGljdAAAAAAA"
    "AAAAAAAAAGxpYmF2aWYAAAAADnBpdG0AAAAAAAEAAAAeaWxvYwAAAABEAAABAAEAAAABAAABGgAAAKAAAAAoaWluZgAA"
    "AAAAAQAAABppbmZlAgAAAAABAABhdjAxQ29sb3IAAAAAamlwcnAAAABLaXBjbwAAABRpc3BlAAAAAAAAAGAAAABAAAAA"
    "EHBpeGkAAAAAAwgICAAAAAxhdjFDgQAMAAAAABNjb2xybmNseAABAA0ABoAAAAAXaXBtYQAAAAAAAAABAAEEAQKDBAAA"
    "AKhtZGF0EgAKCgAAAAMt/8+/mAQyjwEUAKRgINf+owCuKGfMPyE1Uoykx0RjHeH9BrwCSHeA6FfwFqpxFSwK/x6W13Zd"
    "MhOhtR1aQYwEiGKLaWaq306Z2vHC2zOzG/LuZIV0aXwMS4NprSJsmPaBmFhseGdeUmPP/i0OLuEsGngbCkx4DDHb+J6b"
    "ZAhLs75MG4we+b/6rhS2SpV5iVOk/1+f/335gg=="
)
SVT_SIZE = (96, 64)
# A delimiter, the sequence's header of ten bytes, and a frame's of three whose bits come next.
SVT_STREAM = SVT[SVT.index(b"mdat") + 4 :]
SVT_HEADER, SVT_FRAME = SVT_STREAM[4:14], SVT_STREAM[14:]
ROOM = "1111" * 2
"""Widths and heights of sixteen bits, which would do for 4,295 megapixels."""


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


def packed(bits: str) -> bytes:
    return int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8))


def unit(kind: int, content: bytes) -> bytes:
    """An open bitstream unit of AV1, of at most 127 bytes."""
    return bytes([kind << 3 | 2, len(content)]) + content


def with_room(frame: bytes) -> bytes:
    """A frame of SVT-AV1's in the sequence that its older versions wrote."""
    bits = f"{int.from_bytes(SVT_HEADER):080b}"
    assert bits[29:50] == "01100101" + f"{95:07b}{63:06b}"
    wide = bits[:29] + ROOM + f"{95:016b}{63:016b}" + bits[50:]
    return hazards.avif_of_stream(SVT, SVT_STREAM[:2] + unit(1, packed(wide)) + frame)


def test_what_svt_writes_is_read() -> None:
    assert decode(SVT, PREPROCESS, LIMITS).warnings == ()


def test_room_for_larger_frames_that_none_takes_is_no_fault() -> None:
    wide = decode(with_room(SVT_FRAME), PREPROCESS, LIMITS)
    assert (wide.pixels == decode(SVT, PREPROCESS, LIMITS).pixels).all()


def test_a_frame_may_not_take_it() -> None:
    assert SVT_FRAME[3] == 0b0001_0100
    own_size = SVT_FRAME[:3] + bytes([0b0001_0101]) + SVT_FRAME[4:]
    with pytest.raises(BadImage, match="of a rare kind"):
        check_frames(with_room(own_size), SVT_SIZE)
    check_frames(hazards.avif_of_stream(SVT, SVT_STREAM[:14] + own_size), SVT_SIZE)


def a_sequence(timing: str, point: str, numbers: str, tools: str) -> str:
    """The header of a sequence with room, which is no still picture's."""
    return f"00000{timing}{point}{ROOM}{9:016b}{9:016b}{numbers}{'1' * 7}{tools}"


ONE_POINT = "0" + "00000" + "0" * 12 + "00000"
EVENLY = "1" + "10" * 32 + "1" + "00101"
UNEVENLY = "1" + "10" * 32 + "0"
MODEL = "1" + "00010" + "01" * 16 + "00111" + "01001"
TWO_POINTS = "1" + "00001" + ("0" * 12 + "01000" + "1" + "1" + "1" * 7 + "1" + "1010") * 2


NO_TOOLS = "0" + "00"


@pytest.mark.parametrize(
    ("sequence", "before"),
    [
        pytest.param(a_sequence(*parts), before, id=name)
        for name, parts, before in (
            ("all tools", ("0", ONE_POINT, "0", "0" + "1" + "1"), "x1x"),
            ("all tools, not used", ("0", ONE_POINT, "0", "0" + "1" + "1"), "x0"),
            ("order", ("0", ONE_POINT, "0", "1" + "11" + "1" + "1" + "010"), "x1x"),
            ("order, whole motion", ("0", ONE_POINT, "0", "1" + "11" + "1" + "01" + "010"), "xx"),
            ("no tools", ("0", ONE_POINT, "0", NO_TOOLS), "x"),
            ("tools", ("0", ONE_POINT, "0", "0" + "01" + "1"), "xx"),
            ("tools, no whole motion", ("0", ONE_POINT, "0", "0" + "01" + "00"), "x"),
            ("numbers", ("0", ONE_POINT, "1" + "0011" + "101", NO_TOOLS), "x" * 12),
            ("times", (EVENLY + "0", ONE_POINT, "0", NO_TOOLS), "x"),
            ("even times", (EVENLY + MODEL, TWO_POINTS, "0", NO_TOOLS), "x"),
            ("times of frames", (UNEVENLY + MODEL, TWO_POINTS, "0", NO_TOOLS), "x" * 11),
        )
    ],
)
def test_the_bit_for_a_size_is_found_behind_all_that_may_precede_it(
    sequence: str, before: str
) -> None:
    def read(bit: str, other: str) -> None:
        frame = "0" + "00" + "1" + before.replace("x", other) + bit + other * 30
        stream = unit(1, packed(sequence)) + unit(6, packed(frame))
        check_frames(hazards.avif_of_stream(STILL, stream), SIZE)

    read("0", other="1")
    with pytest.raises(BadImage, match="of a rare kind"):
        read("1", other="0")


@pytest.mark.parametrize(
    "frame", ["1" + "111", "0" + "01" + "0" + "111" + "0", "0" + "00" + "0" + "111" + "0"]
)
def test_frames_shown_again_and_hidden_ones_are_read(frame: str) -> None:
    head = unit(1, packed(a_sequence("0", ONE_POINT, "0", NO_TOOLS)))
    check_frames(hazards.avif_of_stream(STILL, head + unit(3, packed(frame))), SIZE)


@pytest.mark.parametrize("frame", ["0" + "11" + "1", "0" + "01" + "0" + "000" + "1"])
def test_nor_may_hidden_ones_and_those_for_switching(frame: str) -> None:
    head = unit(1, packed(a_sequence("0", ONE_POINT, "0", NO_TOOLS)))
    with pytest.raises(BadImage, match="of a rare kind"):
        check_frames(hazards.avif_of_stream(STILL, head + unit(3, packed(frame))), SIZE)


def test_a_header_that_should_only_repeat_another_counts() -> None:
    again = bytes([7 << 3 | 2]) + SVT_FRAME[1:]
    with pytest.raises(BadImage, match="larger or more frames"):
        check_frames(hazards.avif_of_stream(SVT, SVT_STREAM + again * 1000), SVT_SIZE)


def test_a_frame_without_a_sequence_is_refused() -> None:
    with pytest.raises(BadImage, match="of a rare kind"):
        check_frames(hazards.avif_of_stream(SVT, SVT_FRAME + SVT_STREAM), SVT_SIZE)


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
