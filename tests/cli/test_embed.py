"""``millisight embed`` and ``millisight search``: files of embeddings, and what is near."""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

import millisight
from millisight.bundle import read_bundle, starter_path, write_manifest
from tests.cli.conftest import COMMAND, Run
from tests.cli.test_commands import fails
from tests.support import encode, texture


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Four pictures, of which ``near.png`` is ``a.jpg`` made smaller."""
    folder = tmp_path / "pictures"
    (folder / "deeper").mkdir(parents=True)
    for name, seed in (("a", 1), ("b", 2)):
        (folder / f"{name}.jpg").write_bytes(encode(texture(300, 200, seed), "JPEG"))
    (folder / "deeper" / "near.png").write_bytes(encode(texture(300, 200, 1), "PNG"))
    (folder / "deeper" / "猫.jpg").write_bytes(encode(texture(300, 200, 5), "JPEG"))
    return folder


def test_parquet_holds_path_numbers_and_what_made_them(
    run: Run, pictures: Path, tmp_path: Path
) -> None:
    output = tmp_path / "features.parquet"
    done = run("embed", pictures, "--output", output)
    assert done.returncode == 0, done.stderr
    assert "4 embeddings of 1280 numbers by efficientnet_lite0" in done.stdout
    table = parquet.read_table(output)
    assert table.schema.field("path").type == pa.string()
    assert table.schema.field("embedding").type == pa.list_(pa.float32(), 1280)
    origin = json.loads(table.schema.metadata[b"millisight"])
    assert origin == {
        "model": "efficientnet_lite0",
        "digest": read_bundle(starter_path()).manifest.digest(),
        "dimensions": 1280,
        "normalized": False,
    }
    names = ["a.jpg", "b.jpg", "deeper/near.png", "deeper/猫.jpg"]
    assert table["path"].to_pylist() == [str(pictures / name) for name in names]
    with millisight.load("starter") as classifier:
        expected = classifier.embed(pictures / "a.jpg").vector
    np.testing.assert_allclose(table["embedding"][0].as_py(), expected, atol=1e-4)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["features.parquet", "pictures"]


def test_npz_holds_the_same_and_needs_no_extra(run: Run, pictures: Path, tmp_path: Path) -> None:
    output = tmp_path / "features.npz"
    without = no_package(tmp_path, "pyarrow", "usearch")
    done = run("embed", "--normalize", pictures, "--output", output, "--json", PYTHONPATH=without)
    assert done.returncode == 0, done.stderr
    body = json.loads(done.stdout)
    assert (body["output"], body["embeddings"], body["unusable"]) == (str(output), 4, 0)
    with np.load(output) as file:
        assert file["path"].tolist()[3].endswith("猫.jpg")
        assert (file["embedding"].shape, file["embedding"].dtype) == ((4, 1280), np.float32)
        np.testing.assert_allclose(np.linalg.norm(file["embedding"], axis=1), 1, atol=1e-6)
        assert json.loads(str(file["millisight"]))["normalized"] is True


@pytest.mark.parametrize("suffix", ["parquet", pytest.param("npz", marks=pytest.mark.long)])
def test_unreadable_pictures_are_reported_and_left_out(
    run: Run, pictures: Path, tmp_path: Path, suffix: str
) -> None:
    (pictures / "broken.jpg").write_bytes(encode(texture(300, 200, 3), "JPEG")[:2000])
    odd = os.fsdecode(b"\xff.jpg")
    shutil.copy(pictures / "a.jpg", pictures / odd)
    output = tmp_path / f"features.{suffix}"
    done = run("embed", pictures, "--output", output)
    fails(done, 3, f"{pictures / 'broken.jpg'}: The picture cannot be read", "is not UTF-8")
    assert "4 embeddings" in done.stdout
    found = run("search", pictures / "b.jpg", "--in", output, "--json")
    assert len(json.loads(found.stdout)["matches"]) == 4
    assert found.returncode == 0


def test_without_a_readable_picture_there_is_no_file(run: Run, tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    output = tmp_path / "features.parquet"
    output.write_bytes(b"older")
    fails(run("embed", tmp_path, "--output", output), 3, "None of the pictures can be read")
    assert output.read_bytes() == b"older"
    assert len(list(tmp_path.iterdir())) == 2
    fails(run("embed", tmp_path / "no", "--output", output), 3, "There is no file or folder")


def test_what_cannot_be_written_is_said_before_anything_is_embedded(
    run: Run, pictures: Path, tmp_path: Path
) -> None:
    output = tmp_path / "none" / "features.parquet"
    (pictures / "broken.jpg").write_bytes(b"never looked at")
    done = run("embed", pictures, "--output", output)
    fails(done, 1, f"{output} cannot be written: No such file or directory")
    assert "broken.jpg" not in done.stderr
    fails(run("embed", pictures, "--output", tmp_path / "f.csv"), 2, ".parquet or .npz")


def test_who_has_not_the_extra_is_told_how_to_get_it(
    run: Run, pictures: Path, tmp_path: Path
) -> None:
    output = tmp_path / "features.parquet"
    for package in ("pyarrow", "usearch"):
        without = no_package(tmp_path, package)
        done = (
            run("embed", pictures, "--output", output, PYTHONPATH=without)
            if package == "pyarrow"
            else run("search", pictures / "a.jpg", "--in", pictures, PYTHONPATH=without)
        )
        fails(done, 6, f"not installed: {package}", "pip install 'millisight[embed]'")
    assert not output.exists()


def no_package(folder: Path, *names: str) -> str:
    """A value of PYTHONPATH with which ``names`` cannot be imported."""
    hidden = folder / "-".join(("without", *names))
    hidden.mkdir()
    for name in names:
        code = f"raise ImportError('hidden', name={name!r})"
        (hidden / f"{name}.py").write_text(code)
    return os.pathsep.join([str(hidden), os.environ.get("PYTHONPATH", "")])


@pytest.mark.parametrize("source", ["features.parquet", "features.npz", "pictures"])
def test_the_most_similar_come_first_wherever_they_are_looked_for(
    run: Run, pictures: Path, tmp_path: Path, source: str
) -> None:
    if "." in source:
        assert run("embed", pictures, "--output", tmp_path / source).returncode == 0
    query = pictures / "a.jpg"
    done = run("search", query, "--in", tmp_path / source, "--top-k", 2, "--json")
    assert done.returncode == 0, done.stderr
    [line] = done.stdout.splitlines()
    body = json.loads(line)
    assert body["path"] == str(query)
    first, second = body["matches"]
    assert first == {"path": str(query), "similarity": pytest.approx(1, abs=1e-4)}
    assert second["path"] == str(pictures / "deeper" / "near.png")
    assert 0.5 < second["similarity"] < 1
    lines = run("search", query, "--in", tmp_path / source, "--top-k", 1).stdout.splitlines()
    assert lines[0] == str(query)
    assert lines[1].split() == ["1.0000", str(query)]


def test_several_queries_are_answered_each_and_bad_ones_reported(
    run: Run, pictures: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no picture")
    queries = (pictures / "b.jpg", bad, pictures / "a.jpg")
    done = run("search", *queries, "--in", pictures, "--top-k", 1, "--json")
    fails(done, 3, "bad.jpg: This is not a picture")
    best = [json.loads(line)["matches"][0]["path"] for line in done.stdout.splitlines()]
    assert best == [str(pictures / "b.jpg"), str(pictures / "a.jpg")]
    fails(run("search", bad, "--in", pictures), 3, "None of the queries can be read")


def test_embeddings_of_another_model_are_refused(run: Run, pictures: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(starter_path(), other)
    manifest = read_bundle(other).manifest
    write_manifest(other, manifest.model_copy(update={"name": "other"}))
    output = tmp_path / "features.npz"
    assert run("embed", pictures, "--model", other, "--output", output).returncode == 0
    words = ("made by model other (", "not by efficientnet_lite0 (", "--model")
    fails(run("search", pictures / "a.jpg", "--in", output), 3, *words)
    right = run("search", pictures / "a.jpg", "--in", output, "--model", other)
    assert right.returncode == 0


@pytest.mark.parametrize("suffix", ["parquet", "npz"])
def test_a_damaged_file_is_refused_in_plain_words(
    run: Run, pictures: Path, tmp_path: Path, suffix: str
) -> None:
    whole = tmp_path / f"whole.{suffix}"
    assert run("embed", pictures, "--output", whole).returncode == 0
    damaged = tmp_path / f"damaged.{suffix}"
    query = pictures / "a.jpg"
    for content in (b"", b"no features", whole.read_bytes()[:-100]):
        damaged.write_bytes(content)
        fails(run("search", query, "--in", damaged), 3, "is damaged, or was not written by")
    fails(run("search", query, "--in", tmp_path / f"none.{suffix}"), 3, "There is no file")
    fails(run("search", query, "--in", query), 3, "neither a folder nor a file of embeddings")


def test_other_parquet_files_are_refused(run: Run, pictures: Path, tmp_path: Path) -> None:
    parquet.write_table(pa.table({"path": ["a"], "x": [1]}), tmp_path / "other.parquet")
    done = run("search", pictures / "a.jpg", "--in", tmp_path / "other.parquet")
    fails(done, 3, "was not written by")


def test_an_interrupted_run_leaves_no_file(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    picture = encode(texture(2000, 1500), "JPEG")
    for number in range(300):
        (tmp_path / "pictures" / f"{number}.jpg").write_bytes(picture)
    command = [*COMMAND, "embed", str(tmp_path / "pictures"), "--output", "features.parquet"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not list(tmp_path.glob(".features.parquet.*")):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said.strip()) == (130, "Interrupted.")
    assert [path.name for path in tmp_path.iterdir()] == ["pictures"]
