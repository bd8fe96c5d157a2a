"""A class activation map laid over the picture it belongs to."""

from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from millisight.engine import Pixels

# The colour map "inferno" (CC0, https://bids.github.io/colormap/) at five places, dark to bright.
_RAMP = np.array(
    [(0, 0, 4), (87, 16, 110), (188, 55, 84), (249, 142, 9), (252, 255, 164)], np.float64
)

STRENGTH = 0.7
"""How much of the picture the hottest cell covers, 0…1."""


def heat(cells: NDArray[np.float32], size: int) -> NDArray[np.float64]:
    """The map enlarged to ``(size, size)`` and stretched to 0…1, as Zhou et al. draw it.

    ``cells`` has shape ``(height, width)``. A map without any difference is 0 throughout.
    """
    enlarged = np.asarray(
        Image.fromarray(cells).resize((size, size), Image.Resampling.BILINEAR), np.float64
    )
    least, greatest = float(enlarged.min()), float(enlarged.max())
    stretched: NDArray[np.float64] = (enlarged - least) / ((greatest - least) or 1.0)
    return stretched


def overlay(pixels: Pixels, cells: NDArray[np.float32]) -> bytes:
    """A PNG of what ``blend`` gives."""
    file = BytesIO()
    Image.fromarray(blend(pixels, cells)).save(file, "PNG")
    return file.getvalue()


def blend(pixels: Pixels, cells: NDArray[np.float32]) -> Pixels:
    """``pixels``, ``(size, size, 3)``, under the colours of ``cells``."""
    warmth = heat(cells, len(pixels))
    places = np.linspace(0, 1, len(_RAMP))
    colours = np.stack([np.interp(warmth, places, channel) for channel in _RAMP.T], axis=-1)
    cover = STRENGTH * warmth[..., None]
    mixed: Pixels = np.rint((1 - cover) * pixels + cover * colours).astype(np.uint8)
    return mixed
