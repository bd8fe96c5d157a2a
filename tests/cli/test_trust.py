"""What a model is not sure of, in what the commands print."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.models import CONFIDENCE, build
from tests.support import encode, texture


@pytest.fixture
def cocks(tmp_path: Path) -> Path:
    """Two pictures that look like nothing the model knows, in the folder of a class."""
    folder = tmp_path / "data" / "steel cock"
    folder.mkdir(parents=True)
    for number in range(2):
        (folder / f"{number}.jpg").write_bytes(encode(texture(300, 200, number), "JPEG"))
    return folder


@pytest.fixture
def steel(tmp_path: Path) -> Path:
    build(tmp_path / "home", "steel", "steel", confidence=CONFIDENCE)
    return tmp_path


@pytest.mark.usefixtures("steel")
def test_classify_marks_what_is_uncertain(run: Run, cocks: Path) -> None:
    lines = run("classify", "--model", "steel", cocks).stdout.splitlines()
    assert [line.endswith("  (uncertain)") for line in lines] == [True, True]
    for line in run("classify", "--model", "steel", "--json", cocks).stdout.splitlines():
        assert json.loads(line)["uncertain"] is True


def test_classify_says_nothing_of_it_where_the_model_cannot_know(run: Run, cocks: Path) -> None:
    assert "uncertain" not in run("classify", cocks).stdout
    assert "uncertain" not in run("classify", "--json", cocks).stdout


@pytest.mark.usefixtures("steel")
def test_evaluate_tells_what_the_threshold_does(run: Run, cocks: Path) -> None:
    body = json.loads(run("evaluate", "steel", cocks.parent, "--json").stdout)
    assert (body["uncertain"], body["top1_when_certain"]) == (100, None)
    assert 0 <= body["calibration_error"] <= 1
    lines = run("evaluate", "steel", cocks.parent).stdout.splitlines()
    assert lines[1] == "uncertain about 100.00 % of them"
    assert "expected calibration error" in lines[0]


def test_evaluate_says_nothing_of_a_threshold_that_is_not_there(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "data" / "cock"
    folder.mkdir(parents=True)
    (folder / "1.jpg").write_bytes(encode(texture(300, 200), "JPEG"))
    body = json.loads(run("evaluate", "starter", folder.parent, "--json").stdout)
    assert "uncertain" not in body
    assert "calibration_error" in body
