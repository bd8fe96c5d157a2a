"""The search through all embeddings finds what sorting all cosines finds."""

import numpy as np
import pytest

from millisight.nearest import nearest

RANDOM = np.random.default_rng(3)


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.mark.parametrize("block", [1, 7, 50, 1000])
@pytest.mark.parametrize("queries", [1, 5])
def test_however_it_comes_in_blocks_the_most_similar_are_found(block: int, queries: int) -> None:
    vectors = RANDOM.normal(size=(50, 16)).astype(np.float32)
    asked = RANDOM.normal(size=(queries, 16)).astype(np.float32)
    names = [f"picture {number}" for number in range(50)]
    blocks = [(names[at : at + block], vectors[at : at + block]) for at in range(0, 50, block)]
    found = nearest(asked, blocks, 6)
    cosines = unit(asked) @ unit(vectors).T
    for row, matches in zip(cosines, found, strict=True):
        order = np.argsort(-row)[:6]
        assert [one.name for one in matches] == [names[index] for index in order]
        np.testing.assert_allclose([one.similarity for one in matches], row[order], atol=1e-5)


def test_fewer_than_asked_for_are_all_there_are() -> None:
    vectors = RANDOM.normal(size=(3, 16)).astype(np.float32)
    [matches] = nearest(vectors[:1], [(["a", "b", "c"], vectors)], 10)
    assert len(matches) == 3
    assert (matches[0].name, matches[0].similarity) == ("a", pytest.approx(1, abs=1e-5))


def test_length_makes_no_difference() -> None:
    vectors = RANDOM.normal(size=(4, 16)).astype(np.float32)
    blocks = [(["near", "far", "else", "more"], vectors * np.float32(100))]
    [[best]] = nearest(vectors[:1] * np.float32(0.01), blocks, 1)
    assert (best.name, best.similarity) == ("near", pytest.approx(1, abs=1e-5))
