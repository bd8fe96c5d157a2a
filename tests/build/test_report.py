"""The report of a trained model: its classes, its curves, and room for many classes."""

from pathlib import Path

import numpy as np
import pytest

from millisight.build.confidence import measure_trust
from millisight.build.findings import Findings, find
from millisight.build.report import MATRIX_CLASSES, write_report
from millisight.build.verify import Answered
from millisight.bundle import read_bundle, starter_path
from millisight.manifest import Epoch, Manifest, Training
from tests.support import texture

CURVES = tuple(
    Epoch(
        phase="head" if number < 3 else "whole",
        epoch=number + 1 if number < 3 else number - 2,
        train_loss=2 / (number + 1),
        validation_loss=2.2 / (number + 1),
        validation_top1=60.0 + 4 * number,
    )
    for number in range(8)
)


def reported(folder: Path, labels: list[str], counts: list[int]) -> tuple[Findings, str]:
    """The findings and the page of a model that takes every fifth picture for its neighbour, and
    the last class always."""
    picture = folder / "picture.png"
    texture(300, 200).save(picture)
    classes = len(labels)
    truth = np.arange(20 * classes) % classes
    said = np.where((np.arange(len(truth)) // classes) % 5 == 0, (truth + 1) % classes, truth)
    said[truth == classes - 1] = 0
    logits = np.random.default_rng(1).normal(0, 0.5, (len(truth), classes)).astype(np.float32)
    logits[np.arange(len(truth)), said] += 5
    training = Training(
        base="resnet18 <b>",
        fingerprint="ab" * 32,
        class_counts=tuple(counts),
        train_images=sum(counts),
        validation_images=len(truth),
        seed=20,
        epochs=8,
        minutes=1.5,
        curves=CURVES,
    )
    update = {"class_count": classes, "training": training, "activation_map": None}
    manifest: Manifest = read_bundle(starter_path()).manifest.model_copy(update=update)
    answered = Answered([picture] * len(truth), truth, logits, logits)
    findings = find(manifest, tuple(labels), answered, measure_trust(logits, truth, 0.9))
    write_report(folder, findings, manifest, answered.paths)
    written = Findings.model_validate_json((folder / "report.json").read_bytes())
    assert written == findings
    return findings, (folder / "report.html").read_text(encoding="utf-8")


def test_it_tells_which_classes_lack_data_and_how_the_training_went(tmp_path: Path) -> None:
    labels = ["cat", "dog", "夹杂", "fox", "owl"]
    findings, page = reported(tmp_path, labels, [100, 100, 20, 100, 100])
    assert [one.remarks for one in findings.classes] == [
        [],
        [],
        ["few_trained"],
        [],
        ["low_recall"],
    ]
    last = findings.classes[-1]
    assert last.recall is not None
    assert (last.recall.value, last.recall.low) == (0, 0)
    assert findings.confusions[0].model_dump() == {"truth": 4, "answer": 0, "images": 20}
    assert findings.balanced_accuracy == pytest.approx(0.64)
    assert "Fewer than half as many training pictures" in page
    assert "<strong>夹杂</strong> (20)" in page
    assert "From resnet18 &lt;b&gt;, with 420 pictures (100 to validate), 8 epochs" in page
    assert page.count("<polyline") == 3
    assert page.count(">whole</text>") == 2
    # Without activation maps each mistake has one picture.
    assert page.count("data:image/webp;base64,") == len(findings.mistakes) == 12
    assert page.count('class="right"') == len(labels)


def test_confusions_of_many_classes_are_listed(tmp_path: Path) -> None:
    classes = MATRIX_CLASSES + 1
    _, page = reported(tmp_path, [f"class {n}" for n in range(classes)], [100] * classes)
    assert 'class="matrix"' not in page
    assert '<td class="word">class 0</td><td class="word">class 1</td><td>4</td>' in page
