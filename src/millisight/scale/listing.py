"""What there is to do, written down before it begins: a task that is done twice does the same."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from millisight.errors import DataError
from millisight.scale import storage
from millisight.scale.storage import PARQUET

_MOST = 4096
_FIRST = 32
"""Pieces in a file of the list: few at first, so that a short list is work for many; then more, so
that a long one is no crowd of files."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One picture file, or the pictures of one row group of a Parquet file."""

    source: str
    row_group: int = -1
    first: int = 0
    """Number in the file of the first row of ``row_group``."""
    done: tuple[int, ...] = ()
    """Rows that have answers already, by their numbers in the file."""

    @property
    def is_table(self) -> bool:
        """Whether it is pictures in a table."""
        return self.row_group >= 0


SCHEMA = pa.schema(
    [
        ("source", pa.string()),
        ("row_group", pa.int32()),
        ("first", pa.int64()),
        ("done", pa.list_(pa.int64())),
    ]
)


def name_of(source: str, row: int) -> str:
    """What a picture in a table is called."""
    return f"{source}#{row}"


class Listing:
    """Files of pieces below ``root`` in ``system``."""

    def __init__(self, system: Any, root: str) -> None:
        """Nothing is written yet."""
        self._system = system
        self.root = root
        self.files = 0
        self.pictures = 0

    def write(self, paths: Iterable[str], column: str, is_new: Callable[[str], bool]) -> None:
        """Write down the pictures of ``paths`` that are new; those in tables are in ``column``.

        Raises ``DataError``.
        """
        pieces = self._counted(paths, column, is_new)
        self._system.makedirs(self.root, exist_ok=True)
        while part := list(islice(pieces, min(_FIRST << self.files // 64, _MOST))):
            rows = [
                {"source": one.source, "row_group": one.row_group}
                | {"first": one.first, "done": list(one.done)}
                for one in part
            ]
            with self._system.open(f"{self.root}/{self.files:06}{PARQUET}", "wb") as file:
                parquet.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), file)
            self.files += 1

    def _counted(
        self, paths: Iterable[str], column: str, is_new: Callable[[str], bool]
    ) -> Iterator[Piece]:
        for path in paths:
            if path.endswith(PARQUET):
                for table in storage.find_tables(path):
                    yield from self._groups(table, column, is_new)
                continue
            for picture in storage.find(path):
                if is_new(picture):
                    self.pictures += 1
                    yield Piece(picture)

    def _groups(self, table: str, column: str, is_new: Callable[[str], bool]) -> Iterator[Piece]:
        first = 0
        for group, count in enumerate(_row_groups(table, column)):
            rows = range(first, first + count)
            done = tuple(row for row in rows if not is_new(name_of(table, row)))
            if len(done) < count:
                self.pictures += count - len(done)
                yield Piece(table, group, first, done)
            first += count

    def remove(self) -> None:
        """Take all of it away."""
        if self._system.exists(self.root):
            self._system.rm(self.root, recursive=True)


def _row_groups(table: str, column: str) -> list[int]:
    system, path = storage.at(table)
    try:
        with system.open(path, "rb") as file, parquet.ParquetFile(file) as opened:
            names = opened.schema_arrow.names
            counts = [
                opened.metadata.row_group(number).num_rows
                for number in range(opened.metadata.num_row_groups)
            ]
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{table} cannot be read: {error}.") from error
    if column not in names:
        raise DataError(
            f"{table} has no column {column}.",
            hint=f"Name the one that holds pictures with --column; it has {', '.join(names)}.",
        )
    return counts
