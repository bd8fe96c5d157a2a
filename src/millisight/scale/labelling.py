"""What a worker of Ray Data does: pieces of the list in, rows of results out."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice, repeat, tee
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from millisight.ahead import in_order
from millisight.answers import Embedding, Result
from millisight.classifier import Classifier
from millisight.errors import BadImage, ImageError, MillisightError
from millisight.results import model_of
from millisight.rows import row_of
from millisight.scale import storage
from millisight.scale.bundles import open_pinned
from millisight.scale.listing import Piece, name_of, read_pieces
from millisight.server.process import prepare_process
from millisight.settings import load_settings

_READERS = 16
"""Files that are read at a time: storage far away takes its time, and no core."""

_ROWS = 64
"""In a table that is handed on."""

Found = tuple[str, bytes | Exception]
"""What a picture is called, and the bytes of its file or why there are none."""


@dataclass(frozen=True, slots=True)
class Labelling:
    """What is asked of all workers."""

    settings: dict[str, Any]
    """The model in them is pinned."""
    threads: int
    """Cores of each."""
    top_k: int
    column: str
    """Of tables: where the pictures are."""
    embeddings: bool
    schema: Any
    """Of the results."""


class Worker:
    """One process with its own classifier. Ray Data makes as many as there are cores for."""

    def __init__(self, wanted: Labelling) -> None:
        """Load the model. Raises what ``open_pinned`` and ``Classifier`` do."""
        prepare_process()
        settings = load_settings(wanted.settings)
        [bundle] = open_pinned(settings.model, settings.home).values()
        self._wanted = wanted
        self._classifier = Classifier(bundle, settings)
        self._model = model_of(bundle.manifest)
        self._ahead = min(4 * wanted.threads * settings.max_batch, settings.max_queue)
        self._readers = ThreadPoolExecutor(_READERS)

    def __call__(self, files: Any) -> Iterator[Any]:
        """Rows for each picture in ``files`` of the list, a few at a time.

        ``files`` is an Arrow table with their names in the column ``item``. Raises what says
        nothing of a picture: that storage does not answer, for one.
        """
        names = files.column("item").to_pylist()
        rows = self._rows(piece for name in names for piece in read_pieces(name))
        while some := list(islice(rows, _ROWS)):
            yield self._table(some)

    def _rows(self, pieces: Iterable[Piece]) -> Iterator[tuple[dict[str, Any], Any]]:
        named, asked, embedded = tee(self._found(pieces), 3)
        classify = partial(self._classifier.submit, top_k=self._wanted.top_k)
        answers = self._answers(classify, asked)
        vectors: Iterator[Any] = repeat(None)
        if self._wanted.embeddings:
            vectors = self._answers(self._classifier.submit_embed, embedded)
        # Else it would keep all that the others have read.
        del embedded
        for (name, _), answer, vector in zip(named, answers, vectors, strict=False):
            if not isinstance(answer, Result | ImageError | OSError):
                raise answer
            row = row_of(name, answer, self._model)
            yield row, vector.vector if isinstance(vector, Embedding) else None

    def _answers(self, submit: Any, found: Iterable[Found]) -> Iterator[Any]:
        def ask(one: Found) -> "Future[Any]":
            content = one[1]
            if isinstance(content, bytes):
                return submit(content)  # type: ignore[no-any-return]
            failed: Future[Any] = Future()
            failed.set_exception(content)
            return failed

        return in_order(ask, found, self._ahead, return_errors=True)

    def _found(self, pieces: Iterable[Piece]) -> Iterator[Found]:
        """Files are read ahead; tables, a part at a time."""
        waiting: list[str] = []
        for piece in pieces:
            if piece.is_table:
                yield from self._table_rows(piece)
            else:
                waiting.append(piece.source)
        contents = in_order(self._read, waiting, 2 * _READERS, return_errors=True)
        yield from zip(waiting, contents, strict=True)

    def _read(self, name: str) -> "Future[bytes]":
        return self._readers.submit(storage.read, name)

    def _table_rows(self, piece: Piece) -> Iterator[Found]:
        system, path = storage.at(piece.source)
        done = set(piece.done)
        row = piece.first
        with system.open(path, "rb") as file, parquet.ParquetFile(file) as table:
            for batch in table.iter_batches(
                _ROWS, row_groups=[piece.row_group], columns=[self._wanted.column]
            ):
                for cell in batch.column(0).to_pylist():
                    if row not in done:
                        yield name_of(piece.source, row), _cell(cell)
                    row += 1

    def _table(self, rows: Sequence[tuple[dict[str, Any], Any]]) -> Any:
        schema = self._wanted.schema
        table = pa.Table.from_pylist([row for row, _ in rows], schema=schema)
        if not self._wanted.embeddings:
            return table
        field = schema.field("embedding")
        vectors = pa.array([vector for _, vector in rows], type=field.type)
        return table.set_column(schema.get_field_index("embedding"), field, vectors)


def _cell(value: Any) -> bytes | MillisightError:
    """Of a column of files, or of one as Hugging Face's datasets have it: bytes and a path."""
    content = value.get("bytes") if isinstance(value, dict) else value
    if isinstance(content, bytes):
        return content
    return BadImage("There is no picture in this row.")
