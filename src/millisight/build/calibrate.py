"""Pictures to find INT8 ranges with, and others to check them on."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torchvision.transforms import InterpolationMode, RandomResizedCrop

from millisight.build.steps import Step
from millisight.errors import DataError, ImageError
from millisight.image import Limits, decode
from millisight.manifest import Preprocess
from millisight.pictures import find_pictures

SAMPLES = 150
"""Network inputs that ranges are taken from. NNCF's own default is 300, which takes twice as long
and came no closer to float32 (docs/decisions/0002-ranges-are-chosen-by-divergence.md)."""
FEW_SAMPLES = 50
"""Enough to tell range estimators apart, and to do with where time is short."""
CHECK_SAMPLES = 200
"""Network inputs that agreement is measured on, at most."""
SEED = 20
"""Fixed, so that the same pictures always give the same bundle."""

_MIN_PICTURES = 8

# The photographs among the pictures that the two packages install; the others are drawings,
# text or masks. Those held back to check on are of other subjects than the rest.
_PHOTOGRAPHS = {
    "skimage.data": (
        "astronaut.png brick.png camera.png cell.png chelsea.png clock_motion.png coins.png "
        "color.png grass.png gravel.png hubble_deep_field.jpg ihc.png microaneurysms.png moon.png "
        "motorcycle_left.png page.png retina.jpg text.png"
    ),
    "sklearn.datasets.images": "flower.jpg",
}
_CHECK_PHOTOGRAPHS = {
    "skimage.data": "coffee.png motorcycle_right.png rocket.jpg",
    "sklearn.datasets.images": "china.jpg",
}

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class CalibrationSet:
    """Network inputs, each ``(crop, crop, 3)`` uint8, in two parts that share no picture."""

    source: str
    images: int
    """Pictures that ``samples`` were made from."""
    samples: list[Pixels]
    check: list[Pixels]


def default_set(preprocess: Preprocess, step: Step) -> CalibrationSet:
    """Seeded random crops of the photographs that scikit-image and scikit-learn install."""
    photographs = _shipped(_PHOTOGRAPHS)
    with step(f"Cutting {SAMPLES} crops from {len(photographs)} photographs"):
        samples = random_crops(photographs, SAMPLES, preprocess)
        check = random_crops(_shipped(_CHECK_PHOTOGRAPHS), CHECK_SAMPLES, preprocess)
    return CalibrationSet(
        source="photographs of scikit-image and scikit-learn, as random resized crops",
        images=len(photographs),
        samples=samples,
        check=check,
    )


def folder_set(folder: Path, preprocess: Preprocess, step: Step) -> CalibrationSet:
    """``paths_set`` of the pictures in ``folder``. Raises ``DataError`` where that does, and where
    there is no such folder."""
    paths = list(find_pictures([folder]))
    return paths_set(paths, f"pictures of the folder {folder.name}", preprocess, step)


def paths_set(
    paths: Sequence[Path],
    source: str,
    preprocess: Preprocess,
    step: Step,
    count: int = SAMPLES,
) -> CalibrationSet:
    """A seeded choice of ``count`` of the pictures ``paths``, and of others for the check.

    ``source`` says what they are. A quarter of them is kept for the check at least; where there
    are fewer than ``count`` then, random crops of the same pictures are added. Raises
    ``DataError`` when fewer than 8 can be read.
    """
    decoded = _some_decoded(paths, preprocess, step, count + CHECK_SAMPLES)
    if len(decoded) < _MIN_PICTURES:
        raise DataError(
            f"Calibrating needs {_MIN_PICTURES} pictures; there are {len(decoded)} readable "
            f"pictures among {source}.",
            hint="Some hundreds, like those the model will see, are best.",
        )
    held_back = max(len(decoded) // 4, len(decoded) - count)
    chosen = decoded[held_back:]
    samples = [pixels for _, pixels in chosen]
    if len(samples) < count:
        pictures = [Image.open(path).convert("RGB") for path, _ in chosen]
        samples += random_crops(pictures, count - len(samples), preprocess)
    return CalibrationSet(
        source=source,
        images=len(chosen),
        samples=samples,
        check=[pixels for _, pixels in decoded[:held_back]],
    )


def _some_decoded(
    paths: Sequence[Path], preprocess: Preprocess, step: Step, wanted: int
) -> list[tuple[Path, Pixels]]:
    """``wanted`` of those that can be read, in an order that only the seed decides."""
    paths = list(paths)
    random.Random(SEED).shuffle(paths)  # noqa: S311 (a choice of pictures, not a secret)
    decoded: list[tuple[Path, Pixels]] = []
    with step("Reading pictures to calibrate with", total=min(wanted, len(paths))) as bar:
        for path in paths:
            if len(decoded) == wanted:
                break
            pixels = _decode_or_none(path, preprocess)
            if pixels is not None:
                decoded.append((path, pixels))
                bar.advance(1)
    return decoded


def random_crops(
    pictures: Sequence[Image.Image], count: int, preprocess: Preprocess
) -> list[Pixels]:
    """``count`` random resized crops, taking the pictures in turn; the same on every call."""
    cut = RandomResizedCrop(
        preprocess.crop, interpolation=InterpolationMode(preprocess.interpolation)
    )
    with torch.random.fork_rng():
        torch.manual_seed(SEED)
        return [np.asarray(cut(pictures[turn % len(pictures)])) for turn in range(count)]


def _shipped(names: dict[str, str]) -> list[Image.Image]:
    return [
        Image.open(Path(str(resources.files(package) / name))).convert("RGB")
        for package, files in names.items()
        for name in files.split()
    ]


def _decode_or_none(path: Path, preprocess: Preprocess) -> Pixels | None:
    try:
        return decode(path.read_bytes(), preprocess, Limits()).pixels
    except (ImageError, OSError):
        return None
