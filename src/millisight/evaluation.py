"""How often answers are right, and how far their confidences can be trusted."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from millisight.manifest import Accuracy

BINS = 15
"""As in Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, arXiv:1706.04599."""

Confidences = NDArray[np.float64]
"""Shape ``(n,)``: those of the first answers, 0…1."""
Right = NDArray[np.bool_]
"""Shape ``(n,)``: whether the first answers are right."""


def accuracy(answers: Iterable[Sequence[int]], truth: Iterable[int]) -> Accuracy:
    """Top-1 and top-5 in percent from class indices, best first (at least five where there are
    as many classes), and the right index of each picture."""
    images = top1 = top5 = 0
    for answer, right in zip(answers, truth, strict=True):
        images += 1
        top1 += answer[0] == right
        top5 += right in answer[:5]
    return Accuracy(
        images=images,
        top1=round(100 * top1 / images, 2),
        top5=round(100 * top5 / images, 2),
    )


@dataclass(frozen=True, slots=True)
class Bin:
    """The answers whose confidence lies between two bounds; ``confidence`` is their mean."""

    images: int
    confidence: float
    accuracy: float


def reliability(confidences: Confidences, right: Right) -> list[Bin]:
    """The answers in ``BINS`` bins of equal width, those without any left out."""
    # Each holds its upper bound, as in the paper.
    places = np.ceil(confidences * BINS).clip(1, BINS)
    return [
        Bin(int(here.sum()), float(confidences[here].mean()), float(right[here].mean()))
        for place in range(1, BINS + 1)
        if (here := places == place).any()
    ]


def calibration_error(confidences: Confidences, right: Right) -> float:
    """The expected calibration error: how far confidence and share of right answers are apart in
    each bin of ``reliability``, on average over the pictures."""
    bins = reliability(confidences, right)
    return sum(one.images * abs(one.accuracy - one.confidence) for one in bins) / len(right)


@dataclass(frozen=True, slots=True)
class Certainty:
    """What a threshold does, in percent."""

    uncertain: float
    """Share of the answers that are below it."""
    top1_when_certain: float | None
    """Share of right ones among the others; ``None`` where there are none."""


def certainty(uncertain: Right, right: Right) -> Certainty:
    """What is right where the answers are not ``uncertain``, which has the shape of ``right``."""
    certain = right[~uncertain]
    return Certainty(
        uncertain=round(100 * float(uncertain.mean()), 2),
        top1_when_certain=round(100 * float(certain.mean()), 2) if certain.size else None,
    )
