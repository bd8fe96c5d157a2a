"""Shares of right answers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millisight.evaluation import accuracy

orders = st.lists(st.tuples(st.permutations(range(8)), st.integers(0, 7)), min_size=1, max_size=40)


def test_accuracy_counts_the_first_and_the_first_five() -> None:
    score = accuracy([[1, 2, 3, 4, 5, 6], [2, 1, 0], [6, 5, 4, 3, 2, 1]], [1, 0, 1])
    assert (score.images, score.top1, score.top5) == (3, 33.33, 66.67)


def test_the_sixth_answer_is_too_late() -> None:
    assert accuracy([[5, 4, 3, 2, 1, 0]], [1]).top5 == 100
    assert accuracy([[5, 4, 3, 2, 1, 0]], [0]).top5 == 0


@given(orders)
def test_the_first_five_are_right_at_least_as_often_as_the_first(
    pairs: list[tuple[list[int], int]],
) -> None:
    score = accuracy((answer for answer, _ in pairs), (right for _, right in pairs))
    assert 0 <= score.top1 <= score.top5 <= 100
    right_at_once = sum(answer.index(right) == 0 for answer, right in pairs)
    assert score.top1 == pytest.approx(100 * right_at_once / len(pairs), abs=0.01)


def test_answers_and_truth_must_be_as_many() -> None:
    with pytest.raises(ValueError, match="zip"):
        accuracy([[1], [2]], [1])
