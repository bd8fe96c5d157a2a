"""Pictures of any kind as the bytes that are sent."""

import os
import sys
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias, TypeGuard

from millisight.errors import BadImage

if TYPE_CHECKING:
    from PIL import Image

_ORIENTATION = 0x0112
"""Where EXIF says which side is up."""


class Readable(Protocol):
    """A file that was opened to read bytes."""

    def read(self) -> bytes:
        """All that is left of it."""
        ...


Sendable: TypeAlias = "str | os.PathLike[str] | bytes | Readable | Image.Image"
"""What can be sent: a path, the bytes of a file, an open file, or a Pillow image."""


def bytes_of(picture: Sendable) -> bytes:
    """A file with ``picture``; a Pillow image becomes a PNG, which loses nothing.

    Raises ``BadImage`` for what is no picture, and ``OSError`` for a file that cannot be read.
    """
    if isinstance(picture, bytes):
        return picture
    if isinstance(picture, str | os.PathLike):
        return Path(picture).read_bytes()
    if _is_pillow(picture):
        return _as_png(picture)
    data = picture.read() if hasattr(picture, "read") else None
    if not isinstance(data, bytes):
        raise BadImage(
            f"A {type(picture).__name__} cannot be sent.",
            hint="Give a path, bytes, a file opened with mode 'rb', or a Pillow image.",
        )
    return data


def _is_pillow(picture: object) -> TypeGuard["Image.Image"]:
    # Who has such an image has loaded Pillow, and nobody else has to.
    pillow = sys.modules.get("PIL.Image")
    return pillow is not None and isinstance(picture, pillow.Image)


def _as_png(image: "Image.Image") -> bytes:
    from PIL import Image

    exif = Image.Exif()
    file = BytesIO()
    try:
        # Pillow turns a TIFF upright while it loads it, and says so only then.
        image.load()
        if side := image.getexif().get(_ORIENTATION):
            exif[_ORIENTATION] = side
        image.save(file, "PNG", compress_level=1, exif=exif)
    except (OSError, ValueError) as error:
        raise BadImage(
            f"The image cannot be sent as a PNG: {error}.",
            hint="Convert it to RGB first, or send the file itself.",
        ) from error
    return file.getvalue()
