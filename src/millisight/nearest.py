"""The most similar of many embeddings: exact, in as little memory as the caller gives it.

Searching once through everything is faster than making an index first, unless thousands of
searches follow: docs/decisions/0017-embeddings-and-exact-search.md has the figures.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from millisight.cpu import available_cores
from millisight.errors import ExtraMissing

Block = tuple[Sequence[str], NDArray[np.float32]]
"""Names, and an embedding for each: ``(names, dimensions)``."""


@dataclass(frozen=True, slots=True)
class Match:
    """One of those searched through."""

    name: str
    similarity: float
    """The cosine of the angle between both embeddings, -1…1; 1 is the same direction."""


def nearest(queries: NDArray[np.float32], blocks: Iterable[Block], count: int) -> list[list[Match]]:
    """The ``count`` most similar of all in ``blocks`` for each row of ``queries``, best first.

    ``queries`` is ``(n, dimensions)``. Where two are equally similar the earlier comes first, if
    they are in different blocks. Raises ``ExtraMissing``.
    """
    try:
        from usearch.compiled import MetricKind
        from usearch.index import search
    except ImportError as error:
        raise missing(error) from error
    best: list[list[Match]] = [[] for _ in queries]
    for names, vectors in blocks:
        found = search(
            vectors,
            queries,
            min(count, len(names)),
            MetricKind.Cos,
            exact=True,
            threads=available_cores(),
        )
        # One query comes back without the dimension of the queries.
        rows = zip(np.atleast_2d(found.keys), np.atleast_2d(found.distances), strict=True)
        for number, (keys, distances) in enumerate(rows):
            matches = [
                Match(names[key], 1.0 - distance)
                for key, distance in zip(keys.tolist(), distances.tolist(), strict=True)
            ]
            merged = sorted([*best[number], *matches], key=lambda one: -one.similarity)
            best[number] = merged[:count]
    return best


def missing(error: ImportError, extra: str = "embed") -> ExtraMissing:
    """What to say where the packages of an ``extra`` are not installed."""
    return ExtraMissing(
        f"This needs a package that is not installed: {error.name}.",
        hint=f"Install it with: pip install 'millisight[{extra}]'",
    )
