"""What workers do, without the machines: the list, the rows, and the folder that they end in."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fsspec", reason="the extra ray is not installed")

import pyarrow as pa
from pyarrow import parquet

import millisight
from millisight.bundle import STARTER
from millisight.columnar import result_columns
from millisight.errors import DataError, NotWritten
from millisight.results import model_of
from millisight.rows import row_of
from millisight.scale.labelling import Labelling, Worker
from millisight.scale.listing import Listing
from millisight.scale.parts import Parts
from millisight.seen import Seen
from tests.support import encode, texture

ABOUT = {"model": "starter", "digest": "0" * 64, "moved": False, "top_k": 3, "embeddings": False}
SCHEMA = pa.schema(result_columns())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hundred names of six pictures, and one that is none."""
    root = tmp_path_factory.mktemp("pictures")
    contents = [encode(texture(200, 150, seed), "JPEG") for seed in range(6)]
    for number in range(100):
        (root / f"{number:03}.jpg").write_bytes(contents[number % 6])
    (root / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    return root


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Worker:
    settings = {"model": [STARTER], "threads": 1, "home": str(tmp_path_factory.mktemp("home"))}
    return Worker(Labelling(settings, 1, 3, "image", embeddings=False, schema=SCHEMA))


def list_of(where: Path, sources: list[str], seen: Seen, column: str = "image") -> Listing:
    listing = Listing(str(where))
    listing.write(sources, column, seen.add)
    return listing


def pieces(listing: Listing) -> Iterator[Any]:
    for name in listing.files:
        yield pa.table({"item": [name]})


def write(output: Path, tables: Iterator[Any], name: str) -> None:
    parquet.write_table(pa.concat_tables(tables), output / f"{name}.parquet")


def test_each_picture_has_the_row_that_one_process_gives_it(
    worker: Worker, folder: Path, tmp_path: Path
) -> None:
    with Seen() as seen:
        listing = list_of(tmp_path / "list", [str(folder), str(folder / "000.jpg")], seen)
    assert (listing.pictures, len(listing.files)) == (101, 4)
    found = [row for part in pieces(listing) for out in worker(part) for row in out.to_pylist()]
    names = sorted(folder.iterdir())
    assert [row["path"] for row in found] == list(map(str, names))
    with millisight.load(STARTER, threads=1) as classifier:
        model = model_of(classifier.bundle.manifest)
        answers = classifier.classify_many(names, return_errors=True)
        for row, name, answer in zip(found, names, answers, strict=True):
            assert row | {"model": model} == row_of(name, answer, model)


def test_a_picture_that_goes_away_has_a_row_that_says_so(worker: Worker, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(encode(texture(90, 90), "JPEG"))
    with Seen() as seen:
        listing = list_of(tmp_path / "list", [str(tmp_path / "a.jpg")], seen)
    (tmp_path / "a.jpg").unlink()
    [row] = [row for part in pieces(listing) for out in worker(part) for row in out.to_pylist()]
    assert "No such file" in row["error"]


def test_what_has_rows_is_not_listed_again(worker: Worker, folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.parquet"
    parts = Parts(str(output), ABOUT)
    with Seen() as seen:
        parts.open(seen, fresh=False)
        listing = list_of(tmp_path / "list", [str(folder)], seen)
    first, *_ = pieces(listing)
    write(output, worker(first), "first")
    (output / "torn.parquet").write_bytes(b"PAR1 and then the power went")
    again = Parts(str(output), ABOUT)
    with Seen() as seen:
        again.open(seen, fresh=False)
        listing.remove()
        rest = list_of(tmp_path / "list", [str(folder)], seen)
    assert (again.rows, rest.pictures) == (32, 69)
    assert not (output / "torn.parquet").exists()
    write(output, (out for part in pieces(rest) for out in worker(part)), "second")
    again.count()
    assert (again.rows, again.errors) == (101, 1)
    assert parquet.read_table(output).num_rows == 101


def test_a_part_that_is_torn_is_no_end(tmp_path: Path) -> None:
    parts = Parts(str(tmp_path / "out.parquet"), ABOUT)
    with Seen() as seen:
        parts.open(seen, fresh=False)
    (tmp_path / "out.parquet" / "torn.parquet").write_bytes(b"PAR1")
    with pytest.raises(NotWritten, match="is torn"):
        parts.count()


def test_answers_of_another_model_are_not_gone_on_with(tmp_path: Path) -> None:
    output = str(tmp_path / "out.parquet")
    with Seen() as seen:
        Parts(output, ABOUT).open(seen, fresh=False)
        other = Parts(output, ABOUT | {"digest": "1" * 64})
        with pytest.raises(DataError, match="another digest"):
            other.open(seen, fresh=False)
        other.open(seen, fresh=True)
    about = json.loads((tmp_path / "out.parquet" / "_millisight.json").read_text())
    assert about["digest"] == "1" * 64


def test_rows_of_a_table_are_picked_up_where_they_were_left(
    worker: Worker, folder: Path, tmp_path: Path
) -> None:
    contents = [path.read_bytes() for path in sorted(folder.iterdir())[:6]]
    tables = tmp_path / "tables"
    tables.mkdir()
    table = tables / "a.parquet"
    parquet.write_table(pa.table({"image": contents}), table, row_group_size=4)
    with Seen() as seen:
        for row in (0, 1, 2, 3, 5):
            seen.add(f"{table}#{row}")
        listing = list_of(tmp_path / "list", [str(table)], seen)
    assert listing.pictures == 1
    [row] = [row for part in pieces(listing) for out in worker(part) for row in out.to_pylist()]
    assert row["path"] == f"{table}#4"
    assert row["label"]


def test_an_address_is_listed_like_a_folder(folder: Path, tmp_path: Path) -> None:
    with Seen() as seen:
        listing = list_of(tmp_path / "list", [f"file://{folder}"], seen)
        assert not seen.add(f"file://{folder}/000.jpg")
    assert listing.pictures == 101
    with Seen() as seen, pytest.raises(DataError, match="nothing to read"):
        list_of(tmp_path / "list", [f"file://{tmp_path}/nowhere"], seen)
