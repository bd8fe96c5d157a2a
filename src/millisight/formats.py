"""Which files are opened at all, and what their bytes give away before a pixel is decoded."""

import re

from millisight.errors import BadImage, ImageError, UnsupportedFormat

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
"""The only formats that are opened at all: none of their decoders runs programs or reads files.

MPO, which many phones write, is opened as the JPEG it begins with."""

MAX_SCANS = 100
"""The most scans a JPEG may have. Encoders write some ten; each one goes over the whole picture,
so a small file of many thousands would keep a decoder busy for hours."""

_SUPPORTED = re.compile(
    rb"\xff\xd8\xff|\x89PNG\r\n\x1a\n|GIF8[79]a|BM|RIFF....WEBP|....ftypavi[fs]"
    rb"|II[*+]\x00|MM\x00[*+]",
    re.DOTALL,
)
_HEIC = re.compile(rb"....ftyp(hei[cmsx]|hevc|mif1|msf1)", re.DOTALL)

# A marker is any number of 0xff and one more byte; 0xff 0x00 and restarts belong to a scan's data.
# Only the last 0xff is looked for: see structure.py.
_MARKER = re.compile(rb"\xff([^\x00\x01\xd0-\xd7\xff])", re.DOTALL)
_FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SEQUENTIAL = (0xC0, 0xC1)
_END = 0xD9
_SCAN = 0xDA


def refusal(data: bytes) -> ImageError:
    """Why a file that is not one of ``FORMATS``, or has a broken header, is not opened."""
    if _HEIC.match(data):
        return UnsupportedFormat(
            "HEIC pictures are not supported.",
            hint="On the iPhone choose Settings, Camera, Formats, Most Compatible; "
            "or export the picture as JPEG.",
        )
    if _SUPPORTED.match(data):
        return BadImage(
            "The picture cannot be read: its header is incomplete, damaged or of a rare kind.",
            hint="Is the file complete? Open it in a viewer and export it again as JPEG or PNG.",
        )
    return UnsupportedFormat(
        "This is not a picture in a supported format.",
        hint="Supported: JPEG, PNG, WebP, GIF, BMP, TIFF and AVIF.",
    )


def check_scans(jpeg: bytes) -> None:
    """Raise ``BadImage`` for a JPEG of more than ``MAX_SCANS`` scans.

    Walks the markers as libjpeg does, and no further than it has to: a photograph is mostly one
    scan, and then its data is not looked at.
    """
    frame = components = scans = 0
    position = 2
    while marker := _MARKER.search(jpeg, position):
        kind, position = marker[1][0], marker.end()
        if kind == _END:
            return
        if kind in _FRAME_HEADERS:
            frame, components = kind, jpeg[position + 7]
        if kind == _SCAN:
            scans += 1
            is_only = frame in _SEQUENTIAL and jpeg[position + 2] == components
            if scans == 1 and (is_only or jpeg.count(b"\xff\xda", position) < MAX_SCANS):
                return
            if scans > MAX_SCANS:
                raise BadImage(
                    f"The JPEG has over {MAX_SCANS} scans.",
                    hint="Open it in a viewer and export it again.",
                )
        position += int.from_bytes(jpeg[position : position + 2])
