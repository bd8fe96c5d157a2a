"""``millisight train`` as its users run it: from folders of pictures to answers."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from millisight import load
from millisight.bundle import Bundle, open_bundle
from tests.command import Run, command

PICTURES = 20
"""Of each class."""


def stripes(seed: int, *, upright: bool) -> Image.Image:
    """A picture of stripes in some colours, as wide as chance will have it."""
    random = np.random.default_rng(seed)
    wave = np.sin(np.arange(96) * random.uniform(0.3, 0.8) + random.uniform(0, 6))
    grid = np.broadcast_to(wave if upright else wave[:, None], (96, 96))[..., None]
    colour, ground = random.uniform(0, 255, (2, 3))
    noise = random.normal(0, 12, (96, 96, 3))
    pixels = ground + (colour - ground) * (grid + 1) / 2 + noise
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes that anyone can tell apart, one of them named in Chinese."""
    folder = tmp_path_factory.mktemp("stripes")
    for number, (name, upright) in enumerate({"竖纹": True, "across": False}.items()):
        (folder / name).mkdir()
        for seed in range(PICTURES):
            picture = stripes(1000 * number + seed, upright=upright)
            picture.save(folder / name / f"{seed}.png")
    (folder / "across" / "notes.txt").write_text("not a picture")
    return folder


@pytest.fixture
def bundle_of(home: Path) -> Callable[[str], Bundle]:
    """The verified bundle of a name in the store."""
    return lambda name: open_bundle(name, home)


HEAD = ("--base", "efficientnet_lite0", "--head-only", "--precision", "float32")
"""The last layer of the network that needs no download."""


@dataclass
class Trained:
    """A last layer that was trained on the stripes, in a store of its own, as ``stripes``."""

    home: Path
    done: "subprocess.CompletedProcess[str]"


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """One for the tests that only look at it."""
    home = tmp_path_factory.mktemp("trained") / "home"
    return Trained(home, command(home)("train", data, "--name", "stripes", *HEAD))


def test_the_last_layer_alone_gives_a_bundle_that_answers(
    trained: Trained,
) -> None:
    home, done = trained.home, trained.done
    assert done.returncode == 0, done.stderr
    assert "40 pictures of 2 classes" in done.stderr
    assert "across/notes.txt" in done.stderr
    assert "features of the mirrored pictures" in done.stderr
    assert "millisight serve --model stripes" in done.stdout
    bundle = open_bundle("stripes", home)
    assert bundle.labels == ("across", "竖纹")
    training = bundle.manifest.training
    assert training is not None
    assert training.train_images + training.validation_images == 2 * PICTURES
    assert training.curves == ()
    assert bundle.report is not None
    with load("stripes", home=home) as classifier:
        for seed in range(5000, 5010):
            upright = seed % 2 == 0
            best = classifier.classify(stripes(seed, upright=upright)).predictions[0]
            assert best.label == ("竖纹" if upright else "across")
    assert not list((home / "training" / "stripes").glob(".*"))


