"""``millisight classify --output``: results of whole folders, whatever happens meanwhile."""

import csv
import fcntl
import json
import os
import pty
import resource
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

from millisight.bundle import read_bundle, starter_path
from millisight.errors import BadImage, NotWritten
from millisight.results import Results, model_of
from millisight.rows import row_of
from tests import models
from tests.cli.conftest import COMMAND, Run
from tests.cli.test_commands import fails
from tests.cli.test_embed import no_package
from tests.support import encode, solid, texture

SUFFIXES = ("csv", "jsonl", "parquet")
MANIFEST = read_bundle(starter_path()).manifest
DIGEST = MANIFEST.digest()


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Three pictures, of which one has an odd name, a damaged one, and a file that is none."""
    folder = tmp_path / "pictures"
    (folder / "deeper").mkdir(parents=True)
    (folder / "a.jpg").write_bytes(encode(texture(300, 200, 1), "JPEG"))
    (folder / 'b,\n"猫".png').write_bytes(encode(texture(300, 200, 2), "PNG"))
    (folder / "broken.jpg").write_bytes(encode(texture(300, 200, 3), "JPEG")[:2000])
    (folder / "notes.txt").write_text("not a picture")
    (folder / "deeper" / "c.jpg").write_bytes(encode(texture(300, 200, 3), "JPEG"))
    return folder


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """A folder of 120 pictures, in subfolders of 40."""
    picture = tmp_path / "picture.png"
    picture.write_bytes(encode(texture(300, 200, 1), "PNG"))
    for number in range(120):
        path = tmp_path / "many" / str(number // 40) / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        os.link(picture, path)
    return tmp_path / "many"


def read(output: Path) -> list[dict[str, Any]]:
    if output.suffix == ".parquet":
        rows: list[dict[str, Any]] = parquet.read_table(output).to_pylist()
        return rows
    with output.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file) if output.suffix == ".csv" else map(json.loads, file))


def paths(output: Path) -> list[str]:
    return [row["path"] for row in read(output)]


def found(folder: Path) -> list[str]:
    return [str(path) for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_holds_every_picture_and_why_some_cannot_be_read(
    run: Run, pictures: Path, tmp_path: Path, suffix: str
) -> None:
    output = tmp_path / f"results.{suffix}"
    done = run("classify", pictures, "--top-k", 2, "--output", output)
    fails(done, 3, f"{pictures / 'broken.jpg'}: The picture cannot be read")
    assert done.stdout.startswith("4 pictures by efficientnet_lite0, 1 unusable: ")
    first, odd, broken, deeper = read(output)
    assert odd["path"] == str(pictures / 'b,\n"猫".png')
    assert deeper["path"] == str(pictures / "deeper" / "c.jpg")
    assert "cannot be read" in broken["error"]
    assert not broken["label"]
    assert not first["error"]
    known = json.loads(run("classify", "--json", pictures / "a.jpg").stdout)["predictions"]
    assert first["label"] == known[0]["label"]
    assert float(first["confidence"]) == pytest.approx(known[0]["confidence"], abs=1e-5)
    if suffix == "csv":
        assert int(first["index_2"]) == known[1]["index"]
        assert first["uncertain"] == ""
    else:
        assert [one["index"] for one in first["predictions"]] == [one["index"] for one in known[:2]]
        assert first["uncertain"] is None
    if suffix == "parquet":
        about = json.loads(parquet.read_schema(output).metadata[b"millisight"])
        assert (about["model"], about["digest"]) == ("efficientnet_lite0", DIGEST)
    else:
        assert first["model"] == f"efficientnet_lite0@{DIGEST[:12]}"
    assert not output.with_name(f"{output.name}.partial").exists()


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_what_is_in_the_file_is_not_done_again_and_what_is_new_is_added(
    run: Run, pictures: Path, tmp_path: Path, suffix: str
) -> None:
    output = tmp_path / f"results.{suffix}"
    run("classify", pictures / "deeper", pictures / "broken.jpg", "--output", output)
    overlapping = (pictures, pictures / "deeper", str(pictures / "*.jpg"))
    done = run("classify", *overlapping, "--output", output, "--json")
    assert done.returncode == 3  # As if all had been done at once.
    body = json.loads(done.stdout)
    assert (body["pictures"], body["now"], body["unusable"]) == (4, 2, 1)
    names = [Path(path).name for path in paths(output)]
    assert names == ["c.jpg", "broken.jpg", "a.jpg", 'b,\n"猫".png']
    done = run("classify", pictures / "a.jpg", "--output", output, "--fresh")
    assert done.returncode == 0
    assert paths(output) == [str(pictures / "a.jpg")]


def interrupt(
    arguments: list[object], number: signal.Signals, when: Callable[[], bool], env: dict[str, str]
) -> tuple[int, str]:
    """Send ``number`` to the command once ``when`` holds: its status, and what it said."""
    process = subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        env=os.environ | env,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    while process.poll() is None and not when():
        time.sleep(0.01)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    return process.returncode, said


@pytest.mark.parametrize(
    ("suffix", "number"),
    [("csv", signal.SIGKILL), ("jsonl", signal.SIGINT), ("parquet", signal.SIGKILL)],
)
def test_it_goes_on_where_it_was_stopped_with_no_picture_twice_or_lost(
    run: Run, many: Path, tmp_path: Path, suffix: str, number: signal.Signals
) -> None:
    output = tmp_path / f"results.{suffix}"
    growing = output if suffix != "parquet" else output.with_name(f"{output.name}.partial")

    def begun() -> bool:
        return growing.exists() and growing.read_bytes().count(b"\n") > 20

    arguments: list[object] = ["classify", many, "--output", output]
    status, said = interrupt(arguments, number, begun, {"MILLISIGHT_HOME": str(tmp_path / "home")})
    if number == signal.SIGINT:
        assert status == 130
        assert said.split("\n") == ["The same command goes on from here.", "", "Interrupted.", ""]
    lines = growing.read_bytes()
    assert 20 < lines.count(b"\n") < 120
    # As a machine that lost power may leave it.
    growing.write_bytes(lines[:-7])
    done = run(*arguments)
    assert done.returncode == 0, done.stderr
    earlier = lines.count(b"\n") - 1 - (suffix == "csv")
    assert f"120 pictures by efficientnet_lite0, {earlier} of them earlier" in done.stdout
    assert paths(output) == sorted(found(many))


def test_a_fresh_run_that_was_stopped_goes_on_without_fresh(
    run: Run, pictures: Path, many: Path, tmp_path: Path
) -> None:
    output = tmp_path / "results.parquet"
    growing = tmp_path / "results.parquet.partial"
    assert run("classify", pictures / "a.jpg", "--output", output).returncode == 0

    def begun() -> bool:
        return growing.exists() and growing.read_bytes().count(b"\n") > 20

    arguments: list[object] = ["classify", many, "--output", output]
    home = {"MILLISIGHT_HOME": str(tmp_path / "home")}
    _, said = interrupt([*arguments, "--fresh"], signal.SIGINT, begun, home)
    assert said.startswith("The same command without --fresh goes on from here.\n")
    done = run(*arguments)
    assert done.returncode == 0, done.stderr
    assert " of them earlier" in done.stdout
    assert paths(output) == sorted(found(many))


@contextmanager
def at_most(size: int) -> Iterator[None]:
    """No file of this process may have more bytes, as if the disk were full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("fresh", [True, False])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_disk_without_room_is_named_and_what_is_written_stays(
    tmp_path: Path, suffix: str, fresh: bool
) -> None:
    output = tmp_path / f"results.{suffix}"
    row = row_of(Path("a.jpg"), BadImage("It is broken."), model_of(MANIFEST))

    def write(count: int) -> None:
        with Results(output, MANIFEST, 1, moved=False, fresh=fresh) as results:
            for _ in range(count):
                results.add(row)

    with at_most(1000), pytest.raises(NotWritten, match="cannot be written: File too") as raised:
        write(1000)
    command = "The same command without --fresh" if fresh else "The same command"
    assert raised.value.hint.endswith(f"{command} goes on from here.")
    with Results(output, MANIFEST, 1, moved=False, fresh=False) as results:
        assert results.rows > 1


