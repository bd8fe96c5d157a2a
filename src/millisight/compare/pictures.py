"""The pictures that all engines see, and what they are right about."""

import random
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from millisight.engine import Logits
from millisight.errors import DataError, ImageError
from millisight.evaluation import accuracy
from millisight.image import Limits, decode
from millisight.manifest import Accuracy, Preprocess
from millisight.pictures import find_pictures, labelled_pictures
from millisight.predictions import top_indices

MOST = 200
"""More are thinned out, the same ones each time."""
_SEED = 20
_PART = 4


@dataclass(frozen=True, slots=True)
class Pictures:
    """Network inputs, and their classes where they are known."""

    pixels: NDArray[np.uint8]
    """Shape ``(n, crop, crop, 3)``."""
    truth: tuple[int, ...] | None
    source: str

    def parts(self) -> Iterator[NDArray[np.uint8]]:
        """The pixels in parts that any network can take at once."""
        for start in range(0, len(self.pixels), _PART):
            yield self.pixels[start : start + _PART]

    def accuracy(self, logits: Logits) -> Accuracy | None:
        """How often these answers are right; ``None`` without labels."""
        if self.truth is None:
            return None
        return accuracy([top_indices(row, 5).tolist() for row in logits], self.truth)


def agreement(reference: Logits, answers: Logits) -> float:
    """Percent of the pictures with the same first answer."""
    same = reference.argmax(axis=1) == answers.argmax(axis=1)
    return round(100 * float(same.mean()), 2)


def crops(check: Sequence[NDArray[np.uint8]]) -> Pictures:
    """What is looked at where no folder is given."""
    return Pictures(np.stack(check), None, f"{len(check)} crops of photographs, without labels")


def read_folder(folder: Path, labels: Sequence[str], preprocess: Preprocess) -> Pictures:
    """The pictures of ``folder``, with their classes where its names say them.

    Raises ``DataError`` where none can be read.
    """
    found: list[tuple[Path, int | None]]
    try:
        found = list(labelled_pictures(folder, labels))
    except DataError:
        found = [(path, None) for path in find_pictures([folder])]
    return read_pictures(found, f"pictures of {folder.name}", preprocess)


def read_pictures(
    some: Sequence[tuple[Path, int | None]], source: str, preprocess: Preprocess
) -> Pictures:
    """``some`` pictures, with their classes where these are known; ``source`` says what they are.

    Raises ``DataError`` where none can be read.
    """
    found = list(some)
    random.Random(_SEED).shuffle(found)  # noqa: S311 (a choice of pictures, not a secret)
    pixels: list[NDArray[np.uint8]] = []
    truth: list[int | None] = []
    for path, right in found:
        if len(pixels) == MOST:
            break
        try:
            with warnings.catch_warnings():
                # Pillow warns of damaged metadata in files that it reads all the same.
                warnings.simplefilter("ignore")
                pixels.append(decode(path.read_bytes(), preprocess, Limits()).pixels)
        except (ImageError, OSError):
            continue
        truth.append(right)
    if not pixels:
        raise DataError(f"There are no pictures that can be read among the {source}.")
    known = [right for right in truth if right is not None]
    labelled = len(known) == len(pixels)
    words = "labelled" if labelled else "without labels"
    return Pictures(
        np.stack(pixels),
        tuple(known) if labelled else None,
        f"{len(pixels)} {source}, {words}",
    )
