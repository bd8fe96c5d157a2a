"""Frames are counted as Pillow counts them, but never for long."""

import struct
from io import BytesIO

import pytest
from PIL import Image

from millisight.frames import MAX_COUNTED, count_frames
from tests import hazards
from tests.support import encode, solid

SINGLE = {"JPEG", "BMP"}
MANY = MAX_COUNTED + 1


class CountingBytes(BytesIO):
    """A file that knows how often it was read."""

    reads = 0

    def read(self, size: int | None = -1) -> bytes:
        self.reads += 1
        return super().read(size)


def count(data: bytes) -> int:
    with Image.open(BytesIO(data)) as image:
        return count_frames(image, data)


def pillow_count(data: bytes) -> int:
    with Image.open(BytesIO(data)) as image:
        return getattr(image, "n_frames", 1)


def chain(directories: int) -> bytes:
    """A TIFF of pages of one pixel."""
    page = solid(7, "L", (1, 1))
    return encode(page, "TIFF", save_all=True, append_images=[page] * (directories - 1))


def looping(back_to: int) -> bytes:
    """A TIFF of three pages, the last of which is followed by page ``back_to`` again."""
    data = bytearray(chain(3))
    places = [4]  # where the offset of each directory is written
    for _ in range(3):
        (start,) = struct.unpack_from("<L", data, places[-1])
        (entries,) = struct.unpack_from("<H", data, start)
        places.append(start + 2 + 12 * entries)
    data[places[3] : places[3] + 4] = data[places[back_to] : places[back_to] + 4]
    return bytes(data)


@pytest.mark.parametrize("file_format", ["GIF", "TIFF", "WEBP", "PNG", "AVIF", "MPO"])
@pytest.mark.parametrize("frames", [1, 2, 5])
def test_frames_are_counted_as_by_pillow(file_format: str, frames: int) -> None:
    first, *others = [solid((40 * n, 200 - 30 * n, 90)) for n in range(frames)]
    data = encode(first, file_format, save_all=True, append_images=others)
    assert pillow_count(data) == frames
    assert count(data) == frames


@pytest.mark.parametrize("file_format", ["JPEG", "BMP", "GIF", "PNG", "WEBP", "TIFF", "AVIF"])
def test_a_still_picture_is_one_frame(file_format: str) -> None:
    assert count(encode(solid("red"), file_format)) == 1


@pytest.mark.parametrize("options", [{"big_tiff": True}, {"compression": "tiff_lzw"}])
def test_every_kind_of_tiff_is_counted(options: dict[str, object]) -> None:
    frames = [solid("red"), solid("blue"), solid("green")]
    data = encode(frames[0], "TIFF", save_all=True, append_images=frames[1:], **options)
    assert count(data) == pillow_count(data) == 3


def test_a_big_endian_tiff_is_counted() -> None:
    assert count(hazards.tiff(1, 1, order=">")) == 1


def test_gif_frames_are_counted_past_palettes_and_extensions() -> None:
    comment = b"!\xfe" + b"\x03a,b" * 5 + b"\0"
    timing = b"!\xf9\x04\0\0\0\0\0"
    body = (comment + timing + hazards.gif_frame(local_palette=True) + timing) * 3
    data = hazards.gif_header() + body + hazards.gif_frame() + b";"
    assert count(data) == pillow_count(data) == 4


@pytest.mark.parametrize("tail", [b"", b",\0\0", b"\x07", b"!"])
def test_a_gif_that_ends_early_has_the_frames_that_are_there(tail: bytes) -> None:
    assert count(hazards.gif_header() + hazards.gif_frame() * 2 + tail) == 2


@pytest.mark.parametrize("frames", [MAX_COUNTED, MANY, 200_000])
def test_the_count_of_gif_frames_has_an_end(frames: int) -> None:
    data = hazards.gif_header() + hazards.gif_frame() * frames + b";"
    assert count(data) == min(frames, MANY)


def test_a_gif_of_one_byte_blocks_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = b"\x01a" * 2_500_000
    first = hazards.gif_header() + hazards.gif_frame()
    data = first + b"!\xfe" + blocks + b"\0" + hazards.gif_frame() + b";"
    files: list[CountingBytes] = []

    def watched(content: bytes) -> CountingBytes:
        files.append(CountingBytes(content))
        return files[-1]

    with Image.open(BytesIO(first)) as image:
        monkeypatch.setattr("millisight.frames.BytesIO", watched)
        assert count_frames(image, data) == 1
    assert files[0].reads < 200_000


@pytest.mark.parametrize("directories", [MAX_COUNTED, MANY, 3000])
def test_the_count_of_tiff_directories_has_an_end(directories: int) -> None:
    assert count(hazards.overlapping_tiff(directories, directories + 20)) == min(directories, MANY)


def test_tiff_directories_are_not_read_to_be_counted() -> None:
    # Read tag by tag, as Pillow does, these would be 60 million.
    assert count(hazards.overlapping_tiff(1000, 60_000)) == 1000


@pytest.mark.parametrize("back_to", [0, 1, 2])
def test_a_loop_of_tiff_directories_is_walked_once(back_to: int) -> None:
    data = looping(back_to)
    assert count(data) == 3


@pytest.mark.parametrize("offset", [0xFFFFFFFF, 2, 0x7FFFFFFF])
def test_a_tiff_chain_that_leads_nowhere_ends_there(offset: int) -> None:
    data = hazards.tiff(1, 1)[:-4] + struct.pack("<L", offset)
    assert 1 <= count(data) <= 2


def test_a_big_tiff_of_absurd_numbers_ends() -> None:
    data = bytearray(encode(solid("red"), "TIFF", big_tiff=True))
    with Image.open(BytesIO(bytes(data))) as image:
        (start,) = struct.unpack_from("<Q", data, 8)
        struct.pack_into("<Q", data, start, 2**64 - 1)
        assert count_frames(image, bytes(data)) == 1


def test_a_number_in_a_header_is_believed_only_so_far() -> None:
    frames = [solid("red"), solid("blue")]
    data = encode(frames[0], "PNG", save_all=True, append_images=frames[1:])
    with Image.open(BytesIO(data)) as image:
        image.n_frames = 2**31  # type: ignore[attr-defined]
        assert count_frames(image, data) == MANY