def test_where_not_even_the_header_has_room_nothing_is_left(tmp_path: Path) -> None:
    output = tmp_path / "results.csv"
    with at_most(10), pytest.raises(NotWritten, match="cannot be written: File too large"):
        Results(output, MANIFEST, 1, moved=False, fresh=False).__enter__()
    assert not output.exists()


def test_parquet_that_was_joined_but_whose_rows_were_left_is_not_joined_again(
    run: Run, pictures: Path, tmp_path: Path
) -> None:
    output = tmp_path / "results.parquet"
    partial = tmp_path / "results.parquet.partial"
    rows = tmp_path / "results.jsonl"
    run("classify", pictures, "--output", rows)
    os.link(rows, partial)
    assert run("classify", pictures, "--output", output).returncode == 3
    assert len(paths(output)) == 4
    os.link(rows, partial)  # As if the process had been killed before it could remove it.
    run("classify", pictures, "--output", output)
    assert len(paths(output)) == 4


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("mine.csv", b"a,b\n1,2\n"),
        ("mine.csv", b"a line without an end"),
        ("mine.csv", b'"a quote without an end\n'),
        ("mine.csv", b"\xff\xfe"),
        ("mine.jsonl", b'{"mine": 1}\n'),
        ("mine.jsonl", b"[1]\n"),
        ("mine.jsonl", b"a line without an end"),
        ("mine.parquet", b"something"),
    ],
)
def test_files_of_others_are_refused_and_left_alone(
    run: Run, pictures: Path, tmp_path: Path, name: str, content: bytes
) -> None:
    output = tmp_path / name
    output.write_bytes(content)
    fails(run("classify", pictures, "--output", output), 3, str(output), "--fresh")
    assert output.read_bytes() == content
    assert not (tmp_path / f"{name}.partial").exists()


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_results_of_another_model_are_refused(
    run: Run, pictures: Path, tmp_path: Path, suffix: str
) -> None:
    models.build(tmp_path / "home", "other", "my")
    output = tmp_path / f"results.{suffix}"
    assert run("classify", pictures / "a.jpg", "--output", output).returncode == 0
    before = output.read_bytes()
    done = run("classify", pictures, "--model", "other", "--output", output)
    fails(done, 3, f"holds answers of efficientnet_lite0@{DIGEST[:12]}", "--fresh")
    done = run("classify", pictures, "--output", output, "--move-into", tmp_path / "sorted")
    fails(done, 3, "cannot be gone on with")
    assert output.read_bytes() == before
    assert len(found(pictures)) == 5


