"""Who is trained on and who validates: the same for the same pictures, wherever they lie."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from millisight.train.duplicates import Groups

SHARE = 0.2
"""Part of the pictures of each class that validates."""
LEAST_TRAIN = 4
LEAST_VALIDATION = 2
"""Pictures of each class that a side has at least."""


@dataclass(frozen=True, slots=True)
class Division:
    """Which pictures validate, by their indices, and why others do not."""

    validation: set[int]
    near: Groups
    """Groups that were kept on one side."""
    moved: list[int]
    """Pictures that were to validate, but belong together with one trained on."""
    inseparable: set[int]
    """Classes that would lack pictures on a side if those that look alike stayed together."""


def divide(
    classes: Sequence[int],
    keys: Sequence[str],
    near: Groups,
    *,
    given: set[int] | None,
    seed: int,
) -> Division:
    """Divide pictures by ``split``; or, where it is ``given`` which ones validate, move those to
    training that belong together with one there.

    ``near`` does not hold for classes that would then have too few pictures on a side.
    """
    inseparable: set[int] = set()
    while True:
        apart = [[one for one in group if classes[one] not in inseparable] for group in near]
        groups = [group for group in apart if len(group) > 1]
        if given is None:
            moved: set[int] = set()
            validation = split(classes, keys, groups, seed=seed)
        else:
            torn = [group for group in groups if not given.issuperset(group)]
            moved = given.intersection(one for group in torn for one in group)
            validation = given - moved
        lacking = too_few(classes, validation).keys() & {
            classes[one] for group in groups for one in group
        }
        if not lacking:
            return Division(validation, groups, sorted(moved), inseparable)
        inseparable |= lacking


def split(classes: Sequence[int], keys: Sequence[str], groups: Groups, *, seed: int) -> set[int]:
    """Indices of the pictures that validate: ``SHARE`` of each class, less where ``groups`` do
    not fit.

    ``classes`` and ``keys`` (digests) are of one picture each. Those of a group stay together;
    groups of several classes are trained on. A picture's place depends on ``seed`` and its own
    key, so that adding pictures moves few others. A class of ``LEAST_TRAIN + LEAST_VALIDATION``
    pictures has at least these on each side, unless ``groups`` forbid it.
    """
    grouped = {index for group in groups for index in group}
    units = [*groups, *([index] for index in range(len(classes)) if index not in grouped)]
    units.sort(key=lambda unit: min(_place(keys[index], seed) for index in unit))
    wanted = {number: _wanted(count) for number, count in Counter(classes).items()}
    validation: set[int] = set()
    for unit in units:
        first = classes[unit[0]]
        if len(unit) <= wanted[first] and all(classes[index] == first for index in unit):
            wanted[first] -= len(unit)
            validation.update(unit)
    return validation


def too_few(classes: Sequence[int], validation: set[int]) -> dict[int, tuple[int, int]]:
    """Pictures to train on and to validate with of those classes that have too few of either."""
    total, validating = Counter(classes), Counter(classes[index] for index in validation)
    sides = {number: (total[number] - validating[number], validating[number]) for number in total}
    return {
        number: (train, validate)
        for number, (train, validate) in sides.items()
        if train < LEAST_TRAIN or validate < LEAST_VALIDATION
    }


def _place(key: str, seed: int) -> str:
    return hashlib.sha256(f"{seed}:{key}".encode()).hexdigest()


def _wanted(count: int) -> int:
    return max(0, min(max(round(SHARE * count), LEAST_VALIDATION), count - LEAST_TRAIN))
