"""Large objects handed to processes that are started later."""

import os
import pickle
import tempfile
from multiprocessing.reduction import DupFd
from typing import Any, Generic, TypeVar

Content = TypeVar("Content")


class Handed(Generic[Content]):
    """Something for processes of ``multiprocessing``, in memory that belongs to no process.

    Among the arguments of a process it is only a descriptor. What is there itself goes through a
    pipe, and who starts several processes would wait for each of them to read it.
    """

    def __init__(self, content: Content) -> None:
        """Raises ``OSError`` where there is no room for it."""
        self._file = os.fdopen(_nameless(), "r+b")
        pickle.dump(content, self._file, pickle.HIGHEST_PROTOCOL)
        self._file.flush()

    def __getstate__(self) -> Any:
        return DupFd(self._file.fileno())

    def __setstate__(self, descriptor: Any) -> None:
        self._file = os.fdopen(descriptor.detach(), "r+b")

    def take(self) -> Content:
        """The content, in a process that was given this; once in each."""
        with self._file as file:
            # Where reading goes on is shared by all that have the file.
            pickled = os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0)
        content: Content = pickle.loads(pickled)  # noqa: S301 - ours: no other process has the file
        return content


def _nameless() -> int:
    """A descriptor of nothing yet; on Linux it needs no room for files."""
    if (create := getattr(os, "memfd_create", None)) is not None:
        descriptor: int = create("handed")
        return descriptor
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
