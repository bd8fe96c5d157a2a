"""Which files are opened at all, and what their bytes give away before a pixel is decoded."""

import re

from millisight.errors import BadImage, ImageError, UnsupportedFormat

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
"""The only formats that are opened at all: none of their decoders runs programs or reads files.

MPO, which many phones write, is opened as the JPEG it begins with."""

_SUPPORTED = re.compile(
    rb"\xff\xd8\xff|\x89PNG\r\n\x1a\n|GIF8[79]a|BM|RIFF....WEBP|....ftypavi[fs]"
    rb"|II[*+]\x00|MM\x00[*+]",
    re.DOTALL,
)
_HEIC = re.compile(rb"....ftyp(hei[cmsx]|hevc|mif1|msf1)", re.DOTALL)


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
