"""The scans of a JPEG: how many there are, and whether the last one is whole.

A JPEG that was cut off and then closed with an end marker is no error to libjpeg: it paints grey
what is missing and warns, and Pillow keeps warnings to itself. Where data ends without a marker,
though, libjpeg waits for more. So the marker behind the last scan gives way to bytes that no
encoder writes: a whole scan needs none of them, one that was cut needs them all, and waits.
"""

import re
from collections.abc import Iterator
from io import BytesIO
from typing import Any, cast

from PIL import Image, ImageFile, _imaging
from PIL.JpegImagePlugin import JpegImageFile

from millisight.errors import BadImage
from millisight.structure import MAX_PARTS, too_many

MAX_SCANS = 100
"""The most scans a JPEG may have. Encoders write some ten; each one goes over the whole picture,
so a small file of many thousands would keep a decoder busy for hours."""

ALWAYS_ALLOWED = 20
MAX_SCANNED = 1_000_000_000
"""The most pixels that more scans than always allowed may go over, all together: they take more
than a second of one core."""

# 0xff 0x00 and restarts belong to a scan's data; further 0xff before a marker mean nothing.
_MARKER = re.compile(rb"\xff([^\x00\x01\xd0-\xd7\xff])", re.DOTALL)
_RESTARTS = range(0xD0, 0xD8)
_FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SEQUENTIAL = (0xC0, 0xC1)
_PROGRESSIVE = (0xC2, 0xC6, 0xCA, 0xCE)
_HUFFMAN = (0xC0, 0xC1, 0xC2)
_SCAN, _END = 0xDA, 0xD9

_COEFFICIENTS = 64
# The first coefficient is the mean of a block. Each component has to have it; any other may be
# nothing in the whole picture, and then some encoders leave it out.
_NOTHING_YET = bytes((255, *bytes(_COEFFICIENTS - 1)))

# More bits than libjpeg reads ahead. It takes 17 of them for a code, for ones alone are never one.
_NEVER_NEEDED = b"\xff\x00" * 8
# A progressive scan has numbers of blocks in which nothing follows. Of one that was cut in the
# middle zeros make the least, so what is too little is less often taken for all there is.
_SMALL_NUMBER = bytes(2)
_TRUNCATED = "image file is truncated"
_CODEC = "jpeg_of_scans"


class Scans:
    """What the headers of a JPEG say of its scans, as they are read."""

    def __init__(self) -> None:
        self.count = 0
        self.several = False
        """Whether the first is not the only one: then libjpeg holds the coefficients of the whole
        picture until it has read the last, however small a picture it is to make of them."""
        self.data = slice(0, 0)
        """The data of the last scan; it stops at 0 until a marker is found behind it."""
        self._frame = self._components = 0
        # For each component how many bits each of its coefficients still lacks.
        self._lacks: dict[int, bytearray] = {}

    def begin(self, frame: int, header: bytes) -> None:
        """Take the header of the frame of this kind, without its length."""
        self._frame, self._components = frame, int.from_bytes(header[5:6])
        self._lacks = {component: bytearray(_NOTHING_YET) for component in header[6::3]}

    def add(self, header: bytes, start: int) -> None:
        """Take the header of a scan, without its length, and where its data starts."""
        number = int.from_bytes(header[:1])
        components, spectrum = header[1 : 1 + 2 * number : 2], header[1 + 2 * number :]
        self.count += 1
        self.data = slice(start, 0)
        if self.count == 1:
            is_only = self._frame in _SEQUENTIAL and number == self._components
            self.several = not is_only
        first, last, lacking = 0, _COEFFICIENTS - 1, 0
        if self._frame in _PROGRESSIVE and len(spectrum) >= 3:
            first, last, lacking = spectrum[0], min(spectrum[1], last), spectrum[2] & 15
        for component in components:
            if component in self._lacks:
                self._lacks[component][first : last + 1] = bytes((lacking,)) * (last + 1 - first)

    @property
    def lacking(self) -> bool:
        """Whether a scan that has to follow does not."""
        return any(map(any, self._lacks.values()))

    @property
    def can_wait(self) -> bool:
        """Whether libjpeg waits for more where the last ends too early; of arithmetic codes the end
        need not be written."""
        return self._frame in _HUFFMAN and self.data.stop > 0


