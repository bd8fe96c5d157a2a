"""Softmax and top-k."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from millisight.errors import BadParameter
from millisight.predictions import softmax, top_indices, top_k

LABELS = ["cat", "dog", "eel", "fox"]

logit = st.floats(-1e4, 1e4, width=32)


@given(st.lists(logit, min_size=1, max_size=30))
def test_softmax_is_a_distribution_however_large_the_logits(values: list[float]) -> None:
    result = softmax(np.array(values, np.float32))
    assert np.isfinite(result).all()
    assert result.sum() == pytest.approx(1)
    assert (result >= 0).all()


def test_softmax_has_known_values() -> None:
    np.testing.assert_allclose(softmax(np.log(np.array([1, 3], np.float32))), [0.25, 0.75])


@given(st.lists(logit, min_size=4, max_size=4), st.integers(1, 6))
def test_the_best_classes_come_first(values: list[float], k: int) -> None:
    logits = np.array(values, np.float32)
    best = top_k(logits, LABELS, k)
    assert len(best) == min(k, 4)
    assert [one.label for one in best] == [LABELS[one.index] for one in best]
    confidences = [one.confidence for one in best]
    assert confidences == sorted(confidences, reverse=True)
    assert logits[best[0].index] == logits.max()


def test_equal_values_keep_the_order_of_the_classes() -> None:
    assert [one.label for one in top_k(np.zeros(4, np.float32), LABELS, 4)] == LABELS
    assert top_indices(np.array([1, 2, 2, 0], np.float32), 3).tolist() == [1, 2, 0]
    many = np.arange(1000, dtype=np.float32) % 2
    assert top_indices(many, 100).tolist() == list(range(1, 200, 2))


@pytest.mark.parametrize("k", [0, -1, 101])
def test_an_unreasonable_k_is_refused(k: int) -> None:
    with pytest.raises(BadParameter, match="between 1 and 100"):
        top_k(np.zeros(4, np.float32), LABELS, k)
