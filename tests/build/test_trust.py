"""What a build makes of labelled pictures: confidences, a threshold, and the report."""

import json
import re
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

from millisight.bundle import FILES, read_bundle
from tests.build.conftest import Run, normalised

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
    network = models.resnet18(num_classes=3).eval()
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


@pytest.fixture
def build(millisight: Run, case: Case) -> Run:
    """``millisight build resnet18`` with the shades and more arguments."""
    return lambda *arguments: millisight(
        "build", "resnet18", "--precision", "float32", "--name", "shades",
        "--weights", case.weights, "--labels", case.labels, *arguments,
    )  # fmt: skip


def made(done: "subprocess.CompletedProcess[str]", home: Path) -> tuple[dict[str, Any], str]:
    """The content of the report, and its page."""
    assert done.returncode == 0, done.stderr
    folder = home / "bundles" / "shades"
    read_bundle(folder)
    return json.loads((folder / "report.json").read_text(encoding="utf-8")), (
        folder / "report.html"
    ).read_text(encoding="utf-8")


def test_labelled_pictures_give_a_temperature_a_threshold_and_a_report(
    build: Run, millisight: Run, home: Path, case: Case
) -> None:
    done = build("--validation", case.validation, "--min-precision", 0.95)
    report, page = made(done, home)
    manifest = read_bundle(home / "bundles" / "shades").manifest
    confidence = manifest.confidence
    assert confidence is not None
    assert confidence.images == report["images"] == 120
    assert confidence.temperature > 1
    assert confidence.ece_after < confidence.ece_before
    assert confidence.threshold is not None
    assert confidence.precision is not None
    assert confidence.precision >= 0.95
    assert f"temperature {confidence.temperature}" in done.stdout
    assert f"uncertain below {confidence.threshold:.1%}" in done.stdout

    # What was measured while building is what its users will see.
    evaluated = json.loads(millisight("evaluate", "shades", case.validation, "--json").stdout)
    assert evaluated["top1"] == report["bundle"]["top1"]
    assert evaluated["uncertain"] == pytest.approx(100 - 100 * confidence.coverage, abs=0.01)
    assert evaluated["top1_when_certain"] == pytest.approx(100 * confidence.precision, abs=0.01)
    text = millisight("evaluate", "shades", case.validation).stdout
    assert f"uncertain about {evaluated['uncertain']:.2f} % of them" in text
    pictures = sorted(case.validation.glob("[12]_[0-9]*.png"))
    lines = millisight("classify", "--model", "shades", *pictures).stdout.splitlines()
    answers = millisight("classify", "--model", "shades", "--json", *pictures).stdout.splitlines()
    for line, answer in zip(lines, map(json.loads, answers), strict=True):
        unsure = answer["predictions"][0]["confidence"] < confidence.threshold
        assert answer["uncertain"] is unsure
        assert line.endswith("  (uncertain)") is unsure

    # The figures are of one making.
    assert sum(one["images"] for one in report["confusions"]) == round(
        120 * (1 - report["accuracy"]["value"])
    )
    assert report["accuracy"]["low"] < report["accuracy"]["value"] < report["accuracy"]["high"]
    assert [one["images"] for one in report["classes"]] == [40, 40, 40]
    assert sum(bin_["images"] for bin_ in report["after"]) == 120
    sure = [one["confidence"] for one in report["mistakes"]]
    assert sure == sorted(sure, reverse=True)
    assert sure
    assert page.count("data:image/webp;base64,") == 2 * len(sure)
    assert "不确定" in page


def test_names_of_classes_and_files_cannot_become_part_of_the_page(
    build: Run, home: Path, case: Case
) -> None:
    _, page = made(build("--validation", case.validation), home)
    text = unescape(re.sub(r"<[^>]*>", "", page))
    for label in LABELS:
        assert label in text
    assert "<script" not in page
    assert "<img src=x" not in page
    assert not re.search(r"<[a-z][^>]*\son[a-z]+\s*=", re.sub(r'"[^"]*"', '""', page))
    # Nothing is asked for from anywhere.
    assert not re.search(r"""(?:src|href)=["'](?!data:)""", page)
    assert "url(" not in page


def test_a_report_that_was_changed_is_noticed(
    build: Run, millisight: Run, home: Path, case: Case
) -> None:
    made(build("--validation", case.validation), home)
    page = home / "bundles" / "shades" / "report.html"
    page.write_text(page.read_text(encoding="utf-8").replace("Accuracy", "Perfection"))
    done = millisight("classify", "--model", "shades", next(case.validation.iterdir()))
    assert done.returncode == 5
    assert "report.html is damaged" in done.stderr


def test_without_labelled_pictures_there_is_nothing_to_report(build: Run, home: Path) -> None:
    assert build().returncode == 0
    bundle = read_bundle(home / "bundles" / "shades")
    assert bundle.report is None
    assert set(bundle.manifest.files) == set(FILES)
    assert bundle.manifest.confidence is None


def test_a_precision_that_is_not_reached_is_said_so(build: Run, home: Path, case: Case) -> None:
    done = build("--validation", case.validation, "--min-precision", 1)
    made(done, home)
    manifest = read_bundle(home / "bundles" / "shades").manifest
    if manifest.threshold is None:
        assert "no answer will be marked uncertain" in done.stdout
    else:
        assert manifest.confidence is not None
        assert manifest.confidence.precision == 1


def test_of_few_pictures_nothing_is_concluded(
    build: Run, home: Path, case: Case, tmp_path: Path
) -> None:
    few = tmp_path / "few"
    few.mkdir()
    for number in range(3):
        picture = case.validation / f"{number}_{number + 30}.png"
        (few / picture.name).write_bytes(picture.read_bytes())
    done = build("--validation", few, "--min-precision", 0.9)
    report, page = made(done, home)
    assert "too few labelled pictures" in done.stdout
    assert report["confidence"] is None
    assert "There are too few labelled pictures" in page
    assert all("few_labelled" in one["remarks"] for one in report["classes"])


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--min-precision", 0.95], 3, "there are no labelled pictures"),
        (["--min-precision", 0], 2, "--min-precision"),
        (["--min-precision", 1.5], 2, "--min-precision"),
        (["--min-precision", "nan", "--validation", "."], 2, "at most 1, not nan"),
    ],
)
def test_a_precision_that_cannot_be_meant_is_refused(
    build: Run, home: Path, case: Case, arguments: list[object], code: int, words: str
) -> None:
    done = build(*(case.validation if word == "." else word for word in arguments))
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(home.rglob("manifest.json"))
