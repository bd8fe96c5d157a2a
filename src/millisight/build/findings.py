"""What labelled pictures say of a bundle: the content of ``report.json``, and of the page."""

import os
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix, multilabel_confusion_matrix

from millisight.build.confidence import Cut, Trust
from millisight.build.verify import Answered
from millisight.evaluation import Bin, reliability
from millisight.manifest import Accuracy, Confidence, Manifest, Training
from millisight.predictions import softmax

FEW = 10
"""With fewer labelled pictures nothing is known of a class."""

MISTAKES = 12
"""As many wrong answers are listed, at most."""

Remark = Literal["few_trained", "few_labelled", "low_recall"]
"""It has less than half as many training pictures as a class has on average; it has fewer than
``FEW`` labelled ones; it is found less often than the classes on average, beyond chance."""


class Share(BaseModel):
    """A share of pictures, 0…1, and its Wilson interval at 95 %."""

    value: float
    low: float
    high: float


class ClassFigures(BaseModel):
    """How well one class is told from the others."""

    label: str
    trained: int | None
    """Training pictures, where that is known."""
    images: int
    """Labelled pictures."""
    precision: Share | None
    """Right ones of the answers that name it; null where none does."""
    recall: Share | None
    """Right ones of its pictures; null where there are none."""
    remarks: list[Remark]


class Confusion(BaseModel):
    """How many pictures of the class ``truth`` were taken for ``answer``; both are indices."""

    truth: int
    answer: int
    images: int


class Mistake(BaseModel):
    """A wrong answer; ``picture`` counts the labelled pictures that can be read, from 0."""

    picture: int
    file: str
    truth: int
    answer: int
    confidence: float
    confidence_in_truth: float


class Findings(BaseModel):
    """All that is reported."""

    name: str
    images: int
    accuracy: Share | None
    balanced_accuracy: float
    """The mean recall of the classes that have labelled pictures."""
    bundle: Accuracy
    float32: Accuracy
    gained: int
    """Pictures that the bundle gets right and float32 does not."""
    lost: int
    classes: list[ClassFigures]
    confusions: list[Confusion]
    """Wrong answers, most frequent first."""
    confidence: Confidence | None
    certain: Share | None
    """Right ones of the answers that are not uncertain, where there is a threshold."""
    cuts: list[Cut]
    before: list[Bin]
    """The reliability of confidences at temperature 1; then, if there are enough pictures to
    say, as scaled."""
    after: list[Bin]
    mistakes: list[Mistake]
    """The wrong answers that the bundle is surest of, most confident first."""
    training: Training | None


def find(
    manifest: Manifest, labels: tuple[str, ...], answered: Answered, trust: Trust | None
) -> Findings:
    """What ``answered`` and ``trust`` show of the bundle that ``manifest`` describes."""
    truth, logits = answered.truth, answered.bundle
    best = logits.argmax(axis=1)
    right = best == truth
    reference_right = answered.float32.argmax(axis=1) == truth
    classes = _classes(labels, truth, best, manifest.training)
    recalls = [one.recall.value for one in classes if one.recall]
    figures = trust.figures if trust else None
    return Findings(
        name=manifest.name,
        images=len(truth),
        accuracy=_share(right.sum(), len(right)),
        balanced_accuracy=round(float(np.mean(recalls)), 4),
        bundle=answered.accuracy(logits),
        float32=answered.accuracy(answered.float32),
        gained=int((right & ~reference_right).sum()),
        lost=int((reference_right & ~right).sum()),
        classes=classes,
        confusions=_confusions(truth, best),
        confidence=figures,
        certain=_certain(figures),
        cuts=trust.cuts if trust else [],
        before=reliability(softmax(logits).max(axis=1), right),
        after=reliability(trust.scaled, right) if trust else [],
        mistakes=_mistakes(answered, manifest.temperature),
        training=manifest.training,
    )


def _share(count: int | np.int64, total: int | np.int64) -> Share | None:
    if not total:
        return None
    interval = binomtest(int(count), int(total)).proportion_ci(0.95, "wilson")
    return Share(
        value=round(count / total, 4),
        low=round(float(interval.low), 4),
        high=round(float(interval.high), 4),
    )


def _certain(figures: Confidence | None) -> Share | None:
    if figures is None or figures.precision is None or figures.coverage is None:
        return None
    certain = round(figures.coverage * figures.images)
    return _share(round(figures.precision * certain), certain)


def _classes(
    labels: tuple[str, ...],
    truth: NDArray[np.int64],
    best: NDArray[np.int64],
    training: Training | None,
) -> list[ClassFigures]:
    matrices = multilabel_confusion_matrix(truth, best, labels=range(len(labels)))
    hits, misses, false_alarms = matrices[:, 1, 1], matrices[:, 1, 0], matrices[:, 0, 1]
    images = hits + misses
    average = float((hits[images > 0] / images[images > 0]).mean())
    found = []
    for index, label in enumerate(labels):
        trained = training.class_counts[index] if training else None
        recall = _share(hits[index], images[index])
        remarks: list[Remark] = []
        if training and training.class_counts[index] < training.train_images / len(labels) / 2:
            remarks.append("few_trained")
        if images[index] < FEW:
            remarks.append("few_labelled")
        elif recall and recall.high < average:
            remarks.append("low_recall")
        figures = ClassFigures(
            label=label,
            trained=trained,
            images=images[index],
            precision=_share(hits[index], hits[index] + false_alarms[index]),
            recall=recall,
            remarks=remarks,
        )
        found.append(figures)
    return found


def _confusions(truth: NDArray[np.int64], best: NDArray[np.int64]) -> list[Confusion]:
    seen = np.union1d(truth, best)
    matrix = confusion_matrix(truth, best, labels=seen)
    np.fill_diagonal(matrix, 0)
    found = [
        Confusion(truth=int(seen[row]), answer=int(seen[column]), images=int(matrix[row, column]))
        for row, column in np.argwhere(matrix)
    ]
    return sorted(found, key=lambda one: -one.images)


def _mistakes(answered: Answered, temperature: float) -> list[Mistake]:
    likely = softmax(answered.bundle, temperature)
    best = likely.argmax(axis=1)
    wrong = np.flatnonzero(best != answered.truth)
    surest = wrong[np.argsort(-likely[wrong, best[wrong]], kind="stable")][:MISTAKES]
    return [
        Mistake(
            picture=int(one),
            # Not every name of a file is text.
            file=os.fsencode("/".join(answered.paths[one].parts[-2:])).decode(errors="replace"),
            truth=int(answered.truth[one]),
            answer=int(best[one]),
            confidence=round(float(likely[one, best[one]]), 6),
            confidence_in_truth=round(float(likely[one, answered.truth[one]]), 6),
        )
        for one in surest
    ]
