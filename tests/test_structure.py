"""What would keep Pillow's own loops busy is refused, or left out, before it sees it.

Each of these files took seconds of a core that nothing could interrupt.
"""

import struct
from collections.abc import Iterator
from io import BytesIO

import pytest
from PIL import Image

from millisight.errors import BadImage
from millisight.image import decode
from millisight.structure import MAX_PARTS, bounded
from tests import hazards
from tests.support import LIMITS, PREPROCESS, encode, solid, texture

MILLION = 1_000_000
JPEG = encode(solid("red"), "JPEG")
TURNED = hazards.exif_orientation(6)


def avif_with(exif: bytes) -> bytes:
    """An AVIF with EXIF as it is; Pillow would take the orientation out of it."""
    orientation, other = struct.pack("<H", 274), struct.pack("<H", 0x9999)
    at = exif.index(orientation)
    data = encode(solid("red"), "AVIF", exif=exif[:at] + other + exif[at + 2 :])
    at = data.index(other + exif[at + 2 : at + 12])
    return data[:at] + orientation + data[at + 2 :]


def jpeg_of_blocks(exif: bytes) -> bytes:
    """The JPEG with as many blocks of EXIF as it takes."""
    data = JPEG
    for at in range(len(exif) // 65_000 * 65_000, -1, -65_000):
        data = hazards.with_exif(data, exif[at : at + 65_000])
    return data


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_exif_of_a_million_numbers_is_not_looked_at(kind: str) -> None:
    exif = hazards.exif_of_fractions(MILLION)
    make = {"JPEG": jpeg_of_blocks, "AVIF": avif_with}.get(kind)
    data = encode(solid("red"), kind, exif=exif) if make is None else make(exif)
    assert len(data) > 8 * MILLION
    assert decode(data, PREPROCESS, LIMITS).warnings == ()


def test_the_first_block_of_exif_counts() -> None:
    data = hazards.with_exif(hazards.with_exif(JPEG, hazards.exif_of_fractions(10)), TURNED)
    assert decode(data, PREPROCESS, LIMITS).warnings == ("exif_rotated",)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
def test_the_orientation_of_every_format_is_still_seen(kind: str) -> None:
    exif = Image.Exif()
    exif[274] = 6
    data = encode(solid("red"), kind, exif=exif)
    assert decode(data, PREPROCESS, LIMITS).warnings == ("exif_rotated",)


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize(
    ("tag", "kind", "most"),
    [
        (274, 5, "1,000"),
        (282, 10, "1,000"),
        (273, 4, "200,000"),
        (279, 3, "200,000"),
        (258, 3, "200,000"),
    ],
)
def test_a_tiff_of_a_million_numbers_is_refused(
    tag: int, kind: int, most: str, *, large: bool
) -> None:
    with pytest.raises(BadImage, match=f"over {most} numbers in a tag"):
        decode(hazards.tiff_with(tag, kind, MILLION, large=large), PREPROCESS, LIMITS)


def strips(picture: Image.Image, rows: int, offsets: list[int]) -> bytes:
    """A TIFF of strips of so many rows of one colour, which begin at these places of its data."""
    planes = [band.tobytes() for band in picture.split()]
    colours = len(planes)
    at = 8 + 2 + 9 * 12 + 4
    entries = (
        (256, 4, 1, picture.width),
        (257, 4, 1, picture.height),
        (258, 3, colours, 8 if colours == 1 else at),
        (259, 4, 1, 1),
        (262, 4, 1, 1 if colours == 1 else 2),
        (273, 4, len(offsets), at + 6),
        (277, 4, 1, colours),
        (278, 4, 1, rows),
        (284, 4, 1, 1 if colours == 1 else 2),
    )
    head = b"II*\0" + struct.pack("<LH", 8, len(entries))
    table = b"".join(struct.pack("<HHLL", *entry) for entry in entries) + bytes(4)
    begin = at + 6 + 4 * len(offsets)
    places = struct.pack(f"<{len(offsets)}L", *(begin + offset for offset in offsets))
    return head + table + struct.pack("<3H", 8, 8, 8) + places + b"".join(planes)


def test_a_tiff_may_keep_each_line_of_each_colour_apart() -> None:
    picture = texture(2, 8000)
    data = strips(picture, 1, list(range(0, 2 * 3 * 8000, 2)))
    seen = decode(data, PREPROCESS, LIMITS).pixels
    assert (seen == decode(encode(picture, "PNG"), PREPROCESS, LIMITS).pixels).all()


def test_but_not_the_same_lines_again_and_again() -> None:
    # Half a megabyte that listed its four megapixels 400 times took Pillow two minutes.
    grey = solid(128, mode="L", size=(100, 100))
    assert decode(strips(grey, 50, [0, 5000]), PREPROCESS, LIMITS).warnings == ()
    with pytest.raises(BadImage, match="more pieces than its picture needs"):
        decode(strips(grey, 50, list(range(10))), PREPROCESS, LIMITS)


def test_a_tiff_of_many_entries_is_refused() -> None:
    table = struct.pack("<Q", MILLION // 4) + bytes(20 * (MILLION // 4))
    with pytest.raises(BadImage, match="over 10,000 parts"):
        decode(struct.pack("<4sHHQ", b"II+\0", 8, 0, 16) + table, PREPROCESS, LIMITS)


def hidden_in_gif() -> Iterator[tuple[str, bytes]]:
    header, frame = hazards.gif_header(), hazards.gif_frame() + b";"
    many = b"\1x" * MILLION
    yield "comment", header + b"!\xfe" + many + b"\0" + frame
    yield "extension", header + b"!\1" + many + b"\0" + frame
    yield "extension behind nothing", header + b"!\1\0" + many + b"\0" + frame
    netscape = b"!\xff\x0bNETSCAPE2.0\0"
    yield "extension behind nothing twice", header + netscape + many + b"\0" + frame
    yield "extensions", header + b"!\xfe\0" * MILLION + frame
    yield "nothing", header + bytes(MILLION) + frame


def hidden_in_jpeg() -> Iterator[tuple[str, bytes]]:
    for name, part in {
        "comments": b"\xff\xfe\0\2",
        "segments shorter than their own length": b"\xff\xee\0\0",
        "blocks of EXIF": b"\xff\xe1\0\x09Exif\0\0x",
        "restarts": b"\xff\xd0",
        "data": b"\xff\0",
        "fill bytes": b"\xff\xff",
        "garbage": b"xx",
    }.items():
        yield name, JPEG[:2] + JPEG[2:20] + part * MILLION + JPEG[20:]
    # Searched for again from each byte, 20 KB of these took four seconds, and twice as much four
    # times as long.
    yield "fill bytes that lead nowhere", JPEG[:20] + b"\xff" * MILLION + b"\0" + JPEG[20:]
    yield "fill bytes to the end", JPEG[:20] + b"\xff" * MILLION
    yield "nothing to the end", JPEG[:20] + bytes(MILLION)
    # No length follows these, though it looks like one.
    for reserved in (0xC8, 0xF0, 0xFD):
        hidden = bytes((0xFF, reserved, 0xFF, 0xFF)) + b"\xff\xe1\0\x09Exif\0\0x" * 5957
        yield f"blocks behind {reserved:x}", JPEG[:2] + hidden * (MILLION // 65_000) + JPEG[2:]


def others() -> Iterator[tuple[str, bytes]]:
    header = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    chunks = [(b"tEXt", b"")] * (MILLION // 10)
    yield "PNG of chunks", hazards.png_of((b"IHDR", header), *chunks, (b"IEND", b""))
    pieces = [(b"IDAT", b"x")] * (MILLION // 10)
    yield "PNG of pieces", hazards.png_of((b"IHDR", header), *pieces, (b"IEND", b""))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(data, id=f"{kind} of {name}")
        for kind, all_of in (("GIF", hidden_in_gif()), ("JPEG", hidden_in_jpeg()), ("", others()))
        for name, data in all_of
    ],
)
def test_a_file_of_a_million_parts_is_refused(data: bytes) -> None:
    with pytest.raises(BadImage, match=f"over {MAX_PARTS:,} parts"):
        decode(data, PREPROCESS, LIMITS)


def test_a_large_png_may_have_as_many_as_its_usual_encoder_makes() -> None:
    piece = bytes(8192)
    assert bounded(data := hazards.png_of(*[(b"IDAT", piece)] * 10_500)) is data
    with pytest.raises(BadImage, match=r"PNG has over 11,2\d\d parts"):
        bounded(hazards.png_of(*[(b"IDAT", piece[:4000])] * 11_500))


def test_some_thousands_are_allowed() -> None:
    comment = hazards.gif_header() + b"!\xfe" + b"\1x" * 9000 + b"\0" + hazards.gif_frame() + b";"
    assert decode(comment, PREPROCESS, LIMITS).warnings == ()
    comments = JPEG[:2] + b"\xff\xfe\0\2" * 4000 + JPEG[2:]
    assert decode(comments, PREPROCESS, LIMITS).warnings == ()


@pytest.mark.parametrize("packing", [1, 2])
@pytest.mark.parametrize("size", [(49_000_000, 1), (7000, -7000)])
def test_a_large_bmp_in_run_lengths_is_refused(size: tuple[int, int], packing: int) -> None:
    with pytest.raises(BadImage, match="packed in run lengths"):
        decode(hazards.bmp_of_runs(*size, packing), PREPROCESS, LIMITS)


def test_a_small_one_is_a_picture() -> None:
    assert decode(hazards.bmp_of_runs(64, 64, 1), PREPROCESS, LIMITS).pixels.shape == (224, 224, 3)


def test_a_gif_makes_no_room_for_a_frame_that_is_not_shown() -> None:
    frame = encode(texture(80, 60), "GIF", disposal=2, transparency=0, comment=b"!\xf9\4\x08")
    at = frame.rindex(b"!\xf9\4") + 3
    assert frame[at] & 0b11100 == 2 << 2
    cleared = bounded(frame)
    assert cleared == frame[:at] + bytes((frame[at] & ~0b11100,)) + frame[at + 1 :]
    with Image.open(BytesIO(frame)) as before, Image.open(BytesIO(cleared)) as after:
        assert before.convert("RGBA").tobytes() == after.convert("RGBA").tobytes()
        assert (before.dispose is None, after.dispose is None) == (False, True)


@pytest.mark.parametrize("data", [b"", b"BM", b"II*\0", b"MM\0+", b"GIF89a", b"\xff\xd8\xff"])
def test_what_is_too_short_is_left_to_pillow(data: bytes) -> None:
    assert bounded(data) is data
