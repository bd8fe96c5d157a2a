"""Files and folders that one process at a time works on."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


def lock(file: BinaryIO | int) -> None:
    """Keep ``file`` from others who lock it, until it is closed.

    Raises ``BlockingIOError`` where another process has it.
    """
    try:
        import fcntl
    except ImportError:  # Windows has no such locks.
        return
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Keep ``folder`` from others who lock it. Raises ``OSError``, see ``lock``."""
    if os.name == "nt":  # It opens no folders.
        yield
        return
    opened = os.open(folder, os.O_RDONLY)
    try:
        lock(opened)
        yield
    finally:
        os.close(opened)
