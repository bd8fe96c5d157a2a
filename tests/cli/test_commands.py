"""The real command: what it prints, where, and how it ends."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import millisight
from millisight.bundle import FILES, starter_path
from millisight.cli.main import COMMANDS
from tests.cli.conftest import Run
from tests.support import encode, texture


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder with two pictures, a damaged one, and a file that is none."""
    folder = tmp_path / "pictures"
    (folder / "deeper").mkdir(parents=True)
    (folder / "a.jpg").write_bytes(encode(texture(300, 200, 1), "JPEG"))
    (folder / "deeper" / "b.png").write_bytes(encode(texture(300, 200, 2), "PNG"))
    (folder / "broken.jpg").write_bytes(encode(texture(300, 200, 3), "JPEG")[:2000])
    (folder / "notes.txt").write_text("not a picture")
    return folder


def fails(done: "subprocess.CompletedProcess[str]", code: int, *words: str) -> None:
    assert done.returncode == code, done.stderr
    for word in words:
        assert word in done.stderr
    assert "Traceback" not in done.stderr


def test_the_version_and_the_help_are_there(run: Run) -> None:
    assert run("--version").stdout.split() == ["millisight,", "version", millisight.__version__]
    assert "Examples:" in run("--help").stdout
    assert "Exit codes:" in run("--help").stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_shows_how_it_is_used(run: Run, command: str) -> None:
    done = run(command, "--help")
    assert done.returncode == 0
    assert re.search(rf"Examples?:\n.*millisight {command}\b", done.stdout)
    # A server answers in JSON and logs in it, and a script is for one shell.
    assert "--json" in done.stdout or command in {"serve", "completion"}


def test_pictures_and_folders_are_labelled_and_bad_ones_reported(run: Run, pictures: Path) -> None:
    done = run("classify", pictures)
    assert done.returncode == 3
    lines = done.stdout.splitlines()
    assert [line.split(": ")[0] for line in lines] == [
        str(pictures / "a.jpg"),
        str(pictures / "deeper" / "b.png"),
    ]
    assert all(line.count(" %") + line.count("%") == 3 for line in lines)
    assert f"{pictures / 'broken.jpg'}: The picture cannot be read" in done.stderr
    assert "notes.txt" not in done.stdout + done.stderr
    assert "\x1b[" not in done.stdout


def test_a_name_cannot_forge_lines_or_move_the_cursor(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "received"
    folder.mkdir()
    picture = encode(texture(300, 200, 1), "JPEG")
    odd = "\x1b[2Ja\nother.jpg: cat\x9b1m\u202e.jpg"
    (folder / odd).write_bytes(picture)
    (folder / f"broken{odd}").write_bytes(picture[:2000])
    shown = "\\u001b[2Ja\\u000aother.jpg: cat\\u009b1m\\u202e.jpg"
    for options in ((), ("--json",), ("--move-into", tmp_path / "sorted", "--dry-run")):
        done = run("classify", folder, *options)
        assert done.returncode == 3
        for said in (done.stdout, done.stderr):
            assert not set(said) & set("\x1b\x9b\u202e")
        assert len(done.stderr.splitlines()) == 1
        assert f"broken{shown}: The picture cannot be read" in done.stderr
        if "--json" not in options:
            assert f"{folder}/{shown}" in done.stdout
            assert len(done.stdout.splitlines()) == 1
    answers = run("classify", "--json", folder).stdout.splitlines()
    assert [Path(json.loads(line)["path"]).name for line in answers] == [odd, f"broken{odd}"]
    fails(run("classify", tmp_path / "no\nError: such"), 3, "no\\u000aError: such")


def test_answers_come_as_json_lines(run: Run, pictures: Path) -> None:
    done = run("classify", "--json", "--top-k", 2, pictures / "a.jpg", pictures / "broken.jpg")
    good, bad = map(json.loads, done.stdout.splitlines())
    assert len(good["predictions"]) == 2
    assert (good["model"], good["warnings"]) == ("efficientnet_lite0", [])
    assert set(bad) == {"path", "error"}
    assert done.returncode == 3


def test_a_reader_that_has_seen_enough_is_no_error(pictures: Path) -> None:
    command = f"{sys.executable} -m millisight classify {pictures / 'a.jpg'} | head -c 1"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)
    assert "Traceback" not in done.stderr


