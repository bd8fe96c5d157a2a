"""Answers as rows of a table, and rows as lines of CSV or JSON."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from millisight.answers import Prediction, Result

Row = dict[str, Any]
"""``path``, ``label``, ``confidence`` and ``index`` of the best class, ``predictions`` (a list of
such three), ``uncertain``, ``warnings``, ``error``, perhaps ``moved_to``, and ``model``. What does
not apply is ``None``."""


class Damaged(ValueError):
    """A file of rows has something else before its end."""


def as_text(name: Path | str) -> str:
    r"""``name`` as text in UTF-8; bytes that are none are written as ``\udc80`` to ``\udcff``."""
    return str(name).encode("utf-8", "backslashreplace").decode()


def row_of(path: Path | str, answer: Result | Exception, model: str) -> Row:
    """What ``model`` answered for ``path``, or why it cannot."""
    row: Row = dict.fromkeys(("path", "label", "confidence", "index"))
    row |= {"predictions": [], "uncertain": None, "warnings": [], "error": None, "model": model}
    row["path"] = as_text(path)
    if isinstance(answer, Result):
        predictions = [_values(one) for one in answer.predictions]
        row |= predictions[0]
        row |= {"predictions": predictions, "uncertain": answer.uncertain}
        row["warnings"] = list(answer.warnings)
    else:
        row["error"] = as_text(str(answer))
    return row


def _values(one: Prediction) -> dict[str, Any]:
    return {"label": one.label, "confidence": round(one.confidence, 6), "index": one.index}


class Lines(Protocol):
    """A way to write rows as lines, each complete when it ends."""

    header: bytes

    def encode(self, row: Row) -> bytes:
        """One row, with its end."""
        ...

    def read(self, file: BinaryIO) -> Iterator[tuple[Row, int]]:
        """The complete rows of ``file``, after its header, and where each ends.

        A last row that was torn is left out. Raises ``Damaged``.
        """
        ...


_OBJECT = b'{"path": "'


class JsonLines:
    """One JSON object a line."""

    header = b""

    def encode(self, row: Row) -> bytes:
        """See ``Lines.encode``."""
        return json.dumps(row, ensure_ascii=False).encode() + b"\n"

    def read(self, file: BinaryIO) -> Iterator[tuple[Row, int]]:
        """See ``Lines.read``."""
        end = 0
        for line in file:
            if not line.endswith(b"\n"):
                if line[: len(_OBJECT)] != _OBJECT[: len(line)]:
                    raise Damaged
                return
            end += len(line)
            try:
                row = json.loads(line)
                if not {"path", "error", "model"} <= row.keys():
                    raise Damaged
            except (ValueError, AttributeError) as error:
                raise Damaged from error
            yield row, end


_TORN = 1 << 16
"""No row is so long: if so much cannot be read, it is not because the last row was torn."""


class Csv:
    """One row a line, but for line ends in names, which are quoted."""

    def __init__(self, top_k: int, *, moved: bool) -> None:
        """``top_k`` classes have three columns each; ``moved`` adds ``moved_to``."""
        best = [f"{name}_{k}" for k in range(2, top_k + 1) for name in _BEST]
        after = ["uncertain", "warnings", "error", *(["moved_to"] if moved else []), "model"]
        self._top_k = top_k
        self._columns = ["path", *_BEST, *best, *after]
        self.header = _line(self._columns)

    def encode(self, row: Row) -> bytes:
        """See ``Lines.encode``."""
        flat = row | {"warnings": " ".join(row["warnings"])}
        if row["uncertain"] is not None:
            flat["uncertain"] = "true" if row["uncertain"] else "false"
        for k, one in enumerate(row["predictions"][1:], 2):
            flat |= {f"{name}_{k}": one[name] for name in _BEST}
        return _line([flat.get(name) for name in self._columns])

    def read(self, file: BinaryIO) -> Iterator[tuple[Row, int]]:
        """See ``Lines.read``."""
        lines = _Counted(file)
        rows = csv.reader(lines, strict=True)
        end = 0
        try:
            for values in rows:
                if not lines.whole:
                    break
                if not end and values != self._columns:
                    raise Damaged
                if end:
                    # Raises ValueError where they do not fit.
                    yield dict(zip(self._columns, values, strict=True)), lines.end
                end = lines.end
        # It ends within quotes or within a character, or is no CSV.
        except (csv.Error, ValueError) as error:
            if lines.end - end > _TORN or file.read(1):
                raise Damaged from error
        if not end and not self.header.startswith(lines.last):
            raise Damaged


_BEST = ("label", "confidence", "index")


def _line(values: list[Any]) -> bytes:
    text = io.StringIO()
    # It quotes what has a character of the line end in it, and readers take both for one.
    csv.writer(text, lineterminator="\r\n").writerow(values)
    return text.getvalue().removesuffix("\r\n").encode() + b"\n"


class _Counted:
    """The lines of a file as text, and where the last one that was read ends."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.end = 0
        self.last = b""

    def __iter__(self) -> Iterator[str]:
        for line in self._file:
            self.end += len(line)
            self.last = line
            yield line.decode()

    @property
    def whole(self) -> bool:
        return self.last.endswith(b"\n")
