"""One temperature and one threshold, found where the truth is known."""

import numpy as np
import pytest

from millisight.build.confidence import MIN_PICTURES, Truth, fit_temperature, measure_trust
from millisight.engine import Logits
from millisight.predictions import softmax


def drawn(count: int, temperature: float, seed: int = 1) -> tuple[Logits, Truth]:
    """Logits that are exactly right at ``temperature``, and truths drawn as they then say."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 3, (count, 6)).astype(np.float32)
    chances = softmax(logits).cumsum(axis=1)
    truth = (random.random((count, 1)) > chances).sum(axis=1).clip(max=5)
    return (logits * temperature).astype(np.float32), truth


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_the_temperature_that_makes_confidences_true_is_found(temperature: float) -> None:
    logits, truth = drawn(3000, temperature)
    assert fit_temperature(logits, truth) == pytest.approx(temperature, rel=0.08)
    trust = measure_trust(logits, truth, None)
    assert trust is not None
    assert trust.figures.ece_after < 0.04
    assert trust.figures.ece_after < 2 * trust.figures.ece_by_chance
    if temperature != 1:
        assert trust.figures.ece_before > 0.1


def test_few_pictures_without_an_error_do_not_make_it_boundlessly_sure() -> None:
    random = np.random.default_rng(2)
    truth = random.integers(0, 4, 100)
    logits = random.normal(0, 1, (100, 4)).astype(np.float32)
    logits[np.arange(100), truth] += 8
    temperature = fit_temperature(logits, truth)
    confidences = softmax(logits, temperature).max(axis=1)
    assert 0.97 < confidences.mean() < 0.9999


def test_the_threshold_is_the_least_one_that_keeps_the_precision() -> None:
    logits, truth = drawn(400, 1.0)
    trust = measure_trust(logits, truth, 0.9)
    assert trust is not None
    figures = trust.figures
    assert figures.threshold is not None
    confidences = softmax(logits, figures.temperature).max(axis=1)
    right = logits.argmax(axis=1) == truth
    certain = confidences >= figures.threshold
    assert right[certain].mean() >= 0.9
    assert figures.coverage == pytest.approx(certain.mean(), abs=1e-4)
    for lower in np.unique(confidences[confidences < figures.threshold - 1e-6]):
        assert right[confidences >= lower].mean() < 0.9
    wanted = [cut.min_precision for cut in trust.cuts]
    assert wanted == sorted(wanted)
    assert [cut.coverage for cut in trust.cuts] == sorted(
        (cut.coverage for cut in trust.cuts), reverse=True
    )


def test_a_precision_that_no_twenty_pictures_show_is_not_promised() -> None:
    logits, truth = drawn(300, 1.0)
    trust = measure_trust(logits, (truth + 1) % 6, 0.9)
    assert trust is not None
    assert (trust.figures.threshold, trust.figures.min_precision) == (None, 0.9)
    assert measure_trust(logits[: MIN_PICTURES - 1], truth[: MIN_PICTURES - 1], 0.9) is None
