"""What a build makes of labelled pictures: confidences, a threshold, and the report."""

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.linear_model import LogisticRegression
from torchvision import models

from millisight.bundle import read_bundle
from millisight.errors import BundleError
from tests.build.conftest import normalised
from tests.command import Run, command

NETWORK = "regnet_y_400mf"
"""A quarter of the work of ResNet-18; that a head can be fitted to, whatever its other weights."""

LABELS = ["<script>alert(1)</script>", "裂纹", 'a "quoted" & b']
HOSTILE = "0_<img src=x onerror=alert(1)>.png"


def shades(seed: int, count: int) -> list[tuple[int, Image.Image]]:
    """Pictures of one colour and noise, three classes in turn; neighbours overlap."""
    random = np.random.default_rng(seed)
    found = []
    for number in range(count):
        middle = 90 + 35 * (number % 3) + random.normal(0, 14)
        pixels = random.normal([middle, 120, 120], 12, (48, 48, 3)).clip(0, 255)
        found.append((number % 3, Image.fromarray(pixels.astype(np.uint8)).resize((256, 256))))
    return found


@dataclass
class Case:
    """Weights that know the shades a little, and others to measure them on."""

    weights: Path
    labels: Path
    validation: Path


@pytest.fixture(scope="session")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    folder = tmp_path_factory.mktemp("shades")
    torch.manual_seed(1)
    network = models.get_model(NETWORK, weights=None, num_classes=3).eval()
    head, network.fc = network.fc, torch.nn.Identity()
    truth, features = [], []
    for index, picture in shades(1, 60):
        truth.append(index)
        with torch.inference_mode():
            features.append(network(normalised(np.asarray(picture.resize((224, 224)))))[0].numpy())
    # Far surer of itself than it is right.
    fitted = LogisticRegression(C=1e4, max_iter=5000).fit(np.array(features), truth)
    head.weight.data = torch.from_numpy(fitted.coef_).float()
    head.bias.data = torch.from_numpy(fitted.intercept_).float()
    network.fc = head
    torch.save(network.state_dict(), folder / "shades.pth")
    (folder / "labels.json").write_text(json.dumps(LABELS), encoding="utf-8")
    validation = folder / "validation"
    validation.mkdir()
    for number, (index, picture) in enumerate(shades(2, 120)):
        picture.save(validation / (HOSTILE if number == 0 else f"{index}_{number}.png"))
    (validation / "1_broken.png").write_bytes(b"broken")
    return Case(folder / "shades.pth", folder / "labels.json", validation)


def build(millisight: Run, case: Case, *arguments: object) -> "subprocess.CompletedProcess[str]":
    """``millisight build`` with the shades and more arguments."""
    return millisight(
        "build", NETWORK, "--precision", "float32", "--name", "shades",
        "--weights", case.weights, "--labels", case.labels, *arguments,
    )  # fmt: skip


@dataclass
class Built:
    """What one build made and printed."""

    home: Path
    printed: str

    @property
    def folder(self) -> Path:
        return self.home / "bundles" / "shades"

    @property
    def report(self) -> dict[str, Any]:
        report: dict[str, Any] = json.loads((self.folder / "report.json").read_text("utf-8"))
        return report

    @property
    def page(self) -> str:
        return (self.folder / "report.html").read_text("utf-8")


@pytest.fixture(scope="session")
def built(case: Case, tmp_path_factory: pytest.TempPathFactory) -> Built:
    home = tmp_path_factory.mktemp("home")
    arguments = ("--validation", case.validation, "--min-precision", 0.95)
    done = build(command(home), case, *arguments)
    assert done.returncode == 0, done.stderr
    return Built(home, done.stdout)


def test_labelled_pictures_give_a_temperature_and_a_threshold(built: Built) -> None:
    confidence = read_bundle(built.folder).manifest.confidence
    assert confidence is not None
    assert confidence.images == built.report["images"] == 120
    assert confidence.temperature > 1
    assert confidence.ece_after < confidence.ece_before
    assert confidence.threshold is not None
    assert confidence.precision is not None
    assert confidence.precision >= 0.95
    assert f"temperature {confidence.temperature}" in built.printed
    assert f"uncertain below {confidence.threshold:.1%}" in built.printed