def test_accuracy_and_speed_are_measured_on_labelled_folders(run: Run, tmp_path: Path) -> None:
    for label in ("cock", "zebra"):
        (tmp_path / "data" / label).mkdir(parents=True)
        picture = encode(texture(300, 200, len(label)), "JPEG")
        (tmp_path / "data" / label / "1.jpg").write_bytes(picture)
    (tmp_path / "data" / "zebra" / "2.jpg").write_bytes(b"broken")
    done = run("evaluate", "starter", tmp_path / "data", "--json")
    body = json.loads(done.stdout)
    assert (body["images"], body["unreadable"]) == (2, 1)
    assert body["top1"] in {0, 50, 100}
    assert "2.jpg: This is not a picture" in done.stderr
    (tmp_path / "data" / "unicorn").mkdir()
    (tmp_path / "data" / "unicorn" / "1.jpg").write_bytes(b"")
    fails(run("evaluate", "starter", tmp_path / "data"), 3, "no class 'unicorn'")
    fails(run("evaluate", "starter", tmp_path / "none"), 3, "There is no folder")


def test_the_starter_knows_the_samples(run: Run, samples: Path) -> None:
    done = run("evaluate", "starter", samples)
    assert done.returncode == 0
    top1 = float(done.stdout.split("top-1 ")[1].split(" %")[0])
    assert top1 >= 86


def test_models_lists_the_store_and_marks_what_is_damaged(run: Run, tmp_path: Path) -> None:
    store = tmp_path / "home" / "bundles"
    shutil.copytree(starter_path(), store / "mine")
    (store / "mine" / "model.bin").write_bytes(b"short")
    rows = {row["name"]: row for row in json.loads(run("models", "--json").stdout)}
    assert set(rows) == {"mine", "starter"}
    assert "model.bin is damaged" in rows["mine"]["error"]
    assert rows["starter"]["precision"] == "int8"
    assert rows["starter"]["top1"] >= 86
    table = run("models", COLUMNS="200").stdout
    assert "damaged" in table
    assert "Apache-2.0" in table


@pytest.mark.parametrize("file", FILES)
def test_a_damaged_bundle_is_refused(run: Run, tmp_path: Path, pictures: Path, file: str) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(starter_path(), copy)
    content = bytearray((copy / file).read_bytes())
    content[100] ^= 1
    (copy / file).write_bytes(content)
    fails(run("classify", "--model", copy, pictures / "a.jpg"), 5, f"{file} is damaged")
    fails(run("serve", "--model", copy, "--port", 0), 5, f"{file} is damaged")


def test_wrong_names_and_values_are_refused_in_plain_words(run: Run, pictures: Path) -> None:
    picture = pictures / "a.jpg"
    fails(run("classify", "--model", "none", picture), 4, "no model 'none'", "starter")
    fails(run("classify", pictures / "none.jpg"), 3, "none.jpg")
    fails(run("classify", "--top-k", 0, picture), 2, "--top-k", "1<=x<=100")
    fails(run("serve", "--port", "many"), 2, "port cannot be 'many'")
    fails(run("models", MILLISIGHT_PROT="1"), 2, "MILLISIGHT_PROT", "Did you mean MILLISIGHT_PORT?")
    fails(run("classify"), 2, "PATH")
    fails(run("guess"), 2, "guess")


def test_building_here_says_what_to_do_instead(run: Run) -> None:
    done = run("build", "resnet18")
    fails(done, 6, "needs torch too", "make build-env")
    assert len(done.stderr.splitlines()) == 2


def test_what_takes_one_model_says_so_where_several_are_given(run: Run, pictures: Path) -> None:
    words = "This takes one model, and 2 are given: starter, other."
    several = ("--model", "starter", "--model", "other")
    fails(run("classify", *several, pictures / "a.jpg"), 2, words, "Choose one with --model.")
    fails(run("tune", *several), 2, words)
    environ = {"MILLISIGHT_MODEL": "starter,other"}
    fails(run("classify", pictures / "a.jpg", **environ), 2, words)
    assert run("classify", "--model", "starter", pictures / "a.jpg", **environ).returncode == 0
    assert run("evaluate", "none", pictures, **environ).returncode == 4


def test_serve_refuses_the_same_model_twice(run: Run) -> None:
    several = ("--model", "starter", "--model", "starter", "--port", 0)
    fails(run("serve", *several), 2, "The name starter is given twice", "rename one of them")
