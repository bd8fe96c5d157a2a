"""Logits to labelled predictions: softmax and top-k. Pure functions."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from millisight.answers import Prediction
from millisight.errors import BadParameter

MAX_TOP_K = 100
"""The most predictions one answer may carry."""

# Measured with tracemalloc: an answer's place in a cache, and its array but for what is in it.
_SCORES_BYTES = 400


@dataclass(frozen=True, slots=True)
class Scores:
    """What the network says of every class, for one picture."""

    confidences: NDArray[np.float32]
    """Shape ``(classes,)``: softmax over all classes, 0…1, at the temperature of the bundle."""

    def best(self, labels: Sequence[str], k: int) -> list[Prediction]:
        """The ``k`` most confident classes, best first; fewer where there are fewer."""
        return [
            Prediction(label=labels[index], confidence=float(self.confidences[index]), index=index)
            for index in top_indices(self.confidences, k).tolist()
        ]

    def size_bytes(self) -> int:
        """Memory that this takes, with its place in a cache."""
        return _SCORES_BYTES + self.confidences.nbytes


def softmax(logits: NDArray[np.float32], temperature: float = 1.0) -> NDArray[np.float64]:
    """Probabilities of ``logits`` ÷ ``temperature`` along the last axis, same shape as ``logits``;
    computed in float64.

    The maximum is subtracted first, which leaves the result unchanged and keeps ``exp`` finite.
    """
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    exponentials = np.exp(shifted / temperature)
    result: NDArray[np.float64] = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return result


def top_indices(logits: NDArray[np.float32], k: int) -> NDArray[np.intp]:
    """Indices of the ``k`` largest of ``logits``, shape ``(classes,)``, best first.

    Equal values keep the order of the classes, so an answer never depends on the sorting method.
    """
    return np.argsort(-logits, kind="stable")[:k]


def check_top_k(k: int) -> None:
    """Raise ``BadParameter`` unless ``1 <= k <= MAX_TOP_K``."""
    if not 1 <= k <= MAX_TOP_K:
        raise BadParameter(f"top_k must be between 1 and {MAX_TOP_K}, not {k}.")


def top_k(
    logits: NDArray[np.float32], labels: Sequence[str], k: int, temperature: float = 1.0
) -> list[Prediction]:
    """The ``k`` most confident classes of one picture, best first.

    ``logits`` has shape ``(classes,)``. Fewer than ``k`` are returned where there are fewer
    classes. Raises ``BadParameter`` unless ``1 <= k <= MAX_TOP_K``.
    """
    check_top_k(k)
    return of_classes(logits, labels, top_indices(logits, k).tolist(), temperature)


def of_classes(
    logits: NDArray[np.float32],
    labels: Sequence[str],
    indices: Sequence[int],
    temperature: float = 1.0,
) -> list[Prediction]:
    """What ``logits``, shape ``(classes,)``, say of the classes ``indices``, in that order."""
    confidences = softmax(logits, temperature)[list(indices)]
    return [
        Prediction(label=labels[index], confidence=confidence, index=index)
        for index, confidence in zip(indices, confidences.tolist(), strict=True)
    ]
