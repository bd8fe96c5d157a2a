"""Parquet files: how pyarrow is found, and those that hold results."""

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from millisight.errors import DataError
from millisight.nearest import missing

KEY = "millisight"
"""Names what millisight says of a file, as JSON, in its schema's metadata."""

_GROUP = 10_000
"""Rows in a row group."""


def import_pyarrow() -> tuple[Any, Any]:
    """``pyarrow`` and ``pyarrow.parquet``. Raises ``ExtraMissing``."""
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise missing(error) from error
    return pa, parquet


def read_results(path: Path) -> tuple[dict[str, Any], Iterator[dict[str, Any]]]:
    """What a file of results says of itself, and of its rows the path, the error and where it
    was moved to.

    Raises ``DataError`` where it is something else.
    """
    pa, parquet = import_pyarrow()
    try:
        file = parquet.ParquetFile(path)
        about: dict[str, Any] = json.loads((file.schema_arrow.metadata or {})[KEY.encode()])
        columns = ["path", "error", *(["moved_to"] if about["moved"] else [])]
    except (pa.ArrowException, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path} is damaged, or no file of results.",
            hint="Name another file with --output, or begin anew with --fresh.",
        ) from error

    def rows() -> Iterator[dict[str, Any]]:
        with file:
            for batch in file.iter_batches(_GROUP, columns=columns):
                yield from batch.to_pylist()

    return about, rows()


def result_columns() -> list[tuple[str, Any]]:
    """Name and type of what every file of results has."""
    pa, _ = import_pyarrow()
    best = [("label", pa.string()), ("confidence", pa.float64()), ("index", pa.int32())]
    return [
        ("path", pa.string()),
        *best,
        ("predictions", pa.list_(pa.struct(best))),
        ("uncertain", pa.bool_()),
        ("warnings", pa.list_(pa.string())),
        ("error", pa.string()),
    ]


def write_results(
    draft: Path, about: dict[str, Any], earlier: Path | None, rows: Iterable[dict[str, Any]]
) -> None:
    """Write to ``draft`` the rows of the file ``earlier``, then ``rows``; ``about`` says of it
    ``moved``, whether there is a column ``moved_to``, and more.

    A part of the rows at a time is in memory. Raises ``OSError``.
    """
    pa, parquet = import_pyarrow()
    moved = [("moved_to", pa.string())] if about["moved"] else []
    schema = pa.schema([*result_columns(), *moved], metadata={KEY: json.dumps(about)})
    left = iter(rows)
    with parquet.ParquetWriter(draft, schema, compression="zstd") as writer:
        if earlier is not None:
            with parquet.ParquetFile(earlier) as file:
                for batch in file.iter_batches(_GROUP):
                    writer.write_table(pa.Table.from_batches([batch]).cast(schema))
        while group := list(islice(left, _GROUP)):
            writer.write_table(pa.Table.from_pylist(group, schema=schema))