def test_what_cannot_be_written_is_said_in_plain_words(
    run: Run, pictures: Path, tmp_path: Path
) -> None:
    for suffix in SUFFIXES:
        output = tmp_path / "none" / f"results.{suffix}"
        fails(run("classify", pictures, "--output", output), 1, f"{output} cannot be written")
    fails(run("classify", pictures, "--output", "results.txt"), 2, ".parquet, .csv, .jsonl")
    fails(run("classify", pictures, "--fresh"), 2, "--fresh goes with --output")
    output = tmp_path / "results.csv"
    with output.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        fails(run("classify", pictures, "--output", output), 1, "Another process is writing")
    without = no_package(tmp_path, "pyarrow")
    output = tmp_path / "results.parquet"
    done = run("classify", pictures, "--output", output, PYTHONPATH=without)
    fails(done, 6, "pip install 'millisight[embed]'")
    empty = tmp_path / "empty"
    empty.mkdir()
    fails(run("classify", empty, "--output", output), 3, "There are no pictures in")
    assert not output.exists()
    assert not list(tmp_path.glob("*.partial"))


def test_patterns_and_links_find_each_picture_once(
    run: Run, pictures: Path, tmp_path: Path
) -> None:
    (pictures / "deeper" / "up").symlink_to(pictures)
    (pictures / "deeper" / "itself.jpg").symlink_to("itself.jpg")
    done = run("classify", "--top-k", 1, pictures / "deeper")
    fails(done, 3, "itself.jpg", "Too many levels")
    lines = [line for line in done.stdout.splitlines() if line.startswith(str(tmp_path))]
    # The link leads to the folder above, whose link to here is not followed round and round.
    names = [Path(line.split(": ")[0]).name for line in lines]
    assert names == ["c.jpg", "a.jpg", 'b,\\u000a"猫".png']
    assert run("classify", str(pictures / "deeper" / "?.jpg")).returncode == 0
    (pictures / "deeper" / "up").unlink()
    nested = run("classify", str(tmp_path / "**" / "c.jpg"))
    assert nested.stdout.count("c.jpg: ") == 1
    fails(run("classify", str(pictures / "x*.jpg")), 3, "There is no file or folder")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
