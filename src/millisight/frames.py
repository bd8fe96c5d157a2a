"""How many frames a picture file holds, counted without decoding any of them.

Pillow's own ``n_frames`` walks GIF frames and TIFF directories without a bound and reads every tag
on the way, which a hostile 1 MB file turns into minutes. Here the walk reads only what leads to the
next frame and stops at ``MAX_COUNTED``.
"""

import struct
from io import BytesIO

from PIL import Image

MAX_COUNTED = 1000
"""Beyond this many frames the count says only that there are more."""

_MAX_GIF_BLOCKS = 100_000

_GIF_EXTENSION = 0x21
_GIF_IMAGE = 0x2C


def count_frames(image: Image.Image, data: bytes) -> int:
    """Frames in the file ``data`` that was opened as ``image``; at most ``MAX_COUNTED + 1``.

    The image itself is not touched.
    """
    if image.format == "GIF":
        return _count_gif_frames(data)
    if image.format == "TIFF":
        return _count_tiff_directories(data)
    # For the others Pillow reads the number from the header.
    return min(getattr(image, "n_frames", 1), MAX_COUNTED + 1)


def _count_tiff_directories(data: bytes) -> int:
    """Distinct directories in the chain of TIFF 6.0 (section 2), or of BigTIFF."""
    order = "<" if data.startswith(b"II") else ">"
    # Layouts of the number of entries and of an offset; bytes of an entry; where the chain begins.
    entries, offset, entry_size, begin = ("Q", "Q", 20, 8) if 43 in data[2:4] else ("H", "L", 12, 4)
    seen: set[int] = set()
    try:
        (position,) = struct.unpack_from(order + offset, data, begin)
        while 0 < position < len(data) and position not in seen and len(seen) <= MAX_COUNTED:
            seen.add(position)
            (count,) = struct.unpack_from(order + entries, data, position)
            position += struct.calcsize(order + entries) + count * entry_size
            (position,) = struct.unpack_from(order + offset, data, position)
    except (struct.error, OverflowError):
        pass
    return max(len(seen), 1)


def _count_gif_frames(data: bytes) -> int:
    """Image descriptors in the block structure of GIF89a (sections 17 to 26 of its text)."""
    file = BytesIO(data)
    header = file.read(13)
    _skip_color_table(file, header[10])
    frames = 0
    blocks = 0
    while frames <= MAX_COUNTED and blocks < _MAX_GIF_BLOCKS:
        introducer = file.read(1)
        if introducer == bytes([_GIF_EXTENSION]):
            file.seek(1, 1)
        elif introducer == bytes([_GIF_IMAGE]):
            descriptor = file.read(9)
            if len(descriptor) < 9:
                break
            _skip_color_table(file, descriptor[8])
            file.seek(1, 1)
            frames += 1
        else:
            break
        blocks += 1
        while (size := file.read(1)) > b"\0" and blocks < _MAX_GIF_BLOCKS:
            file.seek(size[0], 1)
            blocks += 1
    return max(frames, 1)


def _skip_color_table(file: BytesIO, flags: int) -> None:
    if flags & 0x80:
        file.seek(3 << ((flags & 7) + 1), 1)
