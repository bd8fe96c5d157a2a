"""INT8 as ``millisight build`` makes it: how close it stays, and what it refuses to write."""

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from millisight import load
from tests.build.test_embeddings import cosine, pairs
from tests.command import Run, command


def manifest_of(folder: Path) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return manifest


@dataclass
class Built:
    """A build with all defaults, in a store of its own."""

    home: Path
    done: "subprocess.CompletedProcess[str]"


@pytest.fixture(scope="module")
def resnet18_in_int8(
    tmp_path_factory: pytest.TempPathFactory, weights_of: Callable[..., Path]
) -> Built:
    home = tmp_path_factory.mktemp("int8") / "home"
    return Built(home, command(home)("build", "resnet18", "--weights", weights_of("resnet18")))


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
    resnet18_in_int8: Built, tmp_path: Path
) -> None:
    home, done = resnet18_in_int8.home, resnet18_in_int8.done
    millisight = command(home)
    assert done.returncode == 0, done.stderr
    for words in ("Converting", "Cutting 150 crops", "Quantising", "Comparing with torch"):
        assert words in done.stderr
    folder = home / "bundles" / "resnet18"
    manifest = manifest_of(folder)
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 12.5e6
    assert manifest["precision"] == "int8"
    assert manifest["activation_map"] == [7, 7]
    assert manifest["measured"]["max_logit_difference"] < 1e-3
    assert manifest["calibration"]["samples"] in {50, 150}
    assert manifest["calibration"]["estimator"] in {"minmax", "histogram"}
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


def test_its_embeddings_point_where_torchs_features_do(
    resnet18_in_int8: Built, weights_of: Callable[..., Path]
) -> None:
    with load(resnet18_in_int8.home / "bundles" / "resnet18") as classifier:
        for got, expected in pairs(classifier, weights_of("resnet18")):
            assert cosine(got, expected) > 0.99


@pytest.fixture
def samples(shared_data: Path, tmp_path: Path) -> Path:
    """Every third of the labelled photographs, for time."""
    folder = tmp_path / "samples"
    folder.mkdir()
    for path in sorted((shared_data / "imagenet-samples").glob("*.jpg"))[::3]:
        (folder / path.name).symlink_to(path)
    return folder


@pytest.mark.long
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


@pytest.mark.long
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


@pytest.mark.long
def test_without_labels_the_agreement_with_float32_is_the_gate(millisight: Run, home: Path) -> None:
    done = millisight("build", "efficientnet_lite0", "--max-drop", 0)
    assert done.returncode == 8
    assert "agrees with float32 on" in done.stderr
    assert not (home / "bundles/efficientnet_lite0").exists()
