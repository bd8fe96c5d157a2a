"""A picture of any mode as ``RGB`` or ``L``, and what that changed.

Large ones are converted in strips of rows: at the worst there are the picture, the result, and a
strip of whatever lies between, never several copies of the whole.
"""

from collections.abc import Callable, Iterator
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

_STRIP_PIXELS = 1 << 20

Convert = Callable[[Image.Image], Image.Image]


def to_rgb(image: Image.Image) -> tuple[Image.Image, list[str]]:
    """The picture and its warnings.

    Grey stays ``L`` so that one channel is resized and not three equal ones.
    """
    if image.mode.startswith("I;16"):
        return _in_strips(image, "L", _high_byte), ["16bit_scaled"]
    if image.mode in ("I", "F"):
        return _from_32bit_grey(image)
    if image.has_transparency_data:
        return _on_white(image)
    if image.mode in ("RGB", "L"):
        return image, []
    if image.mode == "CMYK":
        return _in_strips(image, "RGB", _from_cmyk(image)), ["cmyk_converted"]
    return _in_strips(image, "RGB", lambda strip: strip.convert("RGB")), []


def _in_strips(image: Image.Image, mode: str, convert: Convert) -> Image.Image:
    """What ``convert`` makes of ``image``, in ``mode``; it is given some rows at a time."""
    if image.width * image.height <= _STRIP_PIXELS:
        return convert(image)
    whole = Image.new(mode, image.size)
    for top, strip in _strips(image):
        whole.paste(convert(strip), (0, top))
    return whole


def _strips(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    rows = max(1, _STRIP_PIXELS // image.width)
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))


def _on_white(image: Image.Image) -> tuple[Image.Image, list[str]]:
    """Transparent parts shown on white, as a shop page would."""
    warnings: list[str] = []

    def convert(strip: Image.Image) -> Image.Image:
        layered = strip.convert("RGBA")
        if layered.getchannel("A").getextrema() == (255, 255):
            return layered.convert("RGB")
        warnings[:] = ["alpha_on_white"]
        white = Image.new("RGBA", layered.size, "white")
        return Image.alpha_composite(white, layered).convert("RGB")

    return _in_strips(image, "RGB", convert), warnings


def _from_cmyk(image: Image.Image) -> Convert:
    """Through the embedded profile where there is a usable one, else by Pillow's formula."""
    profile = image.info.get("icc_profile")
    if profile:
        try:
            transform = ImageCms.buildTransform(
                ImageCms.ImageCmsProfile(BytesIO(profile)),
                ImageCms.createProfile("sRGB"),
                "CMYK",
                "RGB",
            )
        except (ImageCms.PyCMSError, OSError):
            transform = None
        if transform is not None:
            return lambda strip: ImageCms.applyTransform(strip, transform) or strip
    return lambda strip: strip.convert("RGB")


def _high_byte(image: Image.Image) -> Image.Image:
    """16-bit grey to 8 bits. Pillow's own ``convert`` clips instead, which turns it white."""
    return Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8))


def _from_32bit_grey(image: Image.Image) -> tuple[Image.Image, list[str]]:
    """Integers that fit in 16 bits are taken as 16-bit grey. Any other range is stated by no
    format, so the picture's own least and greatest value become 0 and 255."""
    least, greatest = _finite_range(image)
    if image.mode == "I" and least >= 0 and 255 < greatest <= 65535:
        return _in_strips(image, "L", _high_byte), ["16bit_scaled"]
    spread = (greatest - least) or 1.0

    def stretch(strip: Image.Image) -> Image.Image:
        values = np.nan_to_num(_values(strip), nan=least, posinf=greatest, neginf=least)
        return Image.fromarray(np.rint((values - least) / spread * 255).astype(np.uint8))

    return _in_strips(image, "L", stretch), ["32bit_stretched"]


def _finite_range(image: Image.Image) -> tuple[float, float]:
    """Least and greatest of the values that are numbers; 0 and 0 if none is."""
    ranges = []
    for _, strip in _strips(image):
        values = _values(strip)
        finite = values[np.isfinite(values)]
        if finite.size:
            ranges.append((float(finite.min()), float(finite.max())))
    if not ranges:
        return 0.0, 0.0
    return min(low for low, _ in ranges), max(high for _, high in ranges)


def _values(image: Image.Image) -> NDArray[np.float64]:
    # A signalling NaN is no number like any other; numpy would warn of it.
    with np.errstate(invalid="ignore"):
        return np.asarray(image, dtype=np.float64)
