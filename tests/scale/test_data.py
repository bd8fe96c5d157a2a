"""Ray Data: one row for each picture, the answers of one process, whatever dies on the way."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("ray", reason="the extra ray is not installed")

import pyarrow as pa
from pyarrow import parquet

import millisight
from tests.scale.cluster import Cluster, Tree, cluster
from tests.support import encode, texture

BROKEN = {"broken.jpg": b"\xff\xd8\xff\xe0 no more", "empty.png": b""}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty pictures in two folders, and two that cannot be read."""
    root = tmp_path_factory.mktemp("pictures")
    (root / "sub").mkdir()
    for seed in range(40):
        where = root / "sub" if seed % 3 else root
        (where / f"{seed:02}.jpg").write_bytes(encode(texture(240, 180, seed), "JPEG"))
    for name, content in BROKEN.items():
        (root / name).write_bytes(content)
    return root


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def one(home: Path) -> Iterator[Cluster]:
    """A head without cores, and two nodes with one each."""
    with cluster(0, 1, 1, environ={"MILLISIGHT_HOME": str(home)}) as found:
        yield found


def classify(one: Cluster, *arguments: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "millisight",
            "classify",
            "--ray",
            one.address,
            *map(str, arguments),
        ],
        env=one.environ,
        capture_output=True,
        text=True,
        check=False,
    )


def rows(output: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = parquet.read_table(output).to_pylist()
    return sorted(found, key=lambda row: row["path"])


def test_rows_are_those_of_one_process(one: Cluster, folder: Path, tmp_path: Path) -> None:
    plain = tmp_path / "plain.parquet"
    done = subprocess.run(
        [sys.executable, "-m", "millisight", "classify", folder, "--output", plain],
        env=one.environ,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 3
    on_ray = tmp_path / "ray.parquet"
    done = classify(one, folder, "--output", on_ray, "--json")
    assert done.returncode == 3, done.stderr
    summary = json.loads(done.stdout)
    assert (summary["pictures"], summary["now"], summary["unusable"]) == (42, 42, 2)
    assert rows(on_ray) == rows(plain)
    assert [Path(row["path"]).name for row in rows(on_ray) if row["error"]] == sorted(BROKEN)
    assert not (tmp_path / "ray.parquet.partial").exists()


def test_what_is_done_is_not_done_again(one: Cluster, folder: Path, tmp_path: Path) -> None:
    some = tmp_path / "pictures"
    shutil.copytree(folder / "sub", some)
    output = tmp_path / "ray.parquet"
    first = json.loads(classify(one, some, "--output", output, "--json").stdout)
    (some / "new.jpg").write_bytes(encode(texture(200, 200, 99), "JPEG"))
    second = json.loads(classify(one, some, "--output", output, "--json").stdout)
    assert (second["pictures"], second["now"]) == (first["pictures"] + 1, 1)
    assert len({row["path"] for row in rows(output)}) == second["pictures"]
    other = classify(one, some, "--output", output, "--top-k", 5)
    assert other.returncode == 3
    assert "another top_k" in other.stderr
    fresh = json.loads(classify(one, some, "--output", output, "--fresh", "--json").stdout)
    assert fresh["now"] == fresh["pictures"] == second["pictures"]


def test_tables_with_pictures_and_embeddings(one: Cluster, folder: Path, tmp_path: Path) -> None:
    pictures = sorted((folder / "sub").iterdir())[:7]
    content = [{"bytes": path.read_bytes(), "path": path.name} for path in pictures]
    table = pa.table({"photo": [*content, None], "id": range(8)})
    tables = tmp_path / "tables.parquet"
    tables.mkdir()
    parquet.write_table(table, tables / "a.parquet", row_group_size=3)
    output = tmp_path / "ray.parquet"
    done = classify(one, tables, "--output", output, "--embeddings", "--column", "photo")
    assert done.returncode == 3, done.stderr
    found = rows(output)
    assert [row["path"] for row in found] == [f"{tables}/a.parquet#{row}" for row in range(8)]
    with millisight.load("starter", home=one.environ["MILLISIGHT_HOME"]) as classifier:
        for row, path in zip(found, pictures, strict=False):
            assert row["label"] == classifier.classify(path).predictions[0].label
            vector = classifier.embed(path).vector
            np.testing.assert_allclose(row["embedding"], vector, rtol=1e-5)
    assert found[-1]["embedding"] is None
    assert "no picture" in found[-1]["error"]
    missing = classify(one, tables, "--output", tmp_path / "b.parquet")
    assert missing.returncode == 3
    assert "no column image" in missing.stderr


def test_an_output_that_is_something_else_is_left_alone(
    one: Cluster, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine.parquet").mkdir()
    (tmp_path / "mine.parquet" / "letter.txt").write_text("Dear …")
    done = classify(one, folder, "--output", tmp_path / "mine.parquet", "--fresh")
    assert done.returncode == 3
    assert "not a folder of results" in done.stderr
    assert (tmp_path / "mine.parquet" / "letter.txt").exists()


SLOW = """
import sys
import ray
from millisight.scale.ray_data import classify
ray.init(sys.argv[1], log_to_driver=False)
print(classify([sys.argv[2]], sys.argv[3], rows_per_file=int(sys.argv[4])))
"""


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Enough for some seconds."""
    root = tmp_path_factory.mktemp("many")
    contents = [encode(texture(900, 700, seed), "JPEG") for seed in range(8)]
    for number in range(1200):
        (root / f"{number:04}.jpg").write_bytes(contents[number % 8])
    return root


def driver(one: Cluster, source: Path, output: Path) -> Tree:
    command = [sys.executable, "-c", SLOW, one.address, source, output, "64"]
    return Tree(f"{one.folder}/driver", command, one.environ, output.with_suffix(".log"))


def parts(output: Path) -> int:
    return len(list(output.glob("*.parquet")))


def check(many: Path, output: Path) -> None:
    assert [row["path"] for row in rows(output)] == [str(path) for path in sorted(many.iterdir())]
    assert not any(row["error"] for row in rows(output))


def test_a_driver_that_dies_is_gone_on_with(one: Cluster, many: Path, tmp_path: Path) -> None:
    output = tmp_path / "ray.parquet"
    first = driver(one, many, output)
    one.wait_for(lambda: parts(output) >= 3, "some parts")
    first.kill()
    assert parts(output) < 1200 / 64
    second = driver(one, many, output)
    assert second.process.wait(120) == 0, output.with_suffix(".log").read_text()
    assert "now=1200" not in output.with_suffix(".log").read_text()
    check(many, output)


def test_a_killed_node_takes_no_row_and_doubles_none(
    one: Cluster, many: Path, tmp_path: Path
) -> None:
    output = tmp_path / "ray.parquet"
    run = driver(one, many, output)
    one.wait_for(lambda: parts(output) >= 3, "some parts")
    one.nodes.pop().kill()
    assert run.process.wait(240) == 0, output.with_suffix(".log").read_text()
    check(many, output)
