"""Bytes to network input, safely: ``decode(data, preprocess, limits) -> Decoded``.

The geometry is torchvision's reference: shorter side to ``resize``, centre ``crop`` taken. Crop
and resize happen in one call on the part of the picture that is needed, and JPEGs much larger
than that are decoded at a fraction of their size, so a phone's 12 megapixels cost little.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile
from PIL.TiffImagePlugin import TILELENGTH, TILEWIDTH, TiffImageFile

from millisight.av1 import check_frames
from millisight.budget import PixelBudget
from millisight.errors import BadImage, ImageError, ImageTooLarge
from millisight.formats import FORMATS, refusal
from millisight.frames import MAX_COUNTED, count_frames
from millisight.geometry import (
    SWAPS_AXES,
    UPRIGHT,
    Box,
    clip,
    crop_box,
    draft_scale,
    fractions,
    stored_box,
)
from millisight.manifest import Preprocess
from millisight.modes import to_rgb
from millisight.resizing import resize
from millisight.scans import require_whole
from millisight.structure import MAX_EXIF_BYTES, bounded

DRAFT_FACTOR = 2
"""A JPEG is decoded at the smallest of 1/1, 1/2, 1/4, 1/8 that keeps this many times the pixels
that the resize needs along each side."""

_MOST_PLANES = 4
"""A TIFF may keep each of its colours, and transparency, apart."""

_PLAIN = re.compile(r"[\w ,;:()=%+-]{1,200}", re.ASCII)

_EXIF_BLOCKS = {"exif": MAX_EXIF_BYTES, "Raw profile type exif": 3 * MAX_EXIF_BYTES}
"""Where Pillow finds EXIF, and how long it may be there; the second is in hexadecimal digits."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What is refused before any pixel is decoded, and how much is decoded at one time."""

    max_pixels: int = 50_000_000
    budget: PixelBudget = field(default_factory=lambda: PixelBudget(50_000_000))
    """Shared by all threads that decode with these limits."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """A picture as the network takes it."""

    pixels: NDArray[np.uint8]
    """Shape ``(crop, crop, 3)``, RGB."""
    warnings: tuple[str, ...]
    """What was changed or left out on the way, such as ``exif_rotated``."""
    box: Box
    """The part of the upright picture that ``pixels`` show, as fractions of its sides."""


def decode(data: bytes, preprocess: Preprocess, limits: Limits) -> Decoded:
    """Network input from the bytes of a picture file.

    Raises ``UnsupportedFormat``, ``ImageTooLarge`` or ``BadImage``; no bytes raise anything else.
    """
    if not data:
        raise BadImage("The picture is empty: it has no bytes.")
    data = bounded(data)
    with _border(limits, data):
        opened = Image.open(BytesIO(data), formats=FORMATS)
    with opened as image:
        with _border(limits):
            _check_structure(image, data, limits)
            is_kept = isinstance(image, JpegImageFile) and require_whole(image, data).several
        frames = count_frames(image, data)
        return _prepare(image, preprocess, limits, frames=frames, is_kept=is_kept)


@contextmanager
def _border(limits: Limits, data: bytes = b"") -> Iterator[None]:
    """Around what Pillow does with a file, ``data``: its errors become ours.

    Nothing else is to stand within: a fault of this program is not a fault of the picture.
    """
    try:
        yield
    except (ImageError, MemoryError):
        raise
    except UnidentifiedImageError as error:
        raise refusal(data) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large("The picture has far too many pixels", limits) from error
    # Its decoders raise many kinds of errors on damaged files.
    except Exception as error:
        raise _unreadable(error) from error


def from_array(
    array: NDArray[np.uint8] | NDArray[np.uint16], preprocess: Preprocess, limits: Limits
) -> Decoded:
    """Network input from pixels: uint8 ``(h, w[, 3 or 4])`` or uint16 ``(h, w)``.

    Raises ``BadImage`` for any other shape or dtype.
    """
    channels = array.shape[2:] if array.ndim == 3 else ()
    plain = array.dtype == np.uint8 and (array.ndim == 2 or channels in ((3,), (4,)))
    if not (plain or (array.dtype == np.uint16 and array.ndim == 2)) or not array.size:
        raise BadImage(
            f"An array of shape {array.shape} and type {array.dtype} is not a picture.",
            hint="Give uint8 of shape (h, w), (h, w, 3) or (h, w, 4), or uint16 of shape (h, w).",
        )
    return _prepare(Image.fromarray(array), preprocess, limits)


def from_pillow(image: Image.Image, preprocess: Preprocess, limits: Limits) -> Decoded:
    """Network input from a Pillow image, which is left as it is.

    Raises ``ImageTooLarge`` or ``BadImage``.
    """
    _check_size(image.size, limits)
    # An image that was opened is decoded only here.
    with _border(limits):
        copied = image.copy()
    return _prepare(copied, preprocess, limits)


def _prepare(
    image: Image.Image,
    preprocess: Preprocess,
    limits: Limits,
    *,
    frames: int = 1,
    is_kept: bool = False,
) -> Decoded:
    """Make ready what was opened; ``is_kept`` says that its decoder holds all of it at full size,
    whatever the size of the picture that it makes."""
    _check_size(image.size, limits)
    warnings = []
    if frames > 1:
        count = str(frames) if frames <= MAX_COUNTED else f"over_{MAX_COUNTED}"
        warnings.append(f"first_of_{count}_frames")
    full = image.size
    with _border(limits):
        image.draft(None, (preprocess.resize * DRAFT_FACTOR,) * 2)
    kept = full[0] * full[1] if is_kept else 0
    with limits.budget.hold(kept + image.size[0] * image.size[1]):
        return _cut(image, full, preprocess, warnings, limits)


def _cut(
    image: Image.Image,
    full: tuple[int, int],
    preprocess: Preprocess,
    warnings: list[str],
    limits: Limits,
) -> Decoded:
    """Decode ``image``, which has ``full`` size unless its decoder reduces it, and take from it
    what the network sees. ``warnings`` come before those that arise here."""
    # Pillow turns a TIFF upright while loading, and gives its upright size even before.
    turned_by_pillow = image.format == "TIFF" and _orientation(image) != 1
    width, height = full
    with _border(limits):
        image.load()
    orientation = _orientation(image)
    if turned_by_pillow or orientation != 1:
        warnings.append("exif_rotated")
    upright = (height, width) if orientation in SWAPS_AXES else (width, height)
    seen = crop_box(upright, preprocess)
    box = stored_box(seen, upright, orientation)
    # A reduced decode rounds its size up; the picture itself covers exactly 1/scale of it.
    scale = draft_scale(width, image.size[0])
    with _border(limits):
        rgb, more_warnings = to_rgb(image)
    shown = clip((box[0] / scale, box[1] / scale, box[2] / scale, box[3] / scale), rgb.size)
    pixels = resize(rgb, shown, preprocess.crop, preprocess.interpolation)
    if orientation != 1:
        pixels = np.asarray(Image.fromarray(pixels).transpose(UPRIGHT[orientation]))
    return Decoded(pixels, (*warnings, *more_warnings), fractions(seen, upright))


def _orientation(image: Image.Image) -> int:
    """EXIF orientation 1…8; a broken or absurd one counts as upright."""
    try:
        if any(len(image.info.get(block, b"")) > most for block, most in _EXIF_BLOCKS.items()):
            return 1
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    # A damaged EXIF block is no reason to refuse the picture, and it fails in many ways.
    except Exception:  # noqa: BLE001
        return 1
    return value if value in UPRIGHT else 1


def _check_structure(image: Image.Image, data: bytes, limits: Limits) -> None:
    """What the headers promise, before any pixel is decoded."""
    _check_size(image.size, limits)
    if image.format == "AVIF":
        check_frames(data, image.size)
    if isinstance(image, TiffImageFile):
        # A tile is decoded whole, however little of it the picture shows.
        tags = image.tag_v2
        _check_size((tags.get(TILEWIDTH, 1), tags.get(TILELENGTH, 1)), limits)
        _check_pieces(image)


def _check_pieces(tiff: TiffImageFile) -> None:
    """A file may list pieces that cover the picture again and again; Pillow decodes each."""
    width, height = tiff.size
    boxes = filter(None, (piece.extents for piece in tiff.tile))
    covered = sum((right - left) * (lower - upper) for left, upper, right, lower in boxes)
    if covered > _MOST_PLANES * width * height:
        raise BadImage(
            "The TIFF holds more pieces than its picture needs.",
            hint="Open it in a viewer and export it again.",
        )


def _check_size(size: tuple[int, int], limits: Limits) -> None:
    width, height = size
    if width < 1 or height < 1:
        raise BadImage(f"The picture has no pixels: it is {width} × {height}.")
    if width * height > limits.max_pixels:
        raise _too_large(f"The picture has {width} × {height} pixels", limits)


def _too_large(what: str, limits: Limits) -> ImageTooLarge:
    return ImageTooLarge(
        f"{what}; the limit is {limits.max_pixels / 1e6:g} megapixels.",
        hint="Scale it down before sending it.",
    )


def _unreadable(error: Exception) -> BadImage:
    said = str(error).strip().rstrip(".")
    # What is no plain sentence may tell of this machine.
    reason = said if _PLAIN.fullmatch(said) else "it is damaged"
    return BadImage(
        f"The picture cannot be read: {reason}.",
        hint="Is the file complete? Open it in a viewer and export it again as JPEG or PNG.",
    )
