"""All pictures decoded once, as serving decodes them, into one file that training reads from."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from millisight.ahead import in_order
from millisight.build.calibrate import Pixels
from millisight.build.steps import Step
from millisight.cpu import available_cores
from millisight.errors import DataError, NotWritten
from millisight.image import Limits, decode
from millisight.manifest import Preprocess

_AHEAD = 4
"""Pictures under way for each thread."""


def decode_all(
    pictures: Sequence[Path], preprocess: Preprocess, file: Path, title: str, step: Step
) -> Pixels:
    """``pictures`` as uint8 of shape ``(n, resize, resize, 3)``, mapped from ``file``.

    Each shows the middle square at the scale that serving sees it at, so crops of it are what
    serving could see. Raises ``DataError`` for a picture that cannot be read (any more), and
    ``NotWritten`` where there is no room.
    """
    square = preprocess.model_copy(update={"crop": preprocess.resize})
    limits = Limits()

    def read(path: Path) -> Pixels:
        return decode(path.read_bytes(), square, limits).pixels

    side, threads = preprocess.resize, available_cores()
    with step(title, total=len(pictures)) as bar, ThreadPoolExecutor(threads) as pool:
        decoded = in_order(
            lambda path: pool.submit(read, path),
            pictures,
            ahead=_AHEAD * threads,
            return_errors=True,
        )
        try:
            with file.open("wb") as output:
                for path, pixels in zip(pictures, decoded, strict=True):
                    if isinstance(pixels, Exception):
                        raise DataError(
                            f"{path} cannot be read any more.", hint="Start again without it."
                        ) from pixels
                    output.write(pixels.tobytes())
                    bar.advance(1)
        except OSError as error:
            needed = len(pictures) * side * side * 3 / 1e6
            raise NotWritten(
                f"The decoded pictures cannot be written to {file}: {error.strerror}.",
                hint=f"They take {needed:.0f} MB; MILLISIGHT_HOME chooses another disk.",
            ) from error
    return np.memmap(file, np.uint8, mode="r", shape=(len(pictures), side, side, 3))
