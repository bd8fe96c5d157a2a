"""The scans of a JPEG: how many there are, and whether they are held at full size."""

import re
from collections.abc import Iterator

from millisight.structure import MAX_PARTS, too_many

MAX_SCANS = 100
"""The most scans a JPEG may have. Encoders write some ten; each one goes over the whole picture,
so a small file of many thousands would keep a decoder busy for hours."""

# 0xff 0x00 and restarts belong to a scan's data; further 0xff before a marker mean nothing.
_MARKER = re.compile(rb"\xff([^\x00\x01\xd0-\xd7\xff])", re.DOTALL)
_FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SEQUENTIAL = (0xC0, 0xC1)
_SCAN, _END = 0xDA, 0xD9


class Scans:
    """What the headers of a JPEG say of its scans, as they are read."""

    def __init__(self) -> None:
        self.count = 0
        self.several = False
        """Whether the first is not the only one: then libjpeg holds the coefficients of the whole
        picture until it has read the last, however small a picture it is to make of them."""
        self._frame, self._components = 0, b""

    def begin(self, frame: int, header: bytes) -> None:
        """Take the header of the frame of this kind, without its length."""
        self._frame, self._components = frame, header[5:6]

    def add(self, header: bytes) -> None:
        """Take the header of a scan, without its length."""
        self.count += 1
        if self.count == 1:
            is_only = self._frame in _SEQUENTIAL and header[:1] == self._components
            self.several = not is_only


def read_scans(jpeg: bytes) -> Scans:
    """What there is to know of the scans of ``jpeg``.

    Walks the markers as libjpeg does, and no further. Raises ``BadImage`` for more than
    ``MAX_SCANS`` scans, or more parts than any picture needs.
    """
    scans = Scans()
    for number, (kind, content) in enumerate(_markers(jpeg)):
        if number > MAX_PARTS:
            raise too_many("JPEG")
        end = content + int.from_bytes(jpeg[content : content + 2])
        if kind in _FRAME_HEADERS:
            scans.begin(kind, jpeg[content + 2 : end])
        elif kind == _SCAN:
            scans.add(jpeg[content + 2 : end])
            if not scans.several:
                break
            if scans.count > MAX_SCANS:
                raise too_many("JPEG", MAX_SCANS, "scans")
    return scans


def _markers(jpeg: bytes) -> Iterator[tuple[int, int]]:
    """Of each its kind and the place of what it holds; the last one is the end."""
    position = 2
    while marker := _MARKER.search(jpeg, position):
        kind, position = marker[1][0], marker.end()
        yield kind, position
        if kind == _END:
            return
        position += int.from_bytes(jpeg[position : position + 2])
