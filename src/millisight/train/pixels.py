"""All pictures decoded once, as serving decodes them, into one file that training reads from."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from millisight.build.calibrate import Pixels
from millisight.build.steps import Step
from millisight.errors import DataError, ImageError, NotWritten
from millisight.image import Limits, decode
from millisight.manifest import Preprocess

_AT_ONCE = 64


def decode_all(
    pictures: Sequence[Path], preprocess: Preprocess, file: Path, title: str, step: Step
) -> Pixels:
    """``pictures`` as uint8 of shape ``(n, resize, resize, 3)``, mapped from ``file``.

    Each shows the middle square at the scale that serving sees it at, so crops of it are what
    serving could see. Raises ``DataError`` for a picture that cannot be read (any more), and
    ``NotWritten`` where there is no room.
    """
    square = preprocess.model_copy(update={"crop": preprocess.resize})

    def read(path: Path) -> Pixels:
        try:
            return decode(path.read_bytes(), square, Limits()).pixels
        except (ImageError, OSError) as error:
            raise DataError(
                f"{path} cannot be read any more.", hint="Start again without it."
            ) from error

    side = preprocess.resize
    with step(title, total=len(pictures)) as bar, ThreadPoolExecutor(os.cpu_count()) as pool:
        try:
            with file.open("wb") as output:
                for start in range(0, len(pictures), _AT_ONCE):
                    some = pictures[start : start + _AT_ONCE]
                    for pixels in pool.map(read, some):
                        output.write(pixels.tobytes())
                    bar.advance(len(some))
        except OSError as error:
            needed = len(pictures) * side * side * 3 / 1e6
            raise NotWritten(
                f"The decoded pictures cannot be written to {file}: {error.strerror}.",
                hint=f"They take {needed:.0f} MB; MILLISIGHT_HOME chooses another disk.",
            ) from error
    return np.memmap(file, np.uint8, mode="r", shape=(len(pictures), side, side, 3))
