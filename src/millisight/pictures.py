"""Folders of pictures: which files they hold and, where they say so, of which class each is."""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from millisight.errors import DataError

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jfif", ".mpo", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif"}
)
"""File name endings that are taken for pictures when a folder is walked."""

_INDEXED = re.compile(r"(\d+)_")


def find_pictures(paths: Iterable[Path]) -> Iterator[Path]:
    """Files named outright, and the pictures in folders and their subfolders, in sorted order.

    Raises ``DataError`` for a path that does not exist.
    """
    for path in paths:
        if path.is_dir():
            yield from _walk(path)
        elif path.exists():
            yield path
        else:
            raise DataError(f"There is no file or folder {path}.")


def pictures_in(paths: Sequence[str]) -> list[Path]:
    """The pictures named by ``paths`` and in their folders. Raises ``DataError`` for none."""
    pictures = list(find_pictures(Path(path) for path in paths))
    if not pictures:
        raise DataError(f"There are no pictures in {', '.join(paths)}.")
    return pictures


def _walk(folder: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder, followlinks=True):
        folders.sort()
        for name in sorted(files):
            if Path(name).suffix.lower() in SUFFIXES:
                yield Path(parent, name)


def labelled_pictures(folder: Path, labels: Sequence[str]) -> list[tuple[Path, int]]:
    """Pictures and the class index of each.

    ``folder`` holds one folder a class, named like the class, or files named ``<index>_…``.
    Raises ``DataError`` naming the first folder or file that does not say its class.
    """
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder}.")
    classes = sorted(entry for entry in folder.iterdir() if entry.is_dir())
    if classes:
        positions: dict[str, int] = {}
        for index, label in enumerate(labels):
            positions.setdefault(label, index)
        found = [(path, _class_of(entry, positions)) for entry in classes for path in _walk(entry)]
    else:
        found = [(path, _index_of(path, len(labels))) for path in _walk(folder)]
    if not found:
        raise DataError(
            f"There are no labelled pictures in {folder}.",
            hint="Give one folder a class, or files named <class index>_<anything>.jpg.",
        )
    return found


def _class_of(folder: Path, positions: dict[str, int]) -> int:
    if folder.name not in positions:
        raise DataError(
            f"The model has no class {folder.name!r}, but {folder.parent} has a folder of it.",
            hint=f"Its classes are: {', '.join(list(positions)[:10])}"
            + (" …" if len(positions) > 10 else "."),
        )
    return positions[folder.name]


def _index_of(path: Path, class_count: int) -> int:
    match = _INDEXED.match(path.name)
    if match is None or int(match[1]) >= class_count:
        raise DataError(
            f"{path} does not say its class.",
            hint=f"Name it <class index>_<anything>, with an index from 0 to {class_count - 1}; "
            "or put pictures into one folder a class.",
        )
    return int(match[1])
