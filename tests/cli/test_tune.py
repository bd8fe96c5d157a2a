"""The real command: what it measures, what it writes, and when it writes nothing."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from millisight.record import BEGIN, COLUMNS, END, TUNED
from millisight.settings import load_settings
from tests.cli.conftest import Run
from tests.support import encode, texture

QUICK = ("tune", "--seconds", 1)


@pytest.fixture
def one_core() -> Iterator[None]:
    """The commands of the test find one core, so that there is little to try."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    yield
    os.sched_setaffinity(0, before)


def own_file(tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """The user's own settings file, and the environment that makes it so."""
    return tmp_path / "millisight" / "settings.toml", {"XDG_CONFIG_HOME": str(tmp_path)}


def tuned(path: Path) -> dict[str, int]:
    settings = load_settings({"config": str(path)}, {})
    return {name: getattr(settings, name) for name in TUNED}


def test_the_best_is_written_where_serve_finds_it(run: Run, tmp_path: Path) -> None:
    path, environ = own_file(tmp_path)
    done = run(*QUICK, **environ)
    assert (done.returncode, done.stderr) == (0, "")
    values = tuned(path)
    assert all(number >= 1 for number in values.values())
    told = ", ".join(f"{name} = {number}" for name, number in values.items())
    lines = done.stdout.splitlines()
    assert any(line.startswith(f"Best: {told}. It gives ") for line in lines)
    assert lines[-2:] == [f"Written to {path}", "Serve with it: millisight serve"]
    header = next(line for line in lines if line.split()[:1] == ["look"])
    assert header.split() == ["look", *" ".join(COLUMNS).split()]
    assert "…" not in done.stdout
    text = path.read_text()
    assert text.startswith(f"{BEGIN}\n# date: 20")
    for fact in ("machine", "model", "load", "goal"):
        assert f"\n# {fact}: " in text
    assert "efficientnet_lite0 (int8" in text
    assert text.count("\n#  last  ") >= 3
    assert text.endswith(f"\n{END}\n")


@pytest.mark.usefixtures("one_core")
@pytest.mark.long
def test_a_second_run_replaces_the_first_and_leaves_the_rest(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "my settings.toml"
    path.write_text("# mine\nport = 9000\nthreads = 7\n")
    done = run(*QUICK, "--config", path)
    assert done.stdout.endswith(f"Serve with it: millisight serve --config '{path}'\n")
    done = run(*QUICK, "--p99", "20s", MILLISIGHT_CONFIG=str(path))
    assert done.returncode == 0
    assert done.stdout.endswith("Serve with it: millisight serve\n")
    text = path.read_text()
    assert text.startswith(f"# mine\nport = 9000\n\n{BEGIN}\n")
    assert text.count(BEGIN) == text.count(END) == text.count("\nthreads = ") == 1
    assert "# goal: most images a second with p99 within 20000 ms\n" in text
    settings = load_settings({"config": str(path)}, {})
    assert (settings.port, settings.workers, settings.threads) == (9000, 1, 1)


@pytest.mark.usefixtures("one_core")
def test_a_limit_that_nothing_keeps_ends_with_9_and_writes_nothing(
    run: Run, tmp_path: Path
) -> None:
    path, environ = own_file(tmp_path)
    done = run(*QUICK, "--p99", "0.001ms", **environ)
    assert done.returncode == 9
    assert "Nothing that was measured keeps p99 within 0.001 ms; the least was " in done.stderr
    assert "Nothing was written." in done.stderr
    assert "Traceback" not in done.stderr
    assert "\n last " in done.stdout
    assert "Best" not in done.stdout
    assert not path.parent.exists()
    done = run(*QUICK, "--p99", "0.001", "--json", **environ)
    assert (done.returncode, json.loads(done.stdout)["choice"]) == (9, None)


@pytest.mark.usefixtures("one_core")
def test_a_dry_run_writes_nothing_and_json_is_all_there_is_on_stdout(
    run: Run, tmp_path: Path
) -> None:
    path, environ = own_file(tmp_path)
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    (pictures / "a.jpg").write_bytes(encode(texture(300, 200), "JPEG"))
    options = ("--dry-run", "--json", "--images", pictures, "--model", "starter")
    done = run(*QUICK, *options, MILLISIGHT_THREADS="1", **environ)
    assert done.returncode == 0
    assert f"Nothing was written; without --dry-run it would be, to {path}" in done.stderr
    assert "environment variable MILLISIGHT_THREADS says 1, and wins over the file" in done.stderr
    assert not path.parent.exists()
    body: dict[str, Any] = json.loads(done.stdout)
    assert body["load"].startswith(f"1 picture of {pictures}, ")
    assert body["p99_limit_ms"] is None
    assert (body["choice"]["workers"], body["choice"]["threads"]) == (1, 1)
    assert body["choice"]["reason"]
    looks = body["first_look"] + body["last_look"]
    assert all(one["images"] >= one["clients"] and one["images_per_second"] > 0 for one in looks)
    assert all(0 < one["p50_ms"] <= one["p99_ms"] for one in looks)


@pytest.mark.parametrize("text", ["soon", "0", "-1ms", "10 m", "", "nan", "9" * 400, "1e3"])
def test_a_limit_that_is_no_time_is_wrong_usage(run: Run, text: str) -> None:
    done = run("tune", "--p99", text)
    assert done.returncode == 2
    assert "is not a time above 0: write 10ms or 0.5s" in " ".join(done.stderr.split())


def test_what_cannot_be_measured_is_refused_before_anything_runs(run: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for options, status, words in (
        (("--images", tmp_path / "empty"), 3, "There are no usable pictures in"),
        (("--model", "none"), 4, "no model 'none'"),
        (("--config", tmp_path / "none.toml"), 2, "none.toml cannot be read"),
        (("--seconds", 0), 2, "--seconds"),
    ):
        done = run("tune", *options)
        assert (done.returncode, done.stdout) == (status, "")
        assert words in done.stderr
        assert "Traceback" not in done.stderr
