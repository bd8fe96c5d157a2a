"""``millisight build``: what comes out, what it says, and that nothing half-written stays."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.command import Run


@pytest.mark.parametrize(
    ("model", "maps"),
    [("regnet_y_400mf", [7, 7]), ("mobilenet_v3_small", None)],
)
@pytest.mark.long
def test_other_torchvision_models_are_built_by_name(
    millisight: Run,
    home: Path,
    weights_of: Callable[..., Path],
    model: str,
    maps: list[int] | None,
) -> None:
    bf16 = ("--precision", "bf16")
    done = millisight("build", model, "--weights", weights_of(model), *bf16, "--json")
    assert done.returncode == 0, done.stderr
    manifest = json.loads((home / "bundles" / model / "manifest.json").read_text())
    body = json.loads(done.stdout)
    assert (body["model"], body["path"]) == (model, str(home / "bundles" / model))
    assert body["manifest"] | {"digest": manifest["digest"]} == manifest
    assert (manifest["architecture"], manifest["precision"]) == (model, "bf16")
    assert manifest["calibration"] is None
    # The latter ends in two linear layers.
    assert manifest["activation_map"] == maps
    assert manifest["measured"]["max_logit_difference"] < 1e-2


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["resnet81"], 4, "resnet18"),
        (["resnet18", "--precision", "int4"], 2, "int8"),
        (["efficientnet_lite0", "--name", "../evil"], 5, "../evil"),
        (["efficientnet_lite0", "--name", "starter"], 5, "taken"),
        (["efficientnet_lite0", "--calibration", "no/such/folder"], 3, "no/such/folder"),
        (["efficientnet_lite0", "--validation", "no/such/folder"], 3, "no/such/folder"),
        (["efficientnet_lite0", "--calibration", "."], 3, "0 readable pictures"),
    ],
)
def test_what_cannot_be_built_is_refused_in_plain_words(
    millisight: Run, home: Path, tmp_path: Path, arguments: list[str], code: int, words: str
) -> None:
    (tmp_path / "empty").mkdir()
    arguments = [str(tmp_path / "empty") if word == "." else word for word in arguments]
    done = millisight("build", *arguments)
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(home.rglob("manifest.json"))


@pytest.mark.parametrize(
    "stop", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.long)]
)
def test_stopping_a_build_leaves_nothing_half_written(
    home: Path, tmp_path: Path, stop: signal.Signals
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "millisight", "build", "efficientnet_lite0"],
        env=os.environ | {"MILLISIGHT_HOME": str(home), "TMPDIR": str(tmp_path)},
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("Quantising"):
            break
    process.send_signal(stop)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "Interrupted." in errors
    assert [path for path in home.rglob("*") if path.is_file()] == []
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
