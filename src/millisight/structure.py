"""Files that would keep Pillow busy before any pixel is decoded, told from their bytes.

Pillow walks through a file's segments, chunks, blocks and directories in Python, a microsecond or
more for each, and makes an object of every number of a tag; ten megabytes of nothing else take it
seconds. Its decoder of BMP's run lengths is Python too.
"""

import re
import struct
from collections.abc import Iterator

from millisight.errors import BadImage

MAX_PARTS = 10_000
"""The most parts a file may have that Pillow walks through. Photographs have some ten."""

_PNG_PART = 4096
"""A PNG may have a part for so many bytes: its usual encoder makes one for every 8192."""

MAX_EXIF_BYTES = 65_536
"""More is not looked at; the standard allows a JPEG no more than this."""

MAX_RUN_LENGTH_PIXELS = 1_000_000
"""The largest BMP in run lengths."""

_PNG = b"\x89PNG\r\n\x1a\n"

# A marker is any number of 0xff and one more byte; 0xff 0x00 is skipped. Only the last 0xff is
# looked for: a pattern of many would go through those that lead nowhere once for each.
_MARKER = re.compile(rb"\xff([^\x00\xff])", re.DOTALL)
# As Pillow has it: what these stand for is not defined, and it goes on right behind them.
_WITHOUT_LENGTH = frozenset({0x01, 0xC8, *range(0xD0, 0xDA), *range(0xF0, 0xFE)})
_APP1 = 0xE1
_SCAN = 0xDA
_EXIF = b"Exif\0\0"

# The entry of an item in a HEIF file; its name is of two or four bytes.
_EXIF_ITEM = re.compile(rb"(infe[\x02\x03].{7}(?:..)?)Exif", re.DOTALL)

_BYTES = (1, 2, 6, 7)
_FRACTIONS = (5, 10)
_MOST_NUMBERS = 200_000
"""A picture of 60,000 lines may keep each in three pieces, and needs a number for every piece."""

_MOST_FRACTIONS = 1_000

_EXTENSION, _IMAGE, _END = b"!", b",", b";"
_COMMENT, _APPLICATION, _CONTROL = b"\xfe", b"\xff", b"\xf9"
_DISPOSAL = 0b11100


