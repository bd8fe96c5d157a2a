"""Large objects handed to processes that are started later."""

import mmap
import os
import pickle
from multiprocessing.reduction import DupFd
from typing import Any, Generic, TypeVar

from millisight.errors import NotReady

Content = TypeVar("Content")


class Handed(Generic[Content]):
    """Something for processes of ``multiprocessing``, in memory that belongs to no process.

    Among the arguments of a process it is only a descriptor. What is there itself goes through a
    pipe, and who starts several processes would wait for each of them to read it.
    """

    def __init__(self, content: Content) -> None:
        """Raises ``NotReady`` where there is no room for it."""
        try:
            self._file = os.fdopen(os.memfd_create("handed"), "r+b")
            pickle.dump(content, self._file, pickle.HIGHEST_PROTOCOL)
            self._file.flush()
        except OSError as error:
            raise NotReady(
                f"What workers serve cannot be handed to them: {error.strerror}.",
                hint="Give the server more memory and files, or take --workers 1.",
            ) from error

    def __getstate__(self) -> Any:
        return DupFd(self._file.fileno())

    def __setstate__(self, descriptor: Any) -> None:
        self._file = os.fdopen(descriptor.detach(), "r+b")

    def take(self) -> Content:
        """The content, in a process that was given this; once in each."""
        # Not by reading the file: where that goes on is shared by all that have it.
        with self._file as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
            content: Content = pickle.loads(view)  # noqa: S301 - no other process has the file
        return content
