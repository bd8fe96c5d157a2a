"""The last layer alone: features of the frozen body computed once, then logistic regression."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedShuffleSplit
from sklearn.preprocessing import StandardScaler
from torch import nn

from millisight.activation import embedding_size, with_embedding
from millisight.build.agreement import BATCH, run_all
from millisight.build.checkpoint import last_layer
from millisight.build.export import ov, to_openvino
from millisight.build.steps import Step
from millisight.engine import OpenVINOEngine
from millisight.runtime import read_graph
from millisight.train.augment import Batches
from millisight.train.base import Base
from millisight.train.loop import Score, score_of

_STRENGTHS = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
"""Inverse regularisation strengths that are tried, over standardised features."""
_HELD_BACK = 0.2
_ITERATIONS = 300
_ROUGHLY = 1e-3
"""Largest gradient of the mean loss at which a strength is known well enough to be compared:
losses move in the third digit, in a quarter of the time."""
_OF_PENALTY = 0.05
"""The same as a part of what the penalty weighs, beside the mean loss."""
_MIRRORED = 1.5
"""Time that mirrored pictures take, and to fit to them too, as a multiple of what the features of
the others took."""

Features = NDArray[np.float32]


def fit_head(
    base: Base,
    train: Batches,
    validation: Batches,
    weights: Sequence[float],
    scratch: Path,
    *,
    seed: int,
    left: Callable[[], float],
    step: Step,
) -> Score | None:
    """Fit the last layer of ``base`` to the pictures, on features of the layers before it.

    The pictures count mirrored, too, if ``left``, the seconds there are still, allow for that;
    ``weights`` says how much each class counts. ``scratch`` is a folder for what is needed
    meanwhile. Returns what the network then does on the pictures of ``validation``. Where it does
    not end in a linear layer nothing is changed, and nothing returned.
    """
    graph = to_openvino(base.module.eval(), base.preprocess)
    layer = base.module.get_submodule(last_layer(base.module))
    if embedding_size(graph) is None or not isinstance(layer, nn.Linear):
        return None
    file = scratch / "body.xml"
    ov.save_model(graph, file, compress_to_fp16=False)
    engine = OpenVINOEngine(
        read_graph(file), precision="float32", max_batch=BATCH, change=with_embedding
    )
    views = _views(engine, train, left, step)
    with step("Fitting the last layer"):
        classes = train.classes.numpy()
        scaler = StandardScaler().fit(np.concatenate(views))
        scaled = [scaler.transform(view) for view in views]
        counts = np.asarray(weights)[classes]
        strength = _choose(scaled[0], classes, counts, seed)
        many = len(scaled)
        # Losses are added up, so that each view of a picture loosens the reins as another would.
        each = strength / many
        model = LogisticRegression(C=each, max_iter=_ITERATIONS)
        model.fit(np.concatenate(scaled), np.tile(classes, many), np.tile(counts, many))
        _store(model, scaler, layer)
    seen = _features(engine, validation, step, "the pictures to validate with")
    with torch.inference_mode():
        return score_of(layer(torch.from_numpy(seen)), validation.classes)


def _views(
    engine: OpenVINOEngine, train: Batches, left: Callable[[], float], step: Step
) -> list[Features]:
    """Features of the pictures and, if there is time, of the same mirrored."""
    began = time.monotonic()
    plain = _features(engine, train, step, "the pictures")
    if left() < _MIRRORED * (time.monotonic() - began):
        return [plain]
    return [plain, _features(engine, train, step, "the mirrored pictures", mirrored=True)]


def _features(
    engine: OpenVINOEngine, pictures: Batches, step: Step, subject: str, *, mirrored: bool = False
) -> Features:
    """What the last layer is given, ``(n, features)``, in the order of the pictures, which the
    user is told of as ``subject``."""
    pixels = pictures.middle[:, :, ::-1] if mirrored else pictures.middle
    with step(f"Computing features of {subject}", total=len(pixels)) as bar:
        return run_all(engine, pixels, bar.advance)


def _choose(
    features: Features, classes: NDArray[np.int64], counts: NDArray[np.float64], seed: int
) -> float:
    """The strength that does best on a fifth of the training pictures, fitted to the others."""
    split = StratifiedShuffleSplit(1, test_size=_HELD_BACK, random_state=seed)
    if min(np.bincount(classes)) < 2 or _HELD_BACK * len(classes) < len(set(classes)):
        return _STRENGTHS[1]
    fitted, held_back = next(split.split(classes, classes))
    # Each begins where the one before has ended.
    model = LogisticRegression(max_iter=_ITERATIONS, warm_start=True)
    losses = []
    for strength in _STRENGTHS:
        # Less for many pictures, whose mean loss another strength hardly changes at first.
        gradient = min(_ROUGHLY, _OF_PENALTY / (strength * len(fitted)))
        model.set_params(C=strength, tol=gradient)
        model.fit(features[fitted], classes[fitted], counts[fitted])
        likely = model.predict_proba(features[held_back])
        losses.append(log_loss(classes[held_back], likely, labels=model.classes_))
    return _STRENGTHS[int(np.argmin(losses))]


def _store(model: LogisticRegression, scaler: StandardScaler, layer: nn.Linear) -> None:
    """Write what ``model`` does to standardised features into ``layer``, which takes raw ones."""
    coefficients, intercepts = model.coef_, model.intercept_
    if len(coefficients) == 1:
        # Of two classes scikit-learn keeps the difference alone.
        coefficients = np.concatenate([-coefficients / 2, coefficients / 2])
        intercepts = np.concatenate([-intercepts / 2, intercepts / 2])
    rows = coefficients / scaler.scale_
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(rows))
        layer.bias.copy_(torch.from_numpy(intercepts - rows @ scaler.mean_))
