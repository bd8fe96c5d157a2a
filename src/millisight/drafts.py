"""Files that appear whole or not at all."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def new_file(target: Path) -> Iterator[Path]:
    """A path beside ``target`` to write to: what it holds becomes ``target`` if the block succeeds
    and vanishes if not.

    An older file of that name is replaced only then. Raises ``OSError`` where that cannot be done.
    """
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        yield draft
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
