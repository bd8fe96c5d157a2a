"""Which part of a stored picture the network sees. Pure arithmetic, no pixels.

Boxes are ``(left, top, right, bottom)`` in pixels, not rounded: the resize takes fractions.
"""

from PIL import Image

from millisight.manifest import Preprocess

UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation -> how to turn the stored picture upright; 1 and what is absurd is missing."""

SWAPS_AXES = (5, 6, 7, 8)
_MIRRORS_X = (2, 3, 7, 8)
_MIRRORS_Y = (3, 4, 6, 7)

Box = tuple[float, float, float, float]


def crop_box(size: tuple[int, int], preprocess: Preprocess) -> Box:
    """The part of an upright picture that the crop shows, in its own pixels.

    Follows torchvision's ``Resize`` (the longer side is cut down to an integer) and ``CenterCrop``
    (the offset is rounded half to even).
    """
    short = min(size)
    resized = [
        preprocess.resize if side == short else preprocess.resize * side // short for side in size
    ]
    box = []
    for side, target in zip(size, resized, strict=True):
        offset = round((target - preprocess.crop) / 2)
        box.append((offset * side / target, (offset + preprocess.crop) * side / target))
    (left, right), (top, bottom) = box
    return left, top, right, bottom


def stored_box(box: Box, upright: tuple[int, int], orientation: int) -> Box:
    """Where ``box`` of the upright picture lies in the picture as stored."""
    left, top, right, bottom = box
    width, height = upright
    if orientation in SWAPS_AXES:
        left, top, right, bottom = top, left, bottom, right
        width, height = height, width
    if orientation in _MIRRORS_X:
        left, right = width - right, width - left
    if orientation in _MIRRORS_Y:
        top, bottom = height - bottom, height - top
    return left, top, right, bottom


def clip(box: Box, size: tuple[int, int]) -> Box:
    """``box`` without the last rounding error that would put it outside ``size``."""
    return max(box[0], 0.0), max(box[1], 0.0), min(box[2], size[0]), min(box[3], size[1])


def fractions(box: Box, size: tuple[int, int]) -> Box:
    """``box`` in pixels of a picture of ``size`` as fractions of its sides."""
    width, height = size
    return box[0] / width, box[1] / height, box[2] / width, box[3] / height


def draft_scale(full: int, reduced: int) -> int:
    """The power of two that libjpeg divided ``full`` by to get ``reduced`` (rounded up)."""
    return next((scale for scale in (1, 2, 4, 8) if -(-full // scale) == reduced), 1)
