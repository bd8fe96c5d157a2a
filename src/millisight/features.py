"""Files of embeddings: Parquet, which is written and read piece by piece, or NumPy's npz.

Both say which bundle made them, by its digest: numbers of different networks, or of the same one
quantised anew, cannot be compared. A Parquet file has the columns ``path`` and ``embedding`` (a
list of fixed size, float32), and the origin as JSON under ``millisight`` in the schema's metadata.
An npz file has the arrays ``path`` and ``embedding``, and the origin as the text ``millisight``.
"""

import contextlib
import zipfile
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from millisight.columnar import KEY, import_pyarrow
from millisight.drafts import new_file
from millisight.errors import BadFeatures, DataError, NotWritten
from millisight.nearest import Block

PARQUET = ".parquet"
NPZ = ".npz"
SUFFIXES = (PARQUET, NPZ)

BLOCK = 4096
"""Embeddings in a block; of 1280 numbers they take 21 MB."""


class Origin(BaseModel):
    """What made the embeddings of a file."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    model: str
    digest: str
    """Of the bundle's manifest."""
    dimensions: int = Field(ge=1)
    normalized: bool


def blocks_of(rows: Iterable[tuple[str, NDArray[np.float32]]]) -> Iterator[Block]:
    """``rows`` of a path and its embedding, in blocks."""
    iterator = iter(rows)
    while block := list(islice(iterator, BLOCK)):
        yield [path for path, _ in block], np.stack([vector for _, vector in block])


def write(target: Path, origin: Origin, blocks: Iterable[Block]) -> int:
    """Write ``blocks`` to ``target``, by its ending, and return how many embeddings there are.

    It appears when it is whole. Raises ``ExtraMissing`` or ``NotWritten`` before the first block
    is asked for, if that can be known, and ``DataError`` where there is no block.
    """
    write_blocks = _write_parquet if target.suffix == PARQUET else _write_npz
    try:
        with new_file(target) as draft, draft.open("wb") as file:
            return write_blocks(file, origin, _some(blocks))
    except OSError as error:
        raise NotWritten(
            f"{target} cannot be written: {error.strerror or error}.",
            hint="Name a file in a folder that exists and has room, with --output.",
        ) from error


def _some(blocks: Iterable[Block]) -> Iterator[Block]:
    count = 0
    for block in blocks:
        yield block
        count += 1
    if not count:
        raise DataError("None of the pictures can be read, so nothing was written.")


def _write_parquet(file: Any, origin: Origin, blocks: Iterable[Block]) -> int:
    pa, parquet = import_pyarrow()
    vector = pa.list_(pa.float32(), origin.dimensions)
    schema = pa.schema(
        [pa.field("path", pa.string()), pa.field("embedding", vector)],
        metadata={KEY: origin.model_dump_json()},
    )
    count = 0
    # No two rows are alike, so a dictionary of values would only cost.
    with parquet.ParquetWriter(file, schema, compression="zstd", use_dictionary=False) as writer:
        for paths, vectors in blocks:
            numbers = pa.array(np.ascontiguousarray(vectors).ravel())
            column = pa.FixedSizeListArray.from_arrays(numbers, origin.dimensions)
            writer.write_table(pa.table([pa.array(paths), column], schema=schema))
            count += len(paths)
    return count


def _write_npz(file: Any, origin: Origin, blocks: Iterable[Block]) -> int:
    every = list(blocks)
    paths = np.array([path for names, _ in every for path in names])
    vectors = np.concatenate([vectors for _, vectors in every])
    np.savez(file, path=paths, embedding=vectors, millisight=np.array(origin.model_dump_json()))
    return len(paths)


def read(source: Path) -> tuple[Origin, Iterator[Block]]:
    """What made ``source``, and its embeddings, a block at a time.

    Raises ``BadFeatures``, also in the middle where a file is damaged, and ``ExtraMissing``.
    """
    if source.suffix not in SUFFIXES:
        raise BadFeatures(
            f"{source} is neither a folder nor a file of embeddings.",
            hint="Give a folder of pictures, or what `millisight embed` wrote.",
        )
    with _translated(source):
        origin, blocks = (_read_parquet if source.suffix == PARQUET else _read_npz)(source)
    return origin, _guarded(source, origin, blocks)


def _read_parquet(source: Path) -> tuple[Origin, Iterator[Block]]:
    pa, parquet = import_pyarrow()
    file = parquet.ParquetFile(source)
    schema = file.schema_arrow
    origin = Origin.model_validate_json((schema.metadata or {})[KEY.encode()])
    if schema.field("embedding").type != pa.list_(pa.float32(), origin.dimensions):
        raise ValueError("the embeddings are of another type")

    def blocks() -> Iterator[Block]:
        with file:
            for batch in file.iter_batches(BLOCK, columns=["path", "embedding"]):
                vectors = batch.column("embedding").flatten().to_numpy()
                yield batch.column("path").to_pylist(), vectors.reshape(-1, origin.dimensions)

    return origin, blocks()


def _read_npz(source: Path) -> tuple[Origin, Iterator[Block]]:
    with np.load(source, allow_pickle=False) as file:
        origin = Origin.model_validate_json(str(file[KEY]))
        return origin, iter([(file["path"].tolist(), file["embedding"])])


def _guarded(source: Path, origin: Origin, blocks: Iterator[Block]) -> Iterator[Block]:
    with _translated(source):
        for paths, vectors in blocks:
            if vectors.shape != (len(paths), origin.dimensions) or vectors.dtype != np.float32:
                raise ValueError("paths and embeddings do not fit")
            yield paths, vectors


@contextlib.contextmanager
def _translated(source: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise BadFeatures(
            f"There is no file {source}.", hint="Make it with `millisight embed`."
        ) from error
    # pyarrow's own errors are of these kinds too.
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise BadFeatures(
            f"{source} is damaged, or was not written by `millisight embed`.",
            hint="Make it again with `millisight embed`.",
        ) from error