def test_what_was_measured_while_building_is_what_its_users_see(built: Built, case: Case) -> None:
    run = command(built.home)
    confidence = read_bundle(built.folder).manifest.confidence
    assert confidence is not None
    evaluated = json.loads(run("evaluate", "shades", case.validation, "--json").stdout)
    assert evaluated["top1"] == built.report["bundle"]["top1"]
    assert evaluated["uncertain"] == pytest.approx(100 - 100 * confidence.coverage, abs=0.01)
    assert evaluated["top1_when_certain"] == pytest.approx(100 * confidence.precision, abs=0.01)
    text = run("evaluate", "shades", case.validation).stdout
    assert f"uncertain about {evaluated['uncertain']:.2f} % of them" in text
    pictures = sorted(case.validation.glob("[12]_[0-9]*.png"))
    lines = run("classify", "--model", "shades", *pictures).stdout.splitlines()
    answers = run("classify", "--model", "shades", "--json", *pictures).stdout.splitlines()
    for line, answer in zip(lines, map(json.loads, answers), strict=True):
        unsure = answer["predictions"][0]["confidence"] < confidence.threshold
        assert answer["uncertain"] is unsure
        assert line.endswith("  (uncertain)") is unsure


def test_the_figures_of_a_report_fit_together(built: Built) -> None:
    report = built.report
    wrong = sum(one["images"] for one in report["confusions"])
    share = report["accuracy"]
    assert wrong == round(120 * (1 - share["value"]))
    assert share["low"] < share["value"] < share["high"]
    assert [one["images"] for one in report["classes"]] == [40, 40, 40]
    assert sum(one["images"] for one in report["after"]) == 120
    sure = [one["confidence"] for one in report["mistakes"]]
    assert sure
    assert sure == sorted(sure, reverse=True)
    assert built.page.count("data:image/webp;base64,") == 2 * len(sure)
    assert "不确定" in built.page


def test_names_of_classes_and_files_cannot_become_part_of_the_page(built: Built) -> None:
    page = built.page
    text = unescape(re.sub(r"<[^>]*>", "", page))
    for label in LABELS:
        assert label in text
    assert "<script" not in page
    assert "<img src=x" not in page
    assert not re.search(r"<[a-z][^>]*\son[a-z]+\s*=", re.sub(r'"[^"]*"', '""', page))
    # Nothing is asked for from anywhere.
    assert not re.search(r"""(?:src|href)=["'](?!data:)""", page)
    assert "url(" not in page


def test_a_report_that_was_changed_is_noticed(built: Built, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(built.folder, copy)
    assert read_bundle(copy).report == built.page.encode()
    for name in ("report.html", "report.json"):
        (copy / name).write_bytes((built.folder / name).read_bytes() + b" ")
        with pytest.raises(BundleError, match=f"{name} is damaged"):
            read_bundle(copy)
        shutil.copy(built.folder / name, copy)


@pytest.mark.long
def test_of_few_pictures_nothing_is_concluded(
    millisight: Run, home: Path, case: Case, tmp_path: Path
) -> None:
    few = tmp_path / "few"
    few.mkdir()
    for number in range(3):
        picture = case.validation / f"{number}_{number + 30}.png"
        (few / picture.name).write_bytes(picture.read_bytes())
    done = build(millisight, case, "--validation", few, "--min-precision", 0.9)
    assert done.returncode == 0, done.stderr
    built = Built(home, done.stdout)
    assert "too few labelled pictures" in built.printed
    assert built.report["confidence"] is None
    assert "There are too few labelled pictures" in built.page
    assert all("few_labelled" in one["remarks"] for one in built.report["classes"])


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--min-precision", 0.95], 3, "there are no labelled pictures"),
        (["--min-precision", 0], 2, "--min-precision"),
        (["--min-precision", 1.5], 2, "--min-precision"),
    ],
)
def test_a_precision_that_cannot_be_meant_is_refused(
    millisight: Run, home: Path, case: Case, arguments: list[object], code: int, words: str
) -> None:
    done = build(millisight, case, *arguments)
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(home.rglob("manifest.json"))
