"""How far one network's answers are from another's, without labels."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from millisight.build.calibrate import Pixels
from millisight.engine import Engine, Logits, OpenVINOEngine
from millisight.manifest import Precision
from millisight.predictions import softmax
from millisight.runtime import GraphFiles

BATCH = 4
"""Pictures in one run of an engine that is compared."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Answers of a candidate beside those of a reference on the same pictures."""

    images: int
    agreement: float
    """Percent of pictures with the same first answer."""
    expected_drop: float
    """Points of top-1 accuracy that the other first answers cost, by the reference's own
    probabilities: a disagreement between two classes it holds equally likely costs nothing."""
    divergence: float
    """Mean Kullback-Leibler divergence of the candidate's probabilities from the reference's."""


def compare(reference: Logits, candidate: Logits) -> Comparison:
    """``candidate`` beside ``reference``, both of shape ``(n, classes)``."""
    rows = np.arange(len(reference))
    wanted, found = reference.argmax(axis=1), candidate.argmax(axis=1)
    likely, guessed = softmax(reference), softmax(candidate)
    # Probabilities that underflow to zero would make one picture decide everything.
    tiny = np.finfo(np.float32).tiny
    ratio = np.log(np.maximum(likely, tiny)) - np.log(np.maximum(guessed, tiny))
    return Comparison(
        images=len(rows),
        agreement=round(100 * float((wanted == found).mean()), 2),
        expected_drop=round(100 * float((likely[rows, wanted] - likely[rows, found]).mean()), 2),
        divergence=float((likely * ratio).sum(axis=1).mean()),
    )


def engine_for(graph: GraphFiles, precision: Precision) -> OpenVINOEngine:
    """An engine that takes what ``run_all`` gives it."""
    return OpenVINOEngine(graph, precision=precision, max_batch=BATCH)


def run_all(
    engine: Engine,
    pictures: Sequence[Pixels] | Pixels,
    advance: Callable[[float], None] = lambda _: None,
) -> Logits:
    """Logits ``(n, classes)`` of ``pictures``, a batch in each of the engine's lanes.

    ``advance`` is told how many more are done.
    """
    batches = (pictures[start : start + BATCH] for start in range(0, len(pictures), BATCH))
    parts = []
    with ThreadPoolExecutor(engine.lanes) as pool:
        for part in pool.map(lambda some: engine.infer(np.stack(some)), batches):
            parts.append(part)
            advance(len(part))
    return np.concatenate(parts)
