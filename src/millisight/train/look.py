"""Every picture once: whether it can be read, how large it is, and what it looks like."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import imagehash
import numpy as np
from blake3 import blake3
from numpy.typing import NDArray
from PIL import Image

from millisight.ahead import in_order
from millisight.build.steps import Step
from millisight.cpu import available_cores
from millisight.errors import BadImage, MillisightError
from millisight.formats import FORMATS
from millisight.image import Limits, decode
from millisight.manifest import Preprocess

_HASH_SIDE = 16
# What the hash is made from: four times its side, the square that a network would see, too.
_SMALL = Preprocess(
    resize=64, crop=64, interpolation="bilinear", mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)
)
_CELLS = 8
_AHEAD = 4
"""Pictures under way for each thread."""


@dataclass(frozen=True, slots=True)
class Look:
    """What is kept of a picture that can be read."""

    path: Path
    digest: str
    """BLAKE3 of the file, in hexadecimal digits."""
    phash: NDArray[np.uint64]
    """Perceptual hash, shape ``(4,)``: pictures that look alike differ in few of its bits."""
    cells: NDArray[np.int16]
    """Y, Cb and Cr of the picture in 64 parts, shape ``(64, 3)``; the hash sees no colour."""
    size: tuple[int, int]
    """Width and height as stored."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file that is named like a picture and cannot be read as one."""

    path: Path
    sentence: str


def look_at(paths: Sequence[Path], step: Step) -> list[Look | Unreadable]:
    """Decode all of ``paths`` as the server would, on all cores; results are in their order."""
    limits = Limits()
    threads = available_cores()
    found: list[Look | Unreadable] = []
    with (
        step(f"Looking at {len(paths)} pictures", total=len(paths)) as bar,
        ThreadPoolExecutor(threads) as pool,
    ):
        looks = in_order(
            lambda path: pool.submit(_look, path, limits),
            paths,
            ahead=_AHEAD * threads,
            return_errors=True,
        )
        for path, look in zip(paths, looks, strict=True):
            found.append(look if isinstance(look, Look) else Unreadable(path, _sentence(look)))
            bar.advance(1)
    return found


def _look(path: Path, limits: Limits) -> Look:
    if path.exists() and not path.is_file():
        raise BadImage("It is not a file.")
    data = path.read_bytes()
    small = Image.fromarray(decode(data, _SMALL, limits).pixels)
    with Image.open(BytesIO(data), formats=FORMATS) as image:
        size = image.size
    return Look(path, blake3(data).hexdigest(), _phash(small), _cells(small), size)


def _sentence(error: MillisightError | OSError) -> str:
    if isinstance(error, MillisightError):
        return error.message
    return f"The file cannot be read: {error.strerror}."


def _phash(small: Image.Image) -> NDArray[np.uint64]:
    bits = imagehash.phash(small, hash_size=_HASH_SIDE).hash
    packed: NDArray[np.uint64] = np.packbits(bits.ravel()).view(np.uint64)
    return packed


def _cells(small: Image.Image) -> NDArray[np.int16]:
    cells = small.resize((_CELLS, _CELLS), Image.Resampling.BOX).convert("YCbCr")
    return np.asarray(cells, np.int16).reshape(-1, 3)
