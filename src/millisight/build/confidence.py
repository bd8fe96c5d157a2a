"""How sure a bundle may be: one temperature, and the confidence below which it is uncertain."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from sklearn.model_selection import KFold

from millisight.build.calibrate import SEED
from millisight.engine import Logits
from millisight.evaluation import Confidences, Right, calibration_error
from millisight.manifest import Confidence
from millisight.predictions import softmax

MIN_PICTURES = 20
"""Of fewer labelled pictures nothing is concluded, and no threshold rests upon fewer."""

_OTHERS = (0.9, 0.95, 0.98, 0.99)
_FOLDS = 5
_DRAWS = 200
_LEAST, _GREATEST = 0.05, 20.0

Truth = NDArray[np.int64]
"""Shape ``(n,)``: the class index of each picture."""


class Cut(BaseModel):
    """A threshold, and the shares, 0…1, of right answers and of pictures from it up."""

    min_precision: float
    threshold: float
    precision: float
    coverage: float


@dataclass(frozen=True, slots=True)
class Trust:
    """A bundle's confidence, and what shows it."""

    figures: Confidence
    scaled: Confidences
    """Of the first answer to each picture, by a temperature that was fitted without it."""
    cuts: list[Cut]
    """What other precisions would cost, those left out that are not reached."""


def measure_trust(logits: Logits, truth: Truth, min_precision: float | None) -> Trust | None:
    """What ``logits``, ``(n, classes)``, of a bundle say of its confidence; ``None`` where there
    are fewer than ``MIN_PICTURES``.

    ``min_precision``, 0…1, is the share of right answers wanted of what is not uncertain.
    """
    if len(truth) < MIN_PICTURES:
        return None
    temperature = fit_temperature(logits, truth)
    right = logits.argmax(axis=1) == truth
    confidences = _confidences(logits, temperature)
    scaled = _cross_fitted(logits, truth)
    chosen = None
    if min_precision is not None:
        chosen = _cut(confidences, right, min_precision)
    figures = Confidence(
        images=len(truth),
        temperature=temperature,
        ece_before=round(calibration_error(_confidences(logits, 1.0), right), 4),
        ece_after=round(calibration_error(scaled, right), 4),
        ece_by_chance=round(_by_chance(scaled), 4),
        min_precision=min_precision,
        threshold=chosen.threshold if chosen else None,
        precision=chosen.precision if chosen else None,
        coverage=chosen.coverage if chosen else None,
    )
    cuts = [_cut(confidences, right, wanted) for wanted in _OTHERS]
    return Trust(figures, scaled, [cut for cut in cuts if cut is not None])


def fit_temperature(logits: Logits, truth: Truth) -> float:
    """The temperature at which ``logits`` have the least negative log-likelihood (Guo et al.).

    As Platt (1999) proposes for two classes, the targets are not quite certain: one answer more
    than was seen counts as wrong. Else a few hundred pictures without an error would make a
    network boundlessly sure.
    """
    unsure = 1 / (len(truth) + 2)
    rows = np.arange(len(truth))
    others = max(1, logits.shape[1] - 1)

    def loss(log_temperature: float) -> float:
        likely = log_softmax(logits / np.exp(log_temperature), axis=1)
        of_truth = likely[rows, truth]
        of_others = (likely.sum(axis=1) - of_truth) / others
        return float(-((1 - unsure) * of_truth + unsure * of_others).mean())

    found = minimize_scalar(loss, bounds=np.log([_LEAST, _GREATEST]), method="bounded")
    return round(float(np.exp(found.x)), 4)


def _confidences(logits: Logits, temperature: float) -> Confidences:
    best: Confidences = softmax(logits, temperature).max(axis=1)
    return best


def _cross_fitted(logits: Logits, truth: Truth) -> Confidences:
    """The confidence of each picture, by a temperature that was fitted without it."""
    confidences = np.empty(len(truth))
    for fitted, left_out in KFold(_FOLDS, shuffle=True, random_state=SEED).split(logits):
        temperature = fit_temperature(logits[fitted], truth[fitted])
        confidences[left_out] = _confidences(logits[left_out], temperature)
    return confidences


def _by_chance(confidences: Confidences) -> float:
    """The mean calibration error of answers that are right exactly as often as they say
    (Bröcker and Smith, "Increasing the Reliability of Reliability Diagrams", 2007)."""
    random = np.random.default_rng(SEED)
    draws = random.random((_DRAWS, len(confidences))) < confidences
    return float(np.mean([calibration_error(confidences, right) for right in draws]))


def _cut(confidences: Confidences, right: Right, min_precision: float) -> Cut | None:
    """At the least confidence from which up the share of right answers is ``min_precision``."""
    # Rounded down as far as answers are rounded, so that the picture it is taken from passes.
    for threshold in np.unique(np.floor(confidences * 1e6) / 1e6):
        certain = confidences >= threshold
        if certain.sum() < MIN_PICTURES:
            break
        precision = float(right[certain].mean())
        if precision >= min_precision:
            return Cut(
                min_precision=min_precision,
                threshold=float(threshold),
                precision=round(precision, 4),
                coverage=round(float(certain.mean()), 4),
            )
    return None
