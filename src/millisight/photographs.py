"""What a self-made load asks about: photographs made of numbers, or the user's own."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from millisight.errors import DataError, ImageError
from millisight.image import Limits, decode
from millisight.manifest import Preprocess
from millisight.pictures import find_pictures

COUNT = 16
SIZE = (500, 375)
QUALITY = 94
"""Makes 100 to 115 KB of what is made here, like the mean photograph of ImageNet."""

MOST = 64
MOST_BYTES = 32_000_000
"""Every process of a trial holds a copy of all of them."""

_DETAIL = (2, 5, 20, 60, 200)
_CONTRAST = 2.0


def self_made() -> list[bytes]:
    """JPEG files with detail of all sizes, which decode like photographs; always the same."""
    return [_made(seed) for seed in range(COUNT)]


def _made(seed: int) -> bytes:
    random = np.random.default_rng(seed)
    width, height = SIZE
    pixels = np.full((height, width, 3), 128, np.float32)
    for cells in _DETAIL:
        shape = (height * cells // width + 2, cells + 2, 3)
        coarse = Image.fromarray(random.integers(0, 256, shape, dtype=np.uint8))
        layer = np.asarray(coarse.resize(SIZE, Image.Resampling.BICUBIC), np.float32)
        pixels += (layer - 128) * (_CONTRAST / len(_DETAIL))
    file = BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


def photographs_in(folder: Path, preprocess: Preprocess, limits: Limits) -> list[bytes]:
    """Pictures from all over ``folder``, at most 64 of together 32 MB, whole files.

    Those that the server would refuse are left out. Raises ``DataError`` when none is left.
    """
    chosen: list[bytes] = []
    size = 0
    for path in _spread(list(find_pictures([folder]))):
        data = path.read_bytes()
        if _usable(data, preprocess, limits):
            if chosen and size + len(data) > MOST_BYTES:
                break
            chosen.append(data)
            size += len(data)
    if not chosen:
        raise DataError(f"There are no usable pictures in {folder}.")
    return chosen


def _spread(paths: Sequence[Path]) -> list[Path]:
    """At most ``MOST`` of ``paths``, evenly from the first to the last."""
    count = min(MOST, len(paths))
    return [paths[number * len(paths) // count] for number in range(count)]


def _usable(data: bytes, preprocess: Preprocess, limits: Limits) -> bool:
    try:
        decode(data, preprocess, limits)
    except ImageError:
        return False
    return True
