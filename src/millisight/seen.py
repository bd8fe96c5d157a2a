"""A set of any number of texts that takes little memory: it grows on disk."""

import sqlite3
from types import TracebackType
from typing import Self

# The file is SQLite's own, temporary and without a name: nothing of it outlives the process, so
# nothing need be safe from a crash.
_PREPARE = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
CREATE TABLE seen (text BLOB PRIMARY KEY) WITHOUT ROWID;
BEGIN;
"""


class Seen:
    """What was seen; a context manager. For one thread."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.executescript(_PREPARE)

    def add(self, text: str) -> bool:
        """Whether ``text`` was not seen before. Now it is."""
        # Names of files may hold what is not Unicode.
        key = text.encode("utf-8", "surrogatepass")
        added = self._database.execute("INSERT OR IGNORE INTO seen VALUES (?)", (key,))
        return added.rowcount == 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._database.close()