def test_what_was_trained_is_compared_by_its_name_on_the_pictures_of_its_training(
    trained: Trained, tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    home = tmp_path / "home"
    shutil.copytree(trained.home, home)
    millisight = command(home)
    done = millisight(
        "compare", "stripes", "--engine", "torch_eager", "--threads", 1, "--batch", 1,
        "--rounds", 1, "--seconds", 0.01, "--output", tmp_path / "out",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "8 pictures that the training was validated with, labelled" in done.stdout
    body = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert "2 classes; weights: trained on" in body["model"]
    assert body["rows"][0]["accuracy"]["images"] == 8
    (home / "training" / "stripes" / "weights.pth").unlink()
    gone = millisight("compare", "stripes", "--output", tmp_path / "out")
    assert gone.returncode == 4
    assert "not in" in gone.stderr
    assert "--weights" in gone.stderr


def test_an_interrupted_run_goes_on_and_ends_as_if_nothing_had_happened(
    data: Path, millisight: Run, home: Path, bundle_of: Callable[[str], Bundle]
) -> None:
    network = ("--base", "none", "--architecture", "shufflenet_v2_x0_5")
    wanted = ("train", data, *network, "--epochs", "3", "--precision", "float32")
    whole = millisight(*wanted, "--name", "whole", "--json")
    assert whole.returncode == 0, whole.stderr
    assert json.loads(whole.stdout)["manifest"]["training"]["epochs"] == 3
    with subprocess.Popen(
        [sys.executable, "-m", "millisight", *map(str, wanted), "--name", "halves"],
        env=os.environ | {"MILLISIGHT_HOME": str(home)},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        seen = next(line for line in process.stderr if "epoch 1 of 3" in line)
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
    assert process.returncode == 130, seen + rest
    assert "Traceback" not in rest
    assert not (home / "bundles" / "halves").exists()
    again = millisight(*wanted, "--name", "halves")
    assert again.returncode == 0, again.stderr
    assert "Going on" in again.stderr
    assert "epoch 1 of 3" not in again.stderr
    one, two = bundle_of("whole").manifest, bundle_of("halves").manifest
    assert one.training is not None
    assert two.training is not None
    assert [epoch.epoch for epoch in two.training.curves] == [1, 2, 3]
    assert two.training.curves == one.training.curves
    assert two.files["model.bin"] == one.files["model.bin"]


def test_a_file_of_weights_for_other_classes_is_a_base_and_little_time_does_without_mirroring(
    data: Path, millisight: Run, bundle_of: Callable[[str], Bundle], weights_of: Callable[..., Path]
) -> None:
    file = weights_of("resnet18", 5)
    done = millisight(
        "train", data, "--name", "mine", "--base", file, "--head-only", "--minutes", 1,
        "--precision", "float32",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Computing features" in done.stderr
    assert "mirrored" not in done.stderr
    manifest = bundle_of("mine").manifest
    assert manifest.architecture == "resnet18"
    assert manifest.class_count == 2
    assert file.name in manifest.weights.source


def test_the_kept_weights_build_the_same_bundle_again(
    trained: Trained, millisight: Run, bundle_of: Callable[[str], Bundle]
) -> None:
    kept = trained.home / "training" / "stripes"
    built = millisight(
        "build", "efficientnet_lite0", "--weights", kept / "weights.pth",
        "--labels", kept / "labels.txt", "--name", "second", "--precision", "float32",
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    first, second = open_bundle("stripes", trained.home), bundle_of("second")
    assert first.labels == second.labels
    assert first.manifest.weights.sha256 == second.manifest.weights.sha256
    assert first.manifest.files["model.bin"] == second.manifest.files["model.bin"]
    # Up to the rim, which ImageNet's geometry cuts off.
    preprocess = second.manifest.preprocess
    assert (preprocess.resize, preprocess.crop) == (224, 224)
    assert preprocess == first.manifest.preprocess


def test_weights_that_cannot_be_had_are_told_with_what_there_is(
    data: Path, millisight: Run, home: Path
) -> None:
    done = millisight("train", data, "--name", "x", MILLISIGHT_WEIGHTS_MIRROR="http://127.0.0.1:9")
    assert done.returncode == 7
    assert "could not be downloaded" in done.stderr
    assert "--base FILE" in done.stderr
    assert "--base efficientnet_lite0" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (home / "bundles").exists()


def test_a_base_that_is_neither_model_nor_file(data: Path, millisight: Run) -> None:
    done = millisight("train", data, "--name", "x", "--base", "resnet81")
    assert done.returncode == 4
    assert "'resnet81'" in done.stderr
    assert "resnet18" in done.stderr


def test_a_dry_run_tells_what_is_there_and_writes_nothing(
    data: Path, millisight: Run, home: Path
) -> None:
    done = millisight("train", data, "--name", "x", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "40 pictures of 2 classes" in done.stderr
    assert done.stdout == ""
    done = millisight("train", data, "--name", "x", "--dry-run", "--json")
    assert len(json.loads(done.stdout)["classes"]) == 2
    assert not home.exists()


def test_one_class_is_refused_before_anything_is_done(
    data: Path, tmp_path: Path, millisight: Run, home: Path
) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "across").symlink_to(data / "across")
    done = millisight("train", tmp_path / "one", "--name", "x")
    assert done.returncode == 3
    assert "only one class" in done.stderr
    assert not home.exists()


def test_a_home_that_cannot_be_written_is_a_sentence(data: Path, millisight: Run) -> None:
    done = millisight(
        "train", data, "--name", "x", "--base", "none", MILLISIGHT_HOME="/dev/null/home"
    )
    assert done.returncode == 1
    assert "cannot be written" in done.stderr
    assert "MILLISIGHT_HOME" in done.stderr
    assert "Traceback" not in done.stderr


def test_no_space_is_a_sentence_and_nothing_is_lost(data: Path, home: Path) -> None:
    """A limit on the size of files stands for a disk that is full."""
    kept = home / "training" / "x" / "weights.pth"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"from before")
    done = subprocess.run(
        [sys.executable, "-m", "millisight", "train", data, "--name", "x", "--base", "none"],
        env=os.environ | {"MILLISIGHT_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20)),
    )
    assert done.returncode == 1
    assert "cannot be written" in done.stderr
    assert "Traceback" not in done.stderr
    assert kept.read_bytes() == b"from before"
    assert [entry.name for entry in kept.parent.iterdir()] == ["weights.pth"]


def test_evaluate_measures_what_the_manifest_says(
    data: Path, millisight: Run, tmp_path: Path, bundle_of: Callable[[str], Bundle]
) -> None:
    for side, chosen in {"train": range(4, PICTURES), "validation": range(4)}.items():
        for name in ("across", "竖纹"):
            folder = tmp_path / "sides" / side / name
            folder.mkdir(parents=True)
            for seed in chosen:
                (folder / f"{seed}.png").symlink_to(data / name / f"{seed}.png")
    done = millisight("train", tmp_path / "sides", "--name", "sides", *HEAD)
    assert done.returncode == 0, done.stderr
    measured = bundle_of("sides").manifest.measured.bundle
    assert measured is not None
    seen = millisight("evaluate", "sides", tmp_path / "sides" / "validation", "--json")
    assert json.loads(seen.stdout)["top1"] == measured.top1
