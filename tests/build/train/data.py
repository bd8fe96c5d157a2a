"""Folders of real pictures for the tests of training."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import resources
from itertools import zip_longest
from pathlib import Path

from PIL import Image, ImageOps

from millisight.build.steps import Bar
from millisight.train.survey import Dataset, survey
from tests.support import encode

SIZE = (128, 96)

_PHOTOGRAPHS = {
    "skimage.data": "astronaut.png brick.png chelsea.png coffee.png grass.png gravel.png",
    "sklearn.datasets.images": "china.jpg flower.jpg",
}


class _NoBar:
    def advance(self, amount: float) -> None:
        pass


@contextmanager
def quiet(_title: str, *, total: float = 0) -> Iterator[Bar]:
    """A step that shows nothing."""
    del total
    yield _NoBar()


@cache
def _windows() -> list[Image.Image]:
    """Parts of the photographs that scikit-image and scikit-learn install, and mirrored ones;
    neighbours are of different photographs."""
    rows = []
    for package, names in _PHOTOGRAPHS.items():
        for name in names.split():
            image = Image.open(Path(str(resources.files(package) / name))).convert("RGB")
            parts = [
                image.crop((left, top, left + SIZE[0], top + SIZE[1]))
                for top in range(0, image.height - SIZE[1] + 1, SIZE[1])
                for left in range(0, image.width - SIZE[0] + 1, SIZE[0])
            ]
            rows.append(parts + [ImageOps.mirror(part) for part in parts])
    return [part for parts in zip_longest(*rows) for part in parts if part is not None]


PICTURES = 250


def picture(number: int) -> Image.Image:
    """One of ``PICTURES`` that do not look alike."""
    return _windows()[:PICTURES][number]


def write(path: Path, image: Image.Image, **options: object) -> Path:
    """Save ``image`` as what ``path`` is named."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file_format = {".jpg": "JPEG", ".png": "PNG"}[path.suffix]
    path.write_bytes(encode(image, file_format, **options))
    return path


def fill(folder: Path, count: int, first: int) -> list[Path]:
    """``count`` pictures in ``folder``, from number ``first`` on."""
    return [
        write(folder / f"{number:03}.jpg", picture(number))
        for number in range(first, first + count)
    ]


def look(folder: Path, seed: int = 0) -> Dataset:
    """``survey`` without a display."""
    return survey(folder, seed=seed, step=quiet)
