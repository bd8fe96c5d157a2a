"""Every setting, shown with where it comes from."""

import json
import re
from pathlib import Path

import pytest

from millisight.settings import Settings
from tests.cli.conftest import Run


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "server.toml"
    path.write_text('max_batch = 4\nmodel = ["a", "[b]"]\nadmin_token = "secret of the file"\n')
    return path


def test_each_setting_has_a_line_with_its_value_and_who_says_so(run: Run, file: Path) -> None:
    done = run("config", "--config", file, "--port", 9000, MILLISIGHT_ACCESS_LOG="off")
    assert (done.returncode, done.stderr) == (0, "")
    first, *lines = done.stdout.splitlines()
    assert first == f"Settings file: {file}"
    rows = {
        row[0]: tuple(row[1:]) for line in lines if len(row := re.split(" {2,}", line.strip())) > 1
    }
    assert set(Settings.model_fields) <= set(rows)
    assert rows["port"] == ("9000", "option --port")
    assert rows["access_log"] == ("off", "environment variable MILLISIGHT_ACCESS_LOG")
    assert rows["max_batch"] == ("4", f"file {file}")
    assert rows["model"] == ("a, [b]", f"file {file}")
    assert rows["host"] == ("127.0.0.1", "default")
    assert "\x1b[" not in done.stdout
    assert "secret of the file" not in done.stdout


def test_the_same_comes_as_json(run: Run, file: Path) -> None:
    done = run("config", "--json", "--no-access-log", MILLISIGHT_CONFIG=str(file))
    body = json.loads(done.stdout)
    assert body["file"] == str(file)
    assert list(body["settings"]) == list(Settings.model_fields)
    shown = body["settings"]
    assert shown["access_log"] == {"value": False, "source": "option", "place": "--access-log"}
    assert shown["max_batch"] == {"value": 4, "source": "file", "place": str(file)}
    assert shown["model"]["value"] == ["a", "[b]"]
    assert shown["port"] == {"value": 8000, "source": "default"}
    assert set(shown["admin_token"]["value"]) == {"*"}
    assert "secret of the file" not in done.stdout


def test_a_file_that_is_not_there_is_said_so(run: Run) -> None:
    assert run("config").stdout.splitlines()[0].endswith("settings.toml (there is none)")
    assert json.loads(run("config", "--json").stdout)["file"] is None


@pytest.mark.parametrize(
    ("arguments", "environ", "words"),
    [
        (("--max-bach", "4"), {}, "(Did you mean one of: '--max-batch', '--max-wait-ms'?)"),
        ((), {"MILLISIGHT_MAX_BACH": "4"}, "Did you mean MILLISIGHT_MAX_BATCH?"),
        (("--config", "{file}"), {}, "Did you mean max_upload_mb?"),
        (("--log-format", "jsn"), {}, "Did you mean json?"),
    ],
)
def test_what_is_unknown_or_wrong_is_refused_with_the_nearest_right_name(
    run: Run, tmp_path: Path, arguments: tuple[str, ...], environ: dict[str, str], words: str
) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("max_uplod_mb = 4")
    for command in ("config", "serve"):
        done = run(command, *(one.format(file=file) for one in arguments), **environ)
        assert done.returncode == 2
        assert words in done.stderr
        assert "Traceback" not in done.stderr


def test_a_misspelt_command_is_answered_with_the_nearest_one(run: Run) -> None:
    done = run("clasify", "photo.jpg")
    assert done.returncode == 2
    assert "No such command 'clasify'. Did you mean 'classify'?" in done.stderr
