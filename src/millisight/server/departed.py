"""What workers have counted that are gone.

Each worker has files of its own for that. A server that runs for months may have had thousands of
workers, so the numbers of the dead are added up in one file of each kind.
"""

import contextlib
import logging
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path

from prometheus_client import multiprocess
from prometheus_client.mmap_dict import MmapedDict

_KINDS = ("counter", "histogram")
"""As the names of their files begin; those of how things are go with the worker."""

_ROOM = 1_000_000
"""Bytes: some times what a file takes. A process that writes where a disk is full is ended, since
files are mapped there."""

logger = logging.getLogger(__name__)


class Departed:
    """The workers of one server that are gone."""

    def __init__(self, folder: Path) -> None:
        """``folder`` has the numbers of all workers. None is gone yet."""
        self._folder = folder
        self._pids: set[int] = set()

    def add(self, pid: int) -> None:
        """Leave out from now on how things were in a worker that has ended; its totals stay."""
        multiprocess.mark_process_dead(pid, self._folder)  # type: ignore[no-untyped-call]
        self._pids.add(pid)

    def came(self, pid: int) -> None:
        """A worker has begun, which may have the number of one that is gone: it goes on in its
        files."""
        self._pids.discard(pid)

    def fold(self) -> None:
        """Add up the totals of those that are gone. Where somebody reads just now, or where there
        is little room, nothing is done: it is to be called again."""
        if not self._pids:
            return
        try:
            if shutil.disk_usage(self._folder).free > _ROOM:
                with _locked(self._folder, wait=False):
                    self._fold()
        except BlockingIOError:
            pass
        except (OSError, RuntimeError, ValueError, struct.error):
            # Numbers are no reason to end a server that answers.
            logger.exception("What a worker that is gone has counted could not be added up")

    def _fold(self) -> None:
        while self._pids:
            # Whatever comes of it: what is added up in part would count twice the next time.
            pid = self._pids.pop()
            for kind in _KINDS:
                _move(self._folder / f"{kind}_{pid}.db", self._folder / f"{kind}_departed.db")


@contextlib.contextmanager
def reading(folder: Path) -> Iterator[None]:
    """Within, nothing is moved from one file in ``folder`` to another: it would count twice, or not
    at all."""
    with _locked(folder, wait=True):
        yield


@contextlib.contextmanager
def _locked(folder: Path, *, wait: bool) -> Iterator[None]:
    """Who does not ``wait`` is alone. Raises ``BlockingIOError``."""
    import fcntl

    with (folder / "numbers").open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_SH if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


def _move(own: Path, total: Path) -> None:
    """Add the numbers in ``own``, if there are any, to those in ``total``."""
    # Empty is the file of a worker that was killed as it made it.
    if not own.exists() or not own.stat().st_size:
        own.unlink(missing_ok=True)
        return
    try:
        # All of it before any is added, for it may be damaged.
        counted = list(MmapedDict.read_all_values_from_file(own))  # type: ignore[no-untyped-call]
    finally:
        # A damaged one, too: nobody could read any numbers beside it.
        own.unlink()
    sums = MmapedDict(str(total))  # type: ignore[no-untyped-call]
    try:
        for key, value, _, _ in counted:
            before, _ = sums.read_value(key)  # type: ignore[no-untyped-call]
            sums.write_value(key, before + value, 0.0)  # type: ignore[no-untyped-call]
    finally:
        sums.close()  # type: ignore[no-untyped-call]
