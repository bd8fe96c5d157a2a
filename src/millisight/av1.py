"""How large the frames within an AVIF are, whatever the file around them says.

A decoder of AV1 makes the whole frame and only then scales it to what the container promised: a
kilobyte that says 10 × 10 may hold 268 megapixels, or thousands of frames that are never shown.
Read here is what leads to the streams of AV1, ISO 14496-12's boxes, and in ``bitstream.py`` the
headers within these. What cannot be followed is refused.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from millisight.bitstream import frames, unknown
from millisight.errors import BadImage

_MORE_PIXELS = 1_000_000
"""By so many a frame may be larger than the picture: tiles at its edges are."""

_MOST_LAYERS = 4
"""So many pictures of full size, transparency and gain maps included, may be in a file."""

_MOST_BOXES = 10_000
_MOST_COPIES = 8
"""How many times over the streams of a file may be its bytes."""

_CONTAINERS = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"meta", b"iinf"}

Box = tuple[bytes, memoryview]


def check_frames(avif: bytes, size: tuple[int, int]) -> None:
    """Raise ``BadImage`` unless the frames fit into a picture of ``size``, width and height."""
    most = size[0] * size[1] + _MORE_PIXELS
    total = count = 0
    try:
        for stream in _streams(avif):
            for pixels in frames(stream):
                count += 1
                total += pixels
                if pixels > most or total > _MOST_LAYERS * most:
                    raise BadImage(
                        "The AVIF holds larger or more frames than it says.",
                        hint="Open it in a viewer and export it again as JPEG or PNG.",
                    )
    except (struct.error, IndexError, OverflowError) as error:
        raise unknown() from error
    if not count:
        raise unknown()


def _boxes(data: bytes) -> Iterator[Box]:
    """The kind and content of every box, those in containers after them."""
    waiting = [memoryview(data)]
    number = 0
    while waiting:
        part, at = waiting.pop(), 0
        while at + 8 <= len(part):
            number += 1
            length, kind = struct.unpack_from(">L4s", part, at)
            head = 8
            if length == 1:
                (length,) = struct.unpack_from(">Q", part, at + 8)
                head = 16
            length = length or len(part) - at
            if length < head or number > _MOST_BOXES:
                raise unknown()
            content = part[at + head : at + length]
            yield kind, content
            if kind in _CONTAINERS:
                waiting.append(content[_before_boxes(kind, content) :])
            at += length


def _before_boxes(kind: bytes, content: memoryview) -> int:
    """Bytes of a container that come before its boxes."""
    if kind == b"iinf":
        return 8 if content[0] else 6
    return 4 if kind == b"meta" else 0


@dataclass
class _Places:
    """Where a file keeps its streams."""

    idat: list[memoryview] = field(default_factory=list)
    av1: set[int] = field(default_factory=set)
    """The numbers of items that are AV1."""
    items: list[tuple[int, int, list[tuple[int, int]]]] = field(default_factory=list)
    """Number, way of being kept, and pieces as offset and length."""
    chunks: list[int] = field(default_factory=list)
    """Where the first sample of each track begins."""
    sizes: list[int] = field(default_factory=list)
    """And how long it is."""


def _places(avif: bytes) -> _Places:
    places = _Places()
    for kind, content in _boxes(avif):
        match kind:
            case b"idat":
                places.idat.append(content)
            case b"infe":
                places.av1.update(_av1_item(content))
            case b"iloc":
                places.items += _locations(bytes(content))
            case b"stco":
                places.chunks += struct.unpack_from(">L", content, 8)
            case b"co64":
                places.chunks += struct.unpack_from(">Q", content, 8)
            case b"stsz":
                (same,) = struct.unpack_from(">L", content, 4)
                places.sizes.append(same or struct.unpack_from(">L", content, 12)[0])
    if len(places.idat) > 1 or len(places.chunks) != len(places.sizes):
        raise unknown()
    return places


def _streams(avif: bytes) -> Iterator[bytes]:
    """The AV1 of each item, and the first sample of each track: no other is shown."""
    places = _places(avif)
    sources = {0: avif, 1: b"".join(places.idat)}
    pieces = [(0, [one]) for one in zip(places.chunks, places.sizes, strict=True)]
    pieces += [(way, parts) for number, way, parts in places.items if number in places.av1]
    left = _MOST_COPIES * len(avif)
    for way, parts in pieces:
        left -= sum(min(length, len(avif)) for _, length in parts)
        if way not in sources or left < 0:
            raise unknown()
        yield b"".join(sources[way][at : at + length] for at, length in parts)


def _av1_item(content: memoryview) -> set[int]:
    version = content[0]
    number = struct.unpack_from(">L" if version == 3 else ">H", content, 4)[0]
    kind = bytes(content[12:16] if version == 3 else content[8:12])
    return {number} if version in (2, 3) and kind == b"av01" else set()


def _locations(content: bytes) -> Iterator[tuple[int, int, list[tuple[int, int]]]]:
    """The items of a box iloc."""
    version, sizes, more = content[0], content[4], content[5]
    reader = _Bytes(content, 6)
    wide = 4 if version == 2 else 2
    if version > 2:
        raise unknown()
    for _ in range(reader.number(wide)):
        number = reader.number(wide)
        way = reader.number(2) & 15 if version else 0
        reader.number(2)
        base = reader.number(more >> 4)
        pieces = []
        for _ in range(reader.number(2)):
            reader.number(more & 15 if version else 0)
            at = base + reader.number(sizes >> 4)
            # No length is all there is.
            pieces.append((at, reader.number(sizes & 15) or len(content) << 32))
        yield number, way, pieces


class _Bytes:
    """Whole numbers, one after the other."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data = data
        self._at = at

    def number(self, size: int) -> int:
        self._at += size
        if self._at > len(self._data):
            raise IndexError
        return int.from_bytes(self._data[self._at - size : self._at])
