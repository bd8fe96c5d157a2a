"""Which classes a folder has, and which files may be pictures of each. Nothing is opened here."""

import os
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from millisight.errors import DataError
from millisight.pictures import SUFFIXES

TRAIN = ("train", "training")
VALIDATION = ("validation", "val", "valid")
TEST = ("test", "testing")
"""Names of folders, in any case, that hold the classes of one side, if they hold folders."""

LAYOUT = "Put the pictures of each class into a folder named like it: {0}/cat, {0}/dog."

# Not readable here, but pictures to the user, who is to hear why they are left out.
_CANDIDATES = SUFFIXES | {".heic", ".heif"}

# What systems and programs leave behind; what begins with a dot is passed over anyway.
_LITTER = frozenset(
    {
        "__macosx",
        "@eadir",
        "$recycle.bin",
        "system volume information",
        "lost+found",
        "thumbs.db",
        "ehthumbs.db",
        "desktop.ini",
    }
)


@dataclass(slots=True)
class Side:
    """Classes of one side, and the files that may be pictures of each, all in sorted order."""

    classes: dict[str, list[Path]] = field(default_factory=dict)


@dataclass(slots=True)
class Layout:
    """What lies in a folder of pictures."""

    train: Side
    validation: Side | None
    """``None`` where the pictures are not divided yet."""
    others: list[Path]
    """Files that are not pictures by their names, or of no class."""
    untouched: list[Path]
    """Folders that are left alone."""


def find_classes(folder: Path) -> Layout:
    """Look through ``folder``: one folder a class, or one of ``TRAIN`` and perhaps one of
    ``VALIDATION`` that hold those; one of ``TEST`` beside them is left alone.

    A class may have folders within; links are followed. Raises ``DataError``.
    """
    _check_folder(folder)
    entries, others = _entries(folder)
    sides = [entry for entry in entries if _is_side(entry)]
    if not sides:
        if not entries:
            raise _no_classes(folder, others)
        return Layout(_side(entries, others), None, others, [])
    train = _only(folder, sides, TRAIN)
    validation = _only(folder, sides, VALIDATION)
    if train is None:
        raise DataError(
            f"{folder} has a folder {sides[0].name}, but no train that holds class folders.",
            hint="Put the pictures to train on into train/, one folder a class; or give a folder "
            "that has the classes right within, which is then divided for you.",
        )
    return Layout(
        train=_side_of(train, others),
        validation=_side_of(validation, others) if validation is not None else None,
        others=others,
        untouched=[entry for entry in entries if entry not in (train, validation)],
    )


def _check_folder(folder: Path) -> None:
    try:
        is_folder, is_there = folder.is_dir(), folder.exists()
    except OSError as error:
        raise _unreadable(folder, error) from error
    if is_there and not is_folder:
        raise DataError(
            f"{folder} is a file; training needs a folder of pictures.", hint=LAYOUT.format("DATA")
        )
    if not is_there:
        raise DataError(f"There is no folder {folder}.", hint=LAYOUT.format("DATA"))


def _is_side(folder: Path) -> bool:
    """A folder named like a side is one if it holds folders and no pictures: trains are a
    class, too."""
    if folder.name.casefold() not in (*TRAIN, *VALIDATION, *TEST):
        return False
    folders, files = _entries(folder)
    return bool(folders) and not any(_may_be_picture(file) for file in files)


def _only(folder: Path, sides: list[Path], names: tuple[str, ...]) -> Path | None:
    found = [side for side in sides if side.name.casefold() in names]
    if len(found) > 1:
        raise DataError(
            f"{folder} has both {found[0].name} and {found[1].name}.",
            hint="Keep one of them.",
        )
    return found[0] if found else None


def _side_of(folder: Path, others: list[Path]) -> Side:
    folders, files = _entries(folder)
    others += files
    return _side(folders, others)


def _side(folders: list[Path], others: list[Path]) -> Side:
    """Two folders whose names differ only in how their letters are encoded are one class."""
    side = Side()
    for folder in folders:
        files = side.classes.setdefault(unicodedata.normalize("NFC", folder.name), [])
        for file in _walk(folder, frozenset()):
            (files if _may_be_picture(file) else others).append(file)
    return side


def _no_classes(folder: Path, files: list[Path]) -> DataError:
    pictures = sum(map(_may_be_picture, files))
    what = f"has {pictures} pictures but no folders of classes" if pictures else "is empty"
    if files and not pictures:
        what = "has no folders of classes"
    return DataError(f"{folder} {what}.", hint=LAYOUT.format(folder.name or "DATA"))


def probable_root(folder: Path) -> Path | None:
    """The folder within ``folder`` that was probably meant: the only one, which has several."""
    folders, _ = _entries(folder)
    if len(folders) != 1:
        return None
    inner, files = _entries(folders[0])
    return folders[0] if len(inner) > 1 and not any(map(_may_be_picture, files)) else None


def _may_be_picture(file: Path) -> bool:
    return file.suffix.lower() in _CANDIDATES


def _walk(folder: Path, above: frozenset[Path]) -> Iterator[Path]:
    """All files below ``folder``; a link to a folder ``above`` itself is not followed again."""
    real = folder.resolve()
    if real in above:
        return
    folders, files = _entries(folder)
    yield from files
    for inner in folders:
        yield from _walk(inner, above | {real})


def _entries(folder: Path) -> tuple[list[Path], list[Path]]:
    """Folders and files in ``folder``, sorted by name, without litter."""
    folders: list[Path] = []
    files: list[Path] = []
    try:
        with os.scandir(folder) as scan:
            for entry in scan:
                if not entry.name.startswith(".") and entry.name.casefold() not in _LITTER:
                    (folders if _is_folder(entry) else files).append(folder / entry.name)
    except OSError as error:
        raise _unreadable(folder, error) from error
    return sorted(folders), sorted(files)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    # A link that leads in circles is told of when it is opened as a picture.
    except OSError:
        return False


def _unreadable(folder: Path, error: OSError) -> DataError:
    return DataError(
        f"The folder {folder} cannot be read: {error.strerror}.",
        hint="Change its permissions, or take it out of the data.",
    )