def test_a_folder_that_may_not_be_read_is_reported(
    run: Run, pictures: Path, tmp_path: Path
) -> None:
    (pictures / "deeper").chmod(0)
    output = tmp_path / "results.csv"
    done = run("classify", pictures / "a.jpg", pictures, "--output", output)
    (pictures / "deeper").chmod(0o700)
    fails(done, 3, f"{pictures / 'deeper'}: Permission denied")


def test_names_that_are_not_unicode_are_written_all_the_same(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    (folder / os.fsdecode(b"\xff.png")).write_bytes(encode(solid("red"), "PNG"))
    output = tmp_path / "results.parquet"
    for now in (1, 0):
        done = run("classify", folder, "--output", output, "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["now"] == now
    assert paths(output) == [str(folder / r"\udcff.png")]
    assert r"\udcff.png: " in run("classify", folder).stdout


def peak(folder: Path, count: int) -> float:
    """Most memory, in megabytes, that the command takes for a folder of so many pictures."""
    output = folder.with_suffix(".csv")
    command = ["classify", folder, "--top-k", 1, "--output", output]
    process = subprocess.Popen([*COMMAND, *map(str, command)], stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert len(paths(output)) == count
    return usage.ru_maxrss / 1e3


def folder_of(count: int, path: Path) -> Path:
    """Many pictures, of which the first hundred can be read; the others are answered sooner."""
    path.mkdir()
    good, bad = (path.with_name(f"{path.name}-{kind}.png") for kind in ("good", "bad"))
    good.write_bytes(encode(solid("red", size=(8, 8)), "PNG"))
    bad.touch()
    for number in range(count):
        os.link(good if number < 100 else bad, path / f"{number:05}.png")
    return path


def test_memory_does_not_grow_with_the_number_of_pictures(tmp_path: Path) -> None:
    few, many = (folder_of(count, tmp_path / str(count)) for count in (150, 8000))
    assert peak(many, 8000) - peak(few, 150) < 10


@pytest.mark.long
def test_memory_does_not_grow_with_what_is_done_already(tmp_path: Path) -> None:
    folder = folder_of(50_000, tmp_path / "many")
    peak(folder_of(1, tmp_path / "one"), 1)
    header, row = (tmp_path / "one.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    with (tmp_path / "many.csv").open("w", encoding="utf-8") as file:
        file.write(header)
        for path in sorted(folder.iterdir()):
            file.write(row.replace(str(tmp_path / "one" / "00000.png"), str(path)))
    # Nothing is left to do, so there is no network in memory in either.
    assert peak(folder, 50_000) - peak(tmp_path / "one", 1) < 12


def on_a_terminal(*arguments: object) -> bytes:
    """What the command shows on one."""
    ours, its = pty.openpty()
    command = [*COMMAND, *map(str, arguments)]
    process = subprocess.Popen(
        command, stderr=its, stdout=subprocess.DEVNULL, env=os.environ | {"TERM": "xterm"}
    )
    os.close(its)
    said = b""
    try:
        while part := os.read(ours, 4096):
            said += part
    except OSError:  # Linux: the other end is closed.
        pass
    os.close(ours)
    assert process.wait(timeout=60) == 0
    return said


def test_a_terminal_shows_how_far_it_is(many: Path, tmp_path: Path) -> None:
    said = on_a_terminal("classify", many, "--output", tmp_path / "results.csv")
    assert b"/120" in said
    assert b"images/s" in said
    assert b"time left" in said


def test_what_was_moved_earlier_is_not_counted_again(run: Run, many: Path, tmp_path: Path) -> None:
    moved = ("--move-into", many / "sorted", "--output", tmp_path / "results.csv")
    assert run("classify", many / "0", *moved).returncode == 0
    assert b"/80" in on_a_terminal("classify", many, *moved)