def read_scans(jpeg: bytes) -> Scans:
    """What there is to know of the scans of ``jpeg``.

    Walks the markers as libjpeg does, and no further. Raises ``BadImage`` for more than
    ``MAX_SCANS`` scans, or more parts than any picture needs.
    """
    scans = Scans()
    for number, (kind, at, content) in enumerate(_markers(jpeg)):
        if number > MAX_PARTS:
            raise too_many("JPEG")
        if scans.count and not scans.data.stop:
            scans.data = slice(scans.data.start, at)
            if not scans.several:
                break
        end = content + int.from_bytes(jpeg[content : content + 2])
        if kind in _FRAME_HEADERS:
            scans.begin(kind, jpeg[content + 2 : end])
        elif kind == _SCAN:
            scans.add(jpeg[content + 2 : end], end)
            if scans.count > MAX_SCANS:
                raise too_many("JPEG", MAX_SCANS, "scans")
    return scans


def _markers(jpeg: bytes) -> Iterator[tuple[int, int, int]]:
    """Of each its kind, its place and the place of what it holds; the last one is the end."""
    position = 2
    while marker := _MARKER.search(jpeg, position):
        kind, position = marker[1][0], marker.end()
        yield kind, marker.start(), position
        if kind == _END:
            return
        position += int.from_bytes(jpeg[position : position + 2])


def require_whole(image: JpegImageFile, jpeg: bytes) -> Scans:
    """The scans of ``jpeg``, of which ``image`` has just been opened. From now on loading that
    raises ``OSError`` if the last of them was cut off.

    Seen is what lacks more than two blocks of 8 × 8. Where a progressive scan stops in the number
    of its empty blocks, and that may be all the rest, it is taken for whole; then it is not the
    picture that is lacking, but some of its detail.

    Raises ``OSError``, too, if a scan is missing, ``BadImage`` if they are too many for the size of
    the picture, and what ``read_scans`` raises.
    """
    scans = read_scans(jpeg)
    scanned = scans.count * image.width * image.height
    if scans.count > ALWAYS_ALLOWED and scanned > MAX_SCANNED:
        raise BadImage(
            f"The JPEG has too many scans, {scans.count}, for its size.",
            hint="Open it in a viewer and export it again.",
        )
    if scans.lacking:
        raise OSError(_TRUNCATED)
    if scans.can_wait:
        behind = _SMALL_NUMBER * scans.several + _NEVER_NEEDED
        image.fp = BytesIO(b"".join((memoryview(jpeg)[: scans.data.stop], behind)))
        if scans.several:
            next_restart = _restart_after(jpeg, scans.data)
            (tile,) = image.tile
            args = cast("tuple[str, str]", tile.args)
            image.tile = [tile._replace(codec_name=_CODEC, args=(*args, next_restart))]
    # Pillow feeds libjpeg this much at a time; all at once saves the copies between.
    image.decodermaxblock = len(jpeg) + len(_SMALL_NUMBER + _NEVER_NEEDED)
    return scans


def _restart_after(jpeg: bytes, data: slice) -> int:
    """The second byte of the restart that follows the last one in ``data``."""
    places = {
        jpeg.rfind(bytes((0xFF, restart)), data.start, data.stop): restart for restart in _RESTARTS
    }
    last = max(places)
    return _RESTARTS[0] if last < 0 else _RESTARTS[(places[last] + 1) % 8]


class _Decoder(ImageFile.PyDecoder):
    """Pillow's decoder of JPEG, for one of several scans.

    Of these libjpeg reads all, to the end marker, before it makes a picture. So here the end comes
    only when libjpeg has shown that it looks for a marker, by passing over bytes that are none.
    """

    def init(self, args: tuple[Any, ...]) -> None:
        """Take raw mode, mode, the restart that may come next, and what ``draft`` has set."""
        mode, file_mode, self._restart, *config = args
        self._decoder = _imaging.jpeg_decoder(self.mode, mode, file_mode, *config)

    def setimage(self, im: Any, extents: Any = None) -> None:
        """Have the pixels written there."""
        self._decoder.setimage(im, extents)

    def cleanup(self) -> None:
        """Free what libjpeg holds."""
        self._decoder.cleanup()

    def decode(self, buffer: Any) -> tuple[int, int]:
        """Decode the whole file up to its end marker.

        Raises ``OSError`` if the last scan was cut off.
        """
        rest = buffer
        # Where it waits for a restart it passes over a byte, too, but takes one after the restart.
        for more in (b"", b"\0", bytes((0xFF, self._restart, 0))):
            rest += more
            taken, error = self._decoder.decode(rest)
            if taken < 0:
                return taken, error
            if more and taken < len(rest):
                raise OSError(_TRUNCATED)
            rest = rest[taken:]
        taken, error = self._decoder.decode(bytes((0xFF, _END)))
        return taken, error


Image.register_decoder(_CODEC, _Decoder)
