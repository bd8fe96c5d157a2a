"""Pictures that are the same, or look the same: which ones belong together."""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence

import numpy as np

from millisight.train.look import Look

MAX_DISTANCE = 44
"""Bits of 256 in which near duplicates differ at most; docs/decisions/0014-train.md says why."""
MAX_DIFFERENCE = (64, 24, 24)
"""How much any part of near duplicates differs at most in Y, Cb and Cr, in steps of 1/255."""

Groups = list[list[int]]
"""Indices of pictures that belong together, two or more in each."""


def exact_groups(looks: Sequence[Look]) -> Groups:
    """Files that have the same bytes."""
    return _groups(look.digest for look in looks)


def near_groups(looks: Sequence[Look]) -> Groups:
    """Pictures that look alike; whatever is alike to one of a group is of it.

    Takes time in the square of their number, some seconds for 10,000.
    """
    if not looks:
        return []
    hashes = np.stack([look.phash for look in looks], axis=1)
    cells = np.stack([look.cells for look in looks])
    group = np.arange(len(looks))
    for one in range(len(looks) - 1):
        later = slice(one + 1, None)
        distances = np.bitwise_count(hashes[:, one, None] ^ hashes[:, later]).sum(axis=0, dtype=int)
        alike = one + 1 + np.flatnonzero((distances <= MAX_DISTANCE) & (group[later] != group[one]))
        if alike.size:
            # The hash sees shapes only, and a red part is no copy of a blue one.
            differences = np.abs(cells[alike] - cells[one]).max(axis=1)
            copies = (differences <= MAX_DIFFERENCE).all(axis=1)
            group[np.isin(group, group[alike[copies]])] = group[one]
    return _groups(group.tolist())


def _groups(keys: Iterable[Hashable]) -> Groups:
    groups: dict[Hashable, list[int]] = defaultdict(list)
    for index, key in enumerate(keys):
        groups[key].append(index)
    return [group for group in groups.values() if len(group) > 1]
