"""What there is to do, written down before it begins: a task that is done twice does the same."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import pyarrow as pa
from pyarrow import parquet

from millisight.errors import DataError
from millisight.results import PARQUET
from millisight.scale import storage

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


def read_pieces(name: str) -> Iterator[Piece]:
    """The pieces in that file of the list."""
    system, path = storage.at(name)
    with system.open(path, "rb") as file:
        for values in parquet.read_table(file).to_pylist():
            yield Piece(**values)


class Listing:
    """Files of pieces in a folder."""

    def __init__(self, root: str) -> None:
        """``root`` is a path or an address. Nothing is written yet. Raises ``DataError``."""
        self._name = root
        self._system, self._root = storage.at(root)
        self.files: list[str] = []
        """Paths or addresses, as all nodes can read them."""
        self.pictures = 0

    def write(self, paths: Iterable[str], column: str, is_new: Callable[[str], bool]) -> None:
        """Write down the pictures of ``paths`` that are new; those in tables are in ``column``.

        Raises ``DataError``.
        """
        pieces = self._counted(paths, column, is_new)
        self._system.makedirs(self._root, exist_ok=True)
        while part := list(islice(pieces, min(_FIRST << len(self.files) // 64, _MOST))):
            rows = [
                {"source": one.source, "row_group": one.row_group}
                | {"first": one.first, "done": list(one.done)}
                for one in part
            ]
            name = f"{len(self.files):06}{PARQUET}"
            with self._system.open(f"{self._root}/{name}", "wb") as file:
                parquet.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), file)
            self.files.append(f"{self._name}/{name}")

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
        if self._system.exists(self._root):
            self._system.rm(self._root, recursive=True)


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
