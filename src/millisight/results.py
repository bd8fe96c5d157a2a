"""Files of results that grow row by row and can be gone on with: CSV, JSON lines or Parquet.

CSV and JSON lines are written where they are to be. Parquet says at its end what it holds, so its
rows gather as JSON lines in a file beside it, ``<name>.partial``, until all are there. What a file
holds is not done again.
"""

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from millisight.columnar import import_pyarrow, read_results, write_results
from millisight.drafts import new_file
from millisight.errors import DataError, NotWritten
from millisight.locks import lock
from millisight.manifest import Manifest
from millisight.rows import Csv, Damaged, JsonLines, Lines, Row
from millisight.seen import Seen

CSV = ".csv"
PARQUET = ".parquet"
SUFFIXES = (PARQUET, CSV, ".jsonl")


def model_of(manifest: Manifest) -> str:
    """What rows say made them: the name, and the beginning of the manifest's digest."""
    return _shortened(manifest.name, manifest.digest())


def _shortened(name: str, digest: str) -> str:
    return f"{name}@{digest[:12]}"


class Results:
    """One file of results. A context manager, within which rows may be added."""

    def __init__(
        self, target: Path, manifest: Manifest, top_k: int, *, moved: bool, fresh: bool
    ) -> None:
        """``target`` says by its ending what it will be; with ``fresh`` what it holds is dropped.

        Raises ``ExtraMissing``.
        """
        self._target = target
        self._manifest = manifest
        self._model = model_of(manifest)
        self._moved = moved
        self._fresh = fresh
        self._is_parquet = target.suffix == PARQUET
        if self._is_parquet:
            import_pyarrow()
        self._lines: Lines = Csv(top_k, moved=moved) if target.suffix == CSV else JsonLines()
        self._growing = target.with_name(f"{target.name}.partial") if self._is_parquet else target
        self.rows = 0
        """How many there are."""
        self.errors = 0
        """How many of them say why a picture could not be read."""
        self.last: tuple[str, str] | None = None
        """Of the last row: the picture and where it was moved to, if it was."""

    def __enter__(self) -> Self:
        """Read what is there already. Raises ``NotWritten`` and, where it is something else than
        an earlier part of the same, ``DataError``."""
        try:
            with ExitStack() as stack:
                self._seen = stack.enter_context(Seen())
                self._file = stack.enter_context(self._growing.open("ab"))
                self._lock()
                stack.callback(self._drop_empty)
                self._begin()
                self._open = stack.pop_all()
        # Closing raises it once more, where there is no room for what is to be written.
        except OSError as error:
            raise self._not_written(error) from error
        return self

    def _begin(self) -> None:
        if self._is_parquet and self._target.exists():
            if self._fresh:
                # Else a later run without it would take up what it holds.
                self._target.unlink()
            else:
                self._take_finished()
        self._file.truncate(0 if self._fresh else self._read())
        if not self._growing.stat().st_size:
            self._write(self._lines.header)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self._open.close()
        except OSError as failed:
            if error is None:  # Else it was said already what is wrong.
                raise self._not_written(failed) from failed

    @property
    def going_on(self) -> str:
        """What to tell whoever stops before all rows are there."""
        command = "The same command" + (" without --fresh" if self._fresh else "")
        return f"{command} goes on from here."

    def is_new(self, path: str) -> bool:
        """Whether there is no row of this picture, and it is asked for the first time."""
        return self._seen.add(path)

    def add(self, row: Row) -> None:
        """Write ``row``: whatever happens to this process, it is there. Raises ``NotWritten``."""
        try:
            self._write(self._lines.encode(row))
        except OSError as error:
            raise self._not_written(error) from error
        self._count(row)

    def finish(self) -> None:
        """Make the Parquet file of the rows, if that is what was asked for.

        Raises ``NotWritten``.
        """
        if not (self._is_parquet and self.rows):
            return
        manifest = self._manifest
        about = {"model": manifest.name, "digest": manifest.digest(), "moved": self._moved}
        earlier = self._target if self._target.exists() else None
        try:
            with new_file(self._target) as draft, self._growing.open("rb") as file:
                rows = (row for row, _ in self._lines.read(file))
                write_results(draft, about | {"joined": self._state()}, earlier, rows)
            # Closing this removes it.
            self._file.truncate(0)
        except OSError as error:
            raise self._not_written(error) from error

    def _lock(self) -> None:
        try:
            lock(self._file)
        except BlockingIOError as error:
            raise NotWritten(
                f"Another process is writing {self._target} now.",
                hint="Wait for it, or name another file with --output.",
            ) from error

    def _drop_empty(self) -> None:
        header = self._lines.header
        with self._growing.open("rb") as file:
            is_empty = header.startswith(file.read(len(header) + 1))
        if is_empty:
            self._growing.unlink()

    def _take_finished(self) -> None:
        about, rows = read_results(self._target)
        model = _shortened(about["model"], about["digest"])
        for row in rows:
            self._take(row | {"model": model})
        # It was made whole, but what it was made of could not be removed any more.
        if about["joined"] == self._state():
            self._file.truncate(0)

    def _state(self) -> list[int]:
        """What changes whenever a row is added to the growing file."""
        status = self._growing.stat()
        return [status.st_size, status.st_mtime_ns]

    def _read(self) -> int:
        """Take what the growing file holds; where its last complete row ends."""
        end = 0
        with self._growing.open("rb") as file:
            try:
                for row, end in self._lines.read(file):  # noqa: B007
                    self._take(row)
            except Damaged as error:
                raise self._something_else("is damaged, or holds other columns") from error
        return end

    def _take(self, row: Row) -> None:
        if row["model"] != self._model:
            raise self._something_else(f"holds answers of {row['model']}")
        if ("moved_to" in row) != self._moved:
            raise self._something_else(
                f"was written {'without' if self._moved else 'with'} --move-into"
            )
        self._count(row)
        # Where a picture was taken away, another one may have its name now.
        if not row.get("moved_to"):
            self._seen.add(row["path"])

    def _count(self, row: Row) -> None:
        self.rows += 1
        self.errors += bool(row["error"])
        moved_to = row.get("moved_to")
        self.last = (row["path"], moved_to) if moved_to else None

    def _write(self, line: bytes) -> None:
        self._file.write(line)
        self._file.flush()

    def _something_else(self, what: str) -> DataError:
        return DataError(
            f"{self._target} {what}, so it cannot be gone on with.",
            hint="Name another file with --output, or begin anew with --fresh.",
        )

    def _not_written(self, error: OSError) -> NotWritten:
        return NotWritten(
            f"{self._target} cannot be written: {error.strerror or error}.",
            hint="Name a file in a folder that exists and has room, with --output."
            + (f" {self.going_on}" if self.rows else ""),
        )
