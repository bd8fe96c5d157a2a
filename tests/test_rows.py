"""Rows as lines, and lines that were torn."""

from io import BytesIO
from pathlib import Path

import pytest

from millisight.answers import Prediction, Result, Timings
from millisight.errors import BadImage
from millisight.rows import Csv, JsonLines, Lines, row_of

ANSWER = Result(
    predictions=[Prediction('a "cat", of sorts', 0.75, 3), Prediction("犬", 0.25, 1)],
    model="mine",
    timings_ms=Timings(1, 1, 1, 1),
    warnings=("exif_rotated", "alpha_on_white"),
    uncertain=False,
)
ROWS = [
    row_of(Path("a.jpg"), ANSWER, "mine@1"),
    row_of(Path('b,\n"猫"\r\n.jpg'), ANSWER, "mine@1"),
    row_of(Path("\r.jpg"), ANSWER, "mine@1"),
    row_of(Path("c.jpg"), BadImage('It is\n"broken".'), "mine@1"),
]


@pytest.mark.parametrize("lines", [Csv(2, moved=False), JsonLines()], ids=["csv", "jsonl"])
def test_wherever_a_file_is_torn_its_whole_rows_are_found(lines: Lines) -> None:
    whole = lines.header
    ends = []
    for row in ROWS:
        whole += lines.encode(row)
        ends.append(len(whole))
    for size in range(len(whole) + 1):
        found = list(lines.read(BytesIO(whole[:size])))
        assert [end for _, end in found] == [end for end in ends if end <= size]
        assert [row["path"] for row, _ in found] == [row["path"] for row in ROWS[: len(found)]]


def test_csv_has_a_column_for_each_thing() -> None:
    lines = Csv(3, moved=True)
    row = ROWS[0] | {"moved_to": "cat/a.jpg"}
    [(found, _)] = lines.read(BytesIO(lines.header + lines.encode(row)))
    assert list(found.values()) == [
        *("a.jpg", 'a "cat", of sorts', "0.75", "3", "犬", "0.25", "1", "", "", ""),
        *("false", "exif_rotated alpha_on_white", "", "cat/a.jpg", "mine@1"),
    ]