def bounded(data: bytes) -> bytes:
    """``data`` without EXIF, or a way out of a GIF's first frame, that costs more than it could be
    worth, or as it is.

    Raises ``BadImage`` for a file of more parts than any picture needs.
    """
    if data.startswith(b"\xff\xd8\xff"):
        return _with_one_exif(data)
    if data[4:8] == b"ftyp":
        # The orientation of an AVIF is said elsewhere, and Pillow takes that.
        return _EXIF_ITEM.sub(rb"\1none", data)
    if data.startswith(_PNG):
        list(_counted("PNG", _chunks(data), max(MAX_PARTS, len(data) // _PNG_PART)))
    elif data.startswith((b"GIF87a", b"GIF89a")):
        return _without_disposal(data)
    elif data.startswith((b"II", b"MM")):
        _check_directory(data)
    elif data.startswith(b"BM"):
        _check_run_lengths(data)
    return data


def _counted(kind: str, parts: Iterator[int], most: int = MAX_PARTS) -> Iterator[int]:
    for number, part in enumerate(parts):
        if number > most:
            raise too_many(kind, most)
        yield part


def _with_one_exif(jpeg: bytes) -> bytes:
    """Pillow puts all blocks of EXIF together, whatever their length."""
    position, steps = 2, 0
    blocks = []
    while marker := _MARKER.search(jpeg, position):
        # What lies between is gone through byte by byte.
        steps += marker.start(1) - position
        if steps > MAX_PARTS:
            raise too_many("JPEG")
        kind, position = marker[1][0], marker.end()
        if kind == _SCAN:
            break
        if kind in _WITHOUT_LENGTH:
            continue
        if kind == _APP1 and jpeg.startswith(_EXIF, position + 2):
            blocks.append(position + 2)
        position += max(2, int.from_bytes(jpeg[position : position + 2]))
    else:
        # There is no scan, and Pillow looks for it to the end.
        if steps + len(jpeg) - position > MAX_PARTS:
            raise too_many("JPEG")
    if len(blocks) < 2:
        return jpeg
    cleared = bytearray(jpeg)
    for at in blocks[1:]:
        cleared[at : at + len(_EXIF)] = bytes(len(_EXIF))
    return bytes(cleared)


def _chunks(png: bytes) -> Iterator[int]:
    position = len(_PNG)
    while position < len(png):
        position += 12 + int.from_bytes(png[position : position + 4])
        yield position


def _without_disposal(gif: bytes) -> bytes:
    """What is to be done with the first frame before the second counts for nothing here, but Pillow
    makes a picture for it while it opens the file, before anybody can look at the size."""
    flags = [at for at in _counted("GIF", _blocks(gif)) if at and gif[at] & _DISPOSAL]
    if not flags:
        return gif
    cleared = bytearray(gif)
    for at in flags:
        cleared[at] &= ~_DISPOSAL
    return bytes(cleared)


def _blocks(gif: bytes) -> Iterator[int]:
    """What stands before the first frame, as Pillow reads it: for each part the place of the flags
    of a control, or 0."""
    flags = gif[10] if len(gif) > 10 else 0
    position = 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
    while (introducer := gif[position : position + 1]) not in (b"", _IMAGE, _END):
        position += 1
        yield 0
        if introducer != _EXTENSION:
            continue
        label = gif[position : position + 1]
        block = position + 2
        size = _size(gif, block - 1)
        position = block + size
        yield block if label == _CONTROL and block < min(position, len(gif)) else 0
        for _ in range(_read_anyway(label, gif[block : block + size])):
            size = _size(gif, position)
            position += 1 + size
            yield 0
        while size:
            size = _size(gif, position)
            position += 1 + size
            yield 0


def _read_anyway(label: bytes, block: bytes) -> int:
    """How many more blocks of an extension are read after its first, even if that is empty."""
    if label == _COMMENT:
        return 0
    return 2 if label == _APPLICATION and block.startswith(b"NETSCAPE2.0") else 1


def _size(gif: bytes, position: int) -> int:
    return gif[position] if position < len(gif) else 0


def _check_directory(tiff: bytes) -> None:
    """Look through the first directory of TIFF 6.0 (section 2), or of BigTIFF."""
    order = "<" if tiff.startswith(b"II") else ">"
    large = 43 in tiff[2:4]
    number, offset, entry, begin = ("Q", "Q", "HHQ8x", 8) if large else ("H", "L", "HHL4x", 4)
    try:
        (position,) = struct.unpack_from(order + offset, tiff, begin)
        (entries,) = struct.unpack_from(order + number, tiff, position)
    except (struct.error, OverflowError):
        return
    if entries > MAX_PARTS:
        raise too_many("TIFF")
    position += struct.calcsize(order + number)
    size = struct.calcsize(order + entry)
    table = tiff[position : position + size * entries]
    for _, kind, count in struct.iter_unpack(order + entry, table[: len(table) // size * size]):
        most = _MOST_FRACTIONS if kind in _FRACTIONS else _MOST_NUMBERS
        if kind not in _BYTES and count > most:
            raise too_many("TIFF", most, "numbers in a tag")


def _check_run_lengths(bmp: bytes) -> None:
    try:
        header, width, height, compression = struct.unpack_from("<L ll 4x L", bmp, 14)
    except struct.error:
        return
    # Of the older header only the size and two shorter numbers are known, and it has no others.
    packed = header >= 40 and compression in (1, 2)
    if packed and abs(width * height) > MAX_RUN_LENGTH_PIXELS:
        raise BadImage(
            f"The BMP is packed in run lengths and has over {MAX_RUN_LENGTH_PIXELS:,} pixels.",
            hint="Export it as PNG.",
        )


def too_many(kind: str, most: int = MAX_PARTS, parts: str = "parts") -> BadImage:
    """The error for a file of this kind with more than ``most`` parts."""
    return BadImage(
        f"The {kind} has over {most:,} {parts}.",
        hint="Open it in a viewer and export it again.",
    )
