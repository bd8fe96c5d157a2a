"""How often training goes through which pictures."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from millisight.train.attention import Attention

COUNTS = st.integers(1, 300)
SEEDS = st.integers(0, 2**32 - 1)


def drawn(attention: Attention, seed: int) -> torch.Tensor:
    return attention.draw(torch.Generator().manual_seed(seed))


def known(count: int, focus: float) -> Attention:
    """One that has seen all pictures; the last one is the hardest."""
    attention = Attention(count, focus)
    attention.note(torch.arange(count), torch.linspace(0, 3, count))
    return attention


@given(count=COUNTS, seed=SEEDS)
def test_each_picture_comes_once_where_nothing_is_known_or_all_count_the_same(
    count: int, seed: int
) -> None:
    once = torch.arange(count)
    for attention in (Attention(count, 5), known(count, 1)):
        assert torch.equal(drawn(attention, seed).sort().values, once)


@given(count=COUNTS, focus=st.floats(1.5, 20), seed=SEEDS)
def test_an_epoch_is_as_long_as_ever_and_chance_only_rounds(
    count: int, focus: float, seed: int
) -> None:
    order = drawn(known(count, focus), seed)
    assert len(order) == count
    expected = torch.linspace(1, focus, count) if count > 1 else torch.ones(1)
    expected *= count / expected.sum()
    assert ((order.bincount(minlength=count) - expected).abs() < 1 + 1e-4).all()


def test_the_hardest_come_five_times_as_often_as_the_easiest_in_random_order() -> None:
    attention = known(200, 5)
    orders = [drawn(attention, seed) for seed in range(400)]
    counts = torch.cat(orders).bincount(minlength=200)
    assert 4 < counts[-20:].sum() / counts[:20].sum() < 5.2
    assert not torch.equal(orders[0], orders[1])
    assert torch.equal(orders[0], drawn(attention, 0))
    first_half = torch.cat([order[:100] for order in orders]).bincount(minlength=200)
    assert 0.45 < first_half[-20:].sum() / counts[-20:].sum() < 0.55


def test_the_newest_loss_of_a_picture_counts_for_half() -> None:
    attention = Attention(3, 5)
    attention.note(torch.tensor([2]), torch.tensor([4.0]))
    attention.note(torch.tensor([2, 0]), torch.tensor([1.0, 0.5]))
    assert attention.losses.tolist() == [0.5, torch.inf, 2.5]
