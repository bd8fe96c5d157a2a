"""``millisight build``: what comes out, what it says, and that nothing half-written stays."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.build.command import Run


def manifest_of(folder: Path) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return manifest


@pytest.fixture(scope="session")
def noise_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve pictures, one of them damaged, that a network has nothing to say about."""
    folder = tmp_path_factory.mktemp("noise")
    random = np.random.default_rng(5)
    for number in range(12):
        pixels = random.integers(0, 256, (300, 260, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}_noise.png")
    (folder / "3_noise.png").write_bytes(b"\x89PNG\r\n\x1a\n damaged")
    return folder


def test_resnet18_in_int8_is_small_close_to_torch_and_answers(
    millisight: Run, home: Path, tmp_path: Path, weights_of: Callable[..., Path]
) -> None:
    done = millisight("build", "resnet18", "--weights", weights_of("resnet18"))
    assert done.returncode == 0, done.stderr
    for words in ("Converting", "Cutting 300 crops", "Quantising", "Comparing with torch"):
        assert words in done.stderr
    folder = home / "bundles" / "resnet18"
    manifest = manifest_of(folder)
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 12.5e6
    assert manifest["precision"] == "int8"
    assert manifest["activation_map"] == [7, 7]
    assert manifest["measured"]["max_logit_difference"] < 1e-3
    assert manifest["calibration"]["samples"] == 300
    assert manifest["calibration"]["estimator"] in {"minmax", "histogram", "nncf_default"}
    assert set(manifest["built_with"]) == {"millisight", "torch", "torchvision", "openvino", "nncf"}
    assert manifest["preprocess"] == {
        "resize": 256,
        "crop": 224,
        "interpolation": "bilinear",
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225],
    }
    assert [path.name for path in (home / "bundles").iterdir()] == ["resnet18"]

    picture = tmp_path / "picture.png"
    Image.effect_noise((300, 300), 50).save(picture)
    answer = millisight("classify", "--json", picture)
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout)["model"] == "resnet18"
    listed = json.loads(millisight("models", "--json").stdout)
    assert [(row["name"], row["classes"]) for row in listed] == [
        ("resnet18", 1000),
        ("starter", 1000),
    ]


@pytest.mark.parametrize(("model", "maps"), [("resnet50", [7, 7]), ("mobilenet_v3_small", None)])
def test_other_torchvision_models_are_built_by_name(
    millisight: Run, home: Path, weights_of: Callable[..., Path], model: str, maps: list[int] | None
) -> None:
    bf16 = ("--precision", "bf16")
    done = millisight("build", model, "--weights", weights_of(model), *bf16, "--json")
    assert done.returncode == 0, done.stderr
    manifest = manifest_of(home / "bundles" / model)
    body = json.loads(done.stdout)
    assert (body["model"], body["path"]) == (model, str(home / "bundles" / model))
    assert body["manifest"] | {"digest": manifest["digest"]} == manifest
    assert (manifest["architecture"], manifest["precision"]) == (model, "bf16")
    assert manifest["calibration"] is None
    # The latter ends in two linear layers.
    assert manifest["activation_map"] == maps
    assert manifest["measured"]["max_logit_difference"] < 1e-2


@pytest.fixture
def samples(shared_data: Path, tmp_path: Path) -> Path:
    """Every third of the labelled photographs, for time."""
    folder = tmp_path / "samples"
    folder.mkdir()
    for path in sorted((shared_data / "imagenet-samples").glob("*.jpg"))[::3]:
        (folder / path.name).symlink_to(path)
    return folder


def test_the_starter_can_be_built_again_within_its_accuracy(
    millisight: Run, tmp_path: Path, samples: Path
) -> None:
    output = tmp_path / "starter"
    done = millisight(
        "build", "efficientnet_lite0", "--output", output,
        "--validation", samples, "--max-drop", 1.5,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    measured = manifest_of(output)["measured"]
    # One of 69.
    assert measured["float32"]["top1"] - measured["bundle"]["top1"] <= 1.5
    assert measured["bundle"]["top1"] >= 86
    assert f"Written to {output}" in done.stdout
    assert f"top-1 {measured['bundle']['top1']} %" in done.stdout
    evaluated = json.loads(millisight("evaluate", output, samples, "--json").stdout)
    # The pictures are the same and so is the way they are decoded.
    assert evaluated["top1"] == measured["bundle"]["top1"]


def test_calibrating_with_a_folder_says_so_and_keeps_some_pictures_back(
    millisight: Run, home: Path, noise_folder: Path, weights_of: Callable[..., Path]
) -> None:
    done = millisight(
        "build", "mobilenet_v3_small", "--weights", weights_of("mobilenet_v3_small"),
        "--calibration", noise_folder, "--max-drop", 100, "--name", "calibrated",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    folder = home / "bundles" / "calibrated"
    manifest = manifest_of(folder)
    assert manifest["calibration"]["source"] == f"pictures of the folder {noise_folder.name}"
    # Eleven can be read; a quarter of them is kept for the check.
    assert manifest["calibration"]["images"] == 9
    assert manifest["measured"]["agreement_images"] == 2
    # Its activation functions have a negative side, so the ranges are not symmetric.
    assert '<preset value="mixed"' in (folder / "model.xml").read_text()


def test_a_build_that_loses_too_much_fails_and_keeps_the_old_bundle(
    millisight: Run, home: Path, noise_folder: Path, samples: Path
) -> None:
    def build(*arguments: object) -> "subprocess.CompletedProcess[str]":
        return millisight("build", "efficientnet_lite0", *arguments)

    assert build("--precision", "float32").returncode == 0
    before = (home / "bundles/efficientnet_lite0/manifest.json").read_bytes()
    done = build("--calibration", noise_folder, "--validation", samples)
    assert done.returncode == 8
    assert "lost too much accuracy: top-1 fell from" in done.stderr
    assert "1 points are allowed" in done.stderr
    assert (home / "bundles/efficientnet_lite0/manifest.json").read_bytes() == before
    assert [path.name for path in (home / "bundles").iterdir()] == ["efficientnet_lite0"]


def test_without_labels_the_agreement_with_float32_is_the_gate(
    millisight: Run, home: Path, noise_folder: Path
) -> None:
    done = millisight("build", "efficientnet_lite0", "--calibration", noise_folder, "--max-drop", 0)
    assert done.returncode == 8
    assert "agrees with float32 on" in done.stderr
    assert not (home / "bundles/efficientnet_lite0").exists()


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


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
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
