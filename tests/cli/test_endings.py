"""How commands end: statuses, streams and pipes, in the cases a script meets."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from millisight.bundle import (
    FILES,
    GRAPH,
    LABELS,
    MANIFEST,
    TENSORS,
    read_bundle,
    starter_path,
    write_manifest,
)
from millisight.bundlefiles import describe_file
from tests.cli.conftest import COMMAND, Run
from tests.support import encode, texture


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "a.jpg"
    path.write_bytes(encode(texture(300, 200, 1), "JPEG"))
    return path


def test_everything_read_ends_with_0_and_silence_on_stderr(run: Run, picture: Path) -> None:
    done = run("classify", picture)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_file_that_cannot_be_opened_is_reported_and_the_others_answered(
    run: Run, picture: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "a-link-to-nothing.jpg").symlink_to(tmp_path / "gone.jpg")
    shutil.copy(picture, folder / "b.jpg")
    done = run("classify", folder)
    assert done.returncode == 3
    assert done.stdout.startswith(f"{folder / 'b.jpg'}: ")
    assert "No such file" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_without_pictures_ends_with_3(run: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = run("classify", tmp_path / "empty")
    assert done.returncode == 3
    assert "There are no pictures in" in done.stderr
    assert done.stdout == ""


def test_a_reader_that_leaves_early_stops_the_command_quietly(picture: Path) -> None:
    process = subprocess.Popen(
        [*COMMAND, "classify", *[str(picture)] * 40],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.close()
    _, complaints = process.communicate(timeout=60)
    assert complaints == ""


@pytest.mark.parametrize("command", [("models",), ("config",), ("--help",), ("classify", "--help")])
def test_output_to_a_pipe_has_no_colours(run: Run, command: tuple[str, ...]) -> None:
    done = run(*command, TERM="xterm-256color", COLORTERM="truecolor")
    assert done.returncode == 0
    assert "\x1b" not in done.stdout + done.stderr


def test_without_a_command_the_help_is_shown(run: Run) -> None:
    done = run()
    assert done.returncode == 2
    assert "Examples:" in done.stdout + done.stderr


@pytest.mark.parametrize("name", [MANIFEST, LABELS, GRAPH, TENSORS])
def test_one_flipped_bit_anywhere_ends_with_5(
    run: Run, picture: Path, tmp_path: Path, name: str
) -> None:
    home = tmp_path / "home"
    copy = shutil.copytree(starter_path(), home / "bundles" / "mine")
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / name).write_bytes(content)
    done = run("classify", "--model", "mine", picture)
    assert done.returncode == 5
    assert name in done.stderr
    assert "Traceback" not in done.stderr
    rows = json.loads(run("models", "--json").stdout)
    assert [("error" in row, row["name"]) for row in rows] == [(True, "mine"), (False, "starter")]


def test_a_whole_bundle_that_openvino_cannot_load_ends_with_5(
    run: Run, picture: Path, tmp_path: Path
) -> None:
    starter = read_bundle(starter_path())
    copy = shutil.copytree(starter_path(), tmp_path / "odd")
    (copy / GRAPH).write_text("<net/>")
    files = {file: describe_file(copy / file) for file in FILES}
    write_manifest(copy, starter.manifest.model_copy(update={"files": files}))
    classified = run("classify", "--model", copy, picture)
    served = run("serve", "--model", copy, "--port", 0)
    assert (classified.returncode, served.returncode) == (5, 5)
    assert "Traceback" not in classified.stderr
    for done in (classified, served):
        assert "OpenVINO cannot load" in done.stderr


def test_the_store_is_where_millisight_home_says(run: Run, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(starter_path(), elsewhere / "bundles" / "mine")

    def names(*arguments: object, **environ: str) -> list[str]:
        rows = json.loads(run("models", "--json", *arguments, **environ).stdout)
        return [row["name"] for row in rows]

    assert names() == ["starter"]
    assert names(MILLISIGHT_HOME=str(elsewhere)) == ["mine", "starter"]
    assert names("--home", elsewhere) == ["mine", "starter"]


@pytest.mark.parametrize(
    ("arguments", "environ", "named"),
    [
        (("serve", "--port", 99999), {}, "port cannot be '99999' (option --port)"),
        (("serve",), {"MILLISIGHT_PORT": "x"}, "(environment variable MILLISIGHT_PORT)"),
        (("models",), {"MILLISIGHT_LOG_LEVEL": "loud"}, "log_level cannot be 'loud'"),
        (("models",), {"MILLISIGHT_MAX_BATHC": "8"}, "Did you mean MILLISIGHT_MAX_BATCH?"),
        (("serve", "--prot", 1), {}, "--port"),
    ],
)
def test_a_wrong_setting_ends_with_2_and_its_name(
    run: Run, arguments: tuple[object, ...], environ: dict[str, str], named: str
) -> None:
    done = run(*arguments, **environ)
    assert done.returncode == 2
    assert named in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_settings_file_is_obeyed_and_what_is_wrong_in_it_named(run: Run, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(starter_path(), elsewhere / "bundles" / "mine")
    file = tmp_path / "mine.toml"
    file.write_text(f'home = "{elsewhere}"\n')

    def names(*arguments: object, **environ: str) -> list[str]:
        done = run("models", "--json", *arguments, **environ)
        return [row["name"] for row in json.loads(done.stdout)]

    # MILLISIGHT_HOME is set here, and comes before the file; an option comes before both.
    assert names("--config", file) == ["starter"]
    assert names("--config", file, "--home", elsewhere) == ["mine", "starter"]
    file.write_text('model = "none"\n')
    done = run("serve", "--port", 0, "--config", file)
    assert done.returncode == 4
    assert "no model 'none'" in done.stderr
    for text, words in [
        ("prot = 1", f"There is no setting prot (file {file})."),
        ("port = 'many'", f"Setting port cannot be 'many' (file {file})"),
        ("port", f"Settings file {file} is not TOML"),
    ]:
        file.write_text(text)
        for command in (("serve",), ("build", "resnet18"), ("classify", file)):
            done = run(*command, MILLISIGHT_CONFIG=str(file))
            assert done.returncode == 2
            assert words in done.stderr
            assert "Traceback" not in done.stderr
