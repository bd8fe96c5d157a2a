"""Results as a folder of Parquet files, each of them whole: what they hold is not done again."""

import json
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from millisight.errors import DataError, NotWritten
from millisight.results import PARQUET
from millisight.scale import storage
from millisight.seen import Seen

_ABOUT = "_millisight.json"
"""What all parts have in common. Who reads a folder of Parquet passes over names like this."""


class Parts:
    """The folder ``output``, and what it holds."""

    def __init__(self, output: str, about: dict[str, Any]) -> None:
        """``about`` says what makes the answers. Nothing is touched yet. Raises ``DataError``."""
        self.output = output
        self.system, self.root = storage.at(output)
        self._about = about
        self.rows = 0
        """How many there are."""
        self.errors = 0
        """How many of them say why a picture could not be read."""

    def open(self, seen: Seen, *, fresh: bool) -> None:
        """Add the pictures that have rows to ``seen``; with ``fresh``, begin anew.

        Raises ``DataError`` for what holds something else, and ``NotWritten``.
        """
        try:
            if self._is_ours() and fresh:
                self.system.rm(self.root, recursive=True)
            if self._is_ours():
                self._check()
                self._read(seen)
            self.system.makedirs(self.root, exist_ok=True)
            self.system.pipe_file(f"{self.root}/{_ABOUT}", json.dumps(self._about).encode())
        except OSError as error:
            raise NotWritten(
                f"{self.output} cannot be written: {error.strerror or error}.",
                hint="Name a folder that every node may write to, with --output.",
            ) from error

    def count(self) -> None:
        """Look what there is now. Raises ``NotWritten`` where a part is torn."""
        self.rows = self.errors = 0
        for path in self._files():
            if (part := self._opened(path)) is None:
                raise NotWritten(f"{path} is torn.", hint="The same command does it again.")
            with part:
                self._add(part.read(columns=["error"]))

    def _is_ours(self) -> bool:
        """Whether it is there. Raises ``DataError`` where it is something else."""
        if self.system.exists(f"{self.root}/{_ABOUT}"):
            return True
        if self.system.isfile(self.root) or (
            self.system.exists(self.root) and self.system.ls(self.root, detail=False)
        ):
            raise DataError(
                f"{self.output} is not a folder of results that was made on Ray.",
                hint="Name another folder with --output.",
            )
        return False

    def _check(self) -> None:
        try:
            about = json.loads(self.system.cat_file(f"{self.root}/{_ABOUT}"))
        except ValueError:
            about = {}
        different = [name for name, value in self._about.items() if about.get(name) != value]
        if different:
            raise DataError(
                f"{self.output} holds answers with another {' and '.join(different)}, so it "
                "cannot be gone on with.",
                hint="Name another folder with --output, or begin anew with --fresh.",
            )

    def _read(self, seen: Seen) -> None:
        for path in self._files():
            if (part := self._opened(path)) is None:
                # Its end was never written; what it would have held is done again.
                self.system.rm_file(path)
                continue
            with part:
                for batch in part.iter_batches(columns=["path", "error"]):
                    for name in batch.column("path").to_pylist():
                        seen.add(name)
                    self._add(batch)

    def _opened(self, path: str) -> Any:
        """The part at ``path``; ``None`` where it is torn."""
        file = self.system.open(path, "rb")
        try:
            return parquet.ParquetFile(file)
        except pa.ArrowInvalid:
            file.close()
            return None

    def _add(self, batch: Any) -> None:
        self.rows += batch.num_rows
        self.errors += batch.num_rows - batch.column("error").null_count

    def _files(self) -> list[str]:
        # Another process wrote some of them.
        self.system.invalidate_cache()
        names = self.system.ls(self.root, detail=False)
        return sorted(name for name in names if name.endswith(PARQUET))
