"""Dividing: every class on both sides, no group on both, always the same."""

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millisight.train.split import LEAST_TRAIN, LEAST_VALIDATION, SHARE, divide, split, too_few

LEAST = LEAST_TRAIN + LEAST_VALIDATION

counts = st.lists(st.integers(LEAST, 60), min_size=2, max_size=5)
seeds = st.integers(0, 5)


def classes_of(sizes: list[int]) -> list[int]:
    return [number for number, size in enumerate(sizes) for _ in range(size)]


def keys_of(classes: list[int]) -> list[str]:
    return [f"{index:064x}" for index in range(len(classes))]


@st.composite
def grouped(draw: st.DrawFn) -> tuple[list[int], list[list[int]]]:
    """Classes of pictures, and disjoint groups of two and more."""
    classes = classes_of(draw(counts))
    order = draw(st.permutations(range(len(classes))))
    sizes = draw(st.lists(st.integers(2, 12), max_size=8))
    groups, start = [], 0
    for size in sizes:
        groups.append(sorted(order[start : start + size]))
        start += size
    return classes, [group for group in groups if len(group) > 1]


@given(counts, seeds)
def test_each_class_gives_its_share(sizes: list[int], seed: int) -> None:
    classes = classes_of(sizes)
    validation = split(classes, keys_of(classes), [], seed=seed)
    validating = Counter(classes[index] for index in validation)
    for number, size in enumerate(sizes):
        assert abs(validating[number] - SHARE * size) <= 0.5 or validating[number] == 2
        assert size - validating[number] >= LEAST_TRAIN
        assert validating[number] >= LEAST_VALIDATION


@given(grouped(), seeds)
def test_no_group_is_on_both_sides(data: tuple[list[int], list[list[int]]], seed: int) -> None:
    classes, groups = data
    validation = split(classes, keys_of(classes), groups, seed=seed)
    for group in groups:
        assert validation.issuperset(group) or validation.isdisjoint(group)


@given(grouped(), seeds, st.booleans())
def test_what_is_kept_together_stays_so_and_every_class_validates(
    data: tuple[list[int], list[list[int]]], seed: int, is_given: bool
) -> None:
    classes, near = data
    every_third = set(range(0, len(classes), 3)) if is_given else None
    before = set(every_third or ())
    division = divide(classes, keys_of(classes), near, given=every_third, seed=seed)
    for group in division.near:
        assert division.validation.issuperset(group) or division.validation.isdisjoint(group)
        assert division.inseparable.isdisjoint(classes[index] for index in group)
    kept = {index for group in division.near for index in group}
    assert all(
        classes[index] in division.inseparable or index in kept
        for group in near
        for index in group
        if sum(classes[one] not in division.inseparable for one in group) > 1
    )
    if every_third is None:
        assert not too_few(classes, division.validation)
    else:
        assert every_third == before
        assert division.validation | set(division.moved) == every_third
        lacking = too_few(classes, division.validation).keys()
        assert lacking <= too_few(classes, every_third).keys()


@given(grouped(), seeds)
def test_the_order_of_the_pictures_does_not_matter(
    data: tuple[list[int], list[list[int]]], seed: int
) -> None:
    classes, groups = data
    keys = keys_of(classes)
    order = random.Random(seed).sample(range(len(classes)), len(classes))
    place = {old: new for new, old in enumerate(order)}
    validation = split(classes, keys, groups, seed=seed)
    again = split(
        [classes[old] for old in order],
        [keys[old] for old in order],
        [[place[index] for index in group] for group in reversed(groups)],
        seed=seed,
    )
    assert {order[index] for index in again} == validation


def test_another_seed_chooses_others() -> None:
    classes = classes_of([50, 50])
    one, other = (split(classes, keys_of(classes), [], seed=seed) for seed in (0, 1))
    assert len(one) == len(other) == 20
    assert one != other


@pytest.mark.parametrize("seed", range(5))
def test_a_picture_more_leaves_most_others_where_they_are(seed: int) -> None:
    classes = classes_of([100, 100])
    keys = keys_of(classes)
    before = split(classes, keys, [], seed=seed)
    after = split([*classes, 1], [*keys, "new"], [], seed=seed)
    assert len(before ^ (after - {200})) <= 2


def test_a_group_of_several_classes_is_trained_on() -> None:
    classes = classes_of([20, 20])
    for seed in range(20):
        validation = split(classes, keys_of(classes), [[0, 20]], seed=seed)
        assert validation.isdisjoint({0, 20})
