"""Folders of pictures: which files they hold and, where they say so, of which class each is."""

import os
import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from glob import has_magic, iglob
from itertools import takewhile
from pathlib import Path

from millisight.errors import DataError

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jfif", ".mpo", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif"}
)
"""File name endings that are taken for pictures when a folder is walked."""

_INDEXED = re.compile(r"(\d+)_")


def find_pictures(
    paths: Iterable[Path],
    *,
    leave_out: Path | None = None,
    complain: Callable[[OSError], object] = lambda _: None,
) -> Iterator[Path]:
    """Files named outright or by a pattern, and the pictures in folders and their subfolders.

    Folders are walked in sorted order, as they are asked for, in memory that does not grow with
    their number of files. The folder ``leave_out`` is not entered, and patterns find nothing in it,
    but for the folder that they begin with; those that cannot be read are passed over, and
    ``complain`` is told why. Raises ``DataError`` for a path that does not exist.
    """
    passed_over = frozenset() if leave_out is None else frozenset([_identity(leave_out)])
    for path in paths:
        for found in _named_by(path, leave_out):
            if found.is_dir():
                yield from _walk(found, passed_over, complain)
            else:
                yield found


def _named_by(path: Path, leave_out: Path | None = None) -> Iterator[Path]:
    """``path`` itself if there is such a file or folder, else what it names as a pattern, without
    what ``find_pictures`` leaves out.

    With ``**`` only files are taken, since those in subfolders fit the pattern themselves. Raises
    ``DataError`` if there is nothing.
    """
    if path.exists():
        yield path
        return
    nothing = True
    begin = Path(*takewhile(lambda part: not has_magic(part), path.parts)).resolve()
    left_out = None if leave_out is None else leave_out.resolve()
    # pathlib's own takes no absolute patterns.
    for match in map(Path, iglob(str(path), recursive=True)):  # noqa: PTH207
        if "**" not in path.parts or not match.is_dir():
            nothing = False
            if left_out is not None:
                folder = (match if match.is_dir() else match.parent).resolve()
                if folder != begin and folder.is_relative_to(left_out):
                    continue
            yield match
    if nothing:
        raise DataError(f"There is no file or folder {path}.")


def named(paths: Iterable[str]) -> list[Path]:
    """``paths``, each of which is or names something. Raises ``DataError``."""
    found = [Path(path) for path in paths]
    for path in found:
        next(_named_by(path))
    return found


def pictures_in(paths: Sequence[str]) -> list[Path]:
    """The pictures named by ``paths`` and in their folders. Raises ``DataError`` for none."""
    pictures = list(find_pictures(named(paths)))
    if not pictures:
        raise no_pictures(paths)
    return pictures


def no_pictures(paths: Sequence[str]) -> DataError:
    """What is wrong where ``paths`` hold no pictures."""
    return DataError(f"There are no pictures in {', '.join(paths)}.")


_Identity = tuple[int, int]


def _identity(path: Path) -> _Identity:
    status = path.stat()
    return status.st_dev, status.st_ino


def _walk(
    folder: Path,
    passed_over: frozenset[_Identity] = frozenset(),
    complain: Callable[[OSError], object] = lambda _: None,
) -> Iterator[Path]:
    # Of each folder that is open: its identity, and what is left in it.
    open_folders: list[tuple[_Identity, Iterator[tuple[Path, bool]]]] = []

    def enter(path: Path) -> None:
        try:
            identity = _identity(path)
            # A link may lead back to a folder above.
            if identity not in passed_over and identity not in {one for one, _ in open_folders}:
                open_folders.append((identity, _entries(path)))
        except OSError as error:
            complain(error)

    enter(folder)
    while open_folders:
        try:
            path, is_folder = next(open_folders[-1][1])
        except StopIteration:
            open_folders.pop()
        except OSError as error:
            complain(error)
            open_folders.pop()
        else:
            if is_folder:
                enter(path)
            else:
                yield path


def _entries(folder: Path) -> Iterator[tuple[Path, bool]]:
    """Pictures in ``folder``, then its subfolders, each in the order of their names, and whether
    it is a folder.

    SQLite sorts them, on disk if there are many: it has no file before it needs one.
    """
    with closing(sqlite3.connect("")) as database:
        database.execute("CREATE TABLE entry (folder INTEGER, name BLOB)")
        with os.scandir(folder) as entries:
            kinds = ((_is_folder(entry), entry.name) for entry in entries)
            rows = (
                (is_folder, os.fsencode(name))
                for is_folder, name in kinds
                if is_folder or Path(name).suffix.lower() in SUFFIXES
            )
            database.executemany("INSERT INTO entry VALUES (?, ?)", rows)
        for is_folder, name in database.execute("SELECT * FROM entry ORDER BY folder, name"):
            yield folder / os.fsdecode(name), bool(is_folder)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


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
