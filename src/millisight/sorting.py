"""Pictures moved into folders, one a class: nothing is overwritten, and nothing is lost.

A picture first stands in both places, is then taken down (by the caller), and only then vanishes
from the first one. What is under way stands in a note in the folder, so that the next run can
finish or undo what a crash left half done.
"""

import errno
import filecmp
import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Self

from millisight.errors import DataError
from millisight.locks import locked_folder
from millisight.seen import Seen

UNCERTAIN = "uncertain"
"""The folder of what the model is uncertain about."""

_NOTE = ".millisight-moving"
_DRAFT = ".millisight-draft"


def folder_names(labels: Sequence[str]) -> list[str]:
    """A folder name for each class; classes of one name have their index in it too."""
    # A name that begins with a dot would be hidden, or lead elsewhere.
    names = [re.sub(r"^\.|[/\x00-\x1f]", "_", label) or "_" for label in labels]
    # With an index a name may be that of another class.
    while max((often := Counter([*names, UNCERTAIN])).values()) > 1:
        names = [name if often[name] == 1 else f"{name} {i}" for i, name in enumerate(names)]
    return names


class Plan:
    """Where pictures would go; moves nothing. A context manager."""

    def __init__(self, folder: Path, labels: Sequence[str]) -> None:
        self.folder = folder
        self._names = folder_names(labels)
        self._planned = Seen()

    def place(self, source: Path, index: int, *, uncertain: bool) -> Path:
        """Where ``source`` would stand, if all before it had been moved. Raises ``DataError``."""
        folder = self._folder_of(source, index, uncertain=uncertain)
        if _is_in(source, folder):
            return source
        free = (one for one in _candidates(source, folder) if not os.path.lexists(one))
        return next(one for one in free if self._planned.add(str(one)))

    def settle(self, source: Path, target: Path) -> None:
        """Do nothing."""

    def _folder_of(self, source: Path, index: int, *, uncertain: bool) -> Path:
        if source.is_symlink():
            raise DataError("It is a link, so it stays where it is.")
        folder = self.folder / (UNCERTAIN if uncertain else self._names[index])
        if not (os.access(source.parent, os.W_OK) or _is_in(source, folder)):
            raise DataError("It cannot be taken out of its folder, so it stays there.")
        return folder

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._planned.__exit__(kind, error, traceback)


class Mover(Plan):
    """Moves pictures, one at a time, and no other process into that folder. A context manager."""

    def __init__(
        self, folder: Path, labels: Sequence[str], last: tuple[str, str] | None = None
    ) -> None:
        """Make ``folder``, and set right what an interrupted run left there; ``last`` is the
        source and target that it took down last.

        Raises ``OSError``: ``BlockingIOError`` where another process moves pictures into it.
        """
        super().__init__(folder, labels)
        folder.mkdir(parents=True, exist_ok=True)
        self._note = folder / _NOTE
        self._settled = True
        with ExitStack() as stack:
            # What is under way there would look like what a crash left.
            stack.enter_context(locked_folder(folder))
            if self._note.exists():
                self._set_right(last)
            self._lock = stack.pop_all()

    def place(self, source: Path, index: int, *, uncertain: bool) -> Path:
        """Let ``source`` stand in the folder of its class too, and say where.

        A name that is taken gets a number. Raises ``DataError`` or ``OSError``; then nothing has
        changed.
        """
        folder = self._folder_of(source, index, uncertain=uncertain)
        folder.mkdir(exist_ok=True)
        if _is_in(source, folder):
            return source
        for target in _candidates(source, folder):
            if os.path.lexists(target):
                continue
            self._settled = False
            self._note.write_text(json.dumps(_absolute(source, target)), encoding="utf-8")
            try:
                _copy(source, target)
            except FileExistsError:
                continue
            return target
        raise AssertionError  # There is always another number.

    def settle(self, source: Path, target: Path) -> None:
        """End the move: take ``source`` away. Raises ``OSError``."""
        if target != source:
            source.unlink()
        self._settled = True

    def _set_right(self, last: tuple[str, str] | None) -> None:
        try:
            source, target = map(Path, json.loads(self._note.read_text(encoding="utf-8")))
        # It was interrupted before it had moved anything, or somebody else wrote it.
        except (ValueError, TypeError):
            return
        taken_down = last is not None and _absolute(*last) == [str(source), str(target)]
        # What cannot be removed is in both places, and is said when its turn comes.
        with suppress(OSError):
            if not self._could_move(source, target):
                return
            _drop_draft(target)
            both = os.path.lexists(source) and os.path.lexists(target)
            if both and filecmp.cmp(source, target, shallow=False):
                (source if taken_down else target).unlink()

    def _could_move(self, source: Path, target: Path) -> bool:
        """Whether ``target`` is in a folder of this one, and not ``source`` by another name.

        The folder may have been received, with a note that was written to have files removed.
        """
        parent = target.parent
        inside = not parent.is_symlink() and parent.parent.samefile(self.folder)
        elsewhere = source.parent.resolve() / source.name != parent.resolve() / target.name
        return inside and elsewhere and ".." not in (target.name, parent.name)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._lock:
            super().__exit__(kind, error, traceback)
            if self._settled:
                self._note.unlink(missing_ok=True)


def _absolute(*paths: str | Path) -> list[str]:
    return [str(Path(path).absolute()) for path in paths]


def _is_in(source: Path, folder: Path) -> bool:
    return folder.exists() and source.parent.samefile(folder)


def _candidates(source: Path, folder: Path) -> Iterator[Path]:
    yield folder / source.name
    for number in count(2):
        yield folder / f"{source.stem}-{number}{source.suffix}"


def _copy(source: Path, target: Path) -> None:
    """Let ``source`` be at ``target`` too. Raises ``FileExistsError`` where there is something."""
    try:
        # The one call that never overwrites and costs nothing.
        os.link(source, target)
    except FileExistsError:
        raise
    except OSError:  # Another file system, or one without links.
        draft = target.with_name(_DRAFT)
        # It may be a second name of a picture; to write to it would change that.
        draft.unlink(missing_ok=True)
        try:
            shutil.copy2(source, draft)
            with draft.open("rb") as file:
                os.fsync(file.fileno())
            _rename(draft, target)
        finally:
            draft.unlink(missing_ok=True)


def _rename(draft: Path, target: Path) -> None:
    try:
        os.link(draft, target)
    except FileExistsError:
        raise
    except OSError:
        target.touch(exist_ok=False)
    try:
        draft.replace(target)  # Does nothing where both are one file.
        _flush(target.parent)
    except OSError:
        target.unlink()
        raise


def _drop_draft(target: Path) -> None:
    """Remove what a crash left of ``_copy``."""
    draft = target.with_name(_DRAFT)
    if draft.exists():
        # Pictures are never empty: this one only kept the name.
        if target.exists() and not target.stat().st_size:
            target.unlink()
        draft.unlink()


def _flush(folder: Path) -> None:
    """Let the names in ``folder`` be on the disk, where the system can. Raises ``OSError``."""
    try:
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)
    except OSError as error:
        if error.errno not in {errno.EACCES, errno.EBADF, errno.EINVAL}:
            raise
