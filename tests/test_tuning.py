"""What tune decides, on measurements that are made up."""

from itertools import product
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millisight.tuning import (
    BATCHES,
    FINALISTS,
    LEAST_SECONDS,
    MOST_CLIENTS,
    MOST_THREADS,
    MOST_WORKERS,
    NEAR,
    Arrangement,
    Choice,
    Findings,
    Load,
    Measurement,
    Sample,
    Split,
    best_of_each,
    candidates,
    choose,
    finalists,
    first_levels,
    last_levels,
    pool,
    turns,
)

USUAL = Arrangement(Split(1, 2), 4)
PAIR = Arrangement(Split(2, 1), 4)

arrangements = st.builds(
    Arrangement,
    st.builds(Split, st.integers(1, 3), st.integers(1, 3)),
    st.sampled_from(BATCHES),
)
loads = st.builds(Load, arrangements, st.sampled_from([1, 4, 8]))
rates = st.floats(1, 1000)
measured = st.lists(
    st.builds(Measurement, loads, st.integers(1, 1000), rates, st.floats(1, 99), st.floats(1, 99)),
    unique_by=lambda one: one.load,
)
limits = st.none() | st.floats(1, 99)


def measurement(
    arrangement: Arrangement, clients: int, rate: float, p99: float = 10, *, p50: float = 5
) -> Measurement:
    return Measurement(Load(arrangement, clients), 100, rate, p50, p99)


def chosen(last: list[Measurement], limit_ms: float | None = None) -> Choice:
    choice = choose(Findings(USUAL, [], last), limit_ms)
    assert choice is not None
    return choice


@pytest.mark.parametrize("cores", range(1, 130))
def test_candidates_share_the_cores_evenly_and_have_the_usual_one(cores: int) -> None:
    usual = Arrangement(Split(max(1, cores // 4), 0), 4)
    tried = candidates(cores, usual)
    assert len(set(tried)) == len(tried)
    assert usual in tried
    others = [one.split for one in tried if one.split != usual.split]
    assert all(one.workers * one.threads in {cores, max(1, cores // 2)} for one in others)
    assert all(one.workers <= MOST_WORKERS and one.threads <= MOST_THREADS for one in others)
    assert {one.max_batch for one in tried} == set(BATCHES)


def test_two_cores_are_tried_together_halved_and_apart() -> None:
    tried = candidates(2, USUAL)
    assert sorted({one.split for one in tried}) == [Split(1, 1), Split(1, 2), Split(2, 1)]
    assert len(tried) == 3 * len(BATCHES)


def test_an_unusual_default_cap_is_tried_too() -> None:
    assert {one.max_batch for one in candidates(1, Arrangement(Split(1, 1), 3))} == {3, *BATCHES}


@pytest.mark.parametrize("limit_ms", [None, 10.0])
@pytest.mark.parametrize("cores", [1, 2, 3, 16, 128])
def test_levels_rise_to_saturation_and_end_with_reason(cores: int, limit_ms: float | None) -> None:
    for levels in (first_levels(cores, limit_ms), last_levels(cores, limit_ms)):
        assert levels == sorted(set(levels))
        assert levels[-1] >= min(4 * cores, MOST_CLIENTS)
        assert levels[-1] <= MOST_CLIENTS
    assert last_levels(cores, limit_ms)[0] == 1


def test_a_limit_is_tried_with_lighter_loads_too() -> None:
    assert (first_levels(2, None), last_levels(2, None)) == ([16], [1, 8, 16])
    assert (first_levels(2, 10), last_levels(2, 10)) == ([2, 8], [1, 2, 4, 8, 16])


@given(st.floats(-5, 3600), st.integers(1, 500), st.integers(1, 9))
def test_turns_fill_the_time_or_are_as_short_as_can_be(
    seconds: float, count: int, most: int
) -> None:
    rounds, each = turns(seconds, count, most)
    assert 1 <= rounds <= most
    assert each >= LEAST_SECONDS
    if seconds >= count * LEAST_SECONDS:
        assert rounds * count * each == pytest.approx(seconds)
    else:
        assert (rounds, each) == (1, LEAST_SECONDS)


@given(st.integers(1, 9), st.integers(1, 40))
def test_clients_are_shared_out_to_the_last_one(workers: int, clients: int) -> None:
    shares = Load(Arrangement(Split(workers, 1), 1), clients).shares()
    assert (len(shares), sum(shares)) == (workers, clients)
    assert max(shares) - min(shares) <= 1
    assert shares == sorted(shares, reverse=True)


def test_the_rate_is_one_answer_a_client_in_each_mean_wait() -> None:
    # Two clients that wait 10 ms at one worker, one that waits 5 ms at the other.
    sample = Sample(Load(PAIR, 3), [[5.0, 15.0], [5.0]])
    assert sample.images_per_second() == pytest.approx(200 + 200)
    assert Sample(Load(PAIR, 1), [[4.0], []]).images_per_second() == pytest.approx(250)


def test_runs_of_one_load_are_pooled_and_a_spoilt_one_does_not_count() -> None:
    load, other = Load(USUAL, 1), Load(PAIR, 1)
    runs = [Sample(load, [[wait] * 50]) for wait in (10.0, 100.0, 12.5)]
    one, two = pool([runs[0], Sample(other, [[2.0], []]), *runs[1:]])
    assert (one.load, one.images, one.p50_ms, one.p99_ms) == (load, 150, 12.5, 100.0)
    assert one.images_per_second == pytest.approx(80)
    assert (two.load, two.images, two.p99_ms) == (other, 1, 2.0)
    assert pool([]) == []


@given(st.lists(st.floats(0.1, 1000), min_size=1, max_size=300))
def test_percentiles_are_waits_that_occurred_and_bound_their_share(waits: list[float]) -> None:
    [one] = pool([Sample(Load(USUAL, 1), [waits])])
    for percent, value in ((50, one.p50_ms), (99, one.p99_ms)):
        assert value in waits
        assert sum(wait <= value for wait in waits) * 100 >= percent * len(waits)
        assert sum(wait < value for wait in waits) * 100 < percent * len(waits)


def test_finalists_come_from_several_splits_and_the_slow_stay_out() -> None:
    slow = Arrangement(Split(1, 1), 4)
    first = [measurement(Arrangement(PAIR.split, cap), 16, 300 + cap) for cap in BATCHES]
    first += [measurement(Arrangement(USUAL.split, cap), 16, 290 + cap) for cap in BATCHES]
    first += [measurement(slow, 16, 100)]
    assert finalists(first, None, USUAL) == [
        Arrangement(PAIR.split, 8),
        Arrangement(USUAL.split, 8),
        PAIR,
        USUAL,
    ]


def test_where_nothing_keeps_the_limit_the_nearest_have_another_look() -> None:
    first = [measurement(PAIR, 2, 300, 20), measurement(Arrangement(Split(1, 1), 1), 2, 100, 15)]
    assert finalists(first, 10, USUAL) == [Arrangement(Split(1, 1), 1), PAIR, USUAL]
    assert finalists([], 10, USUAL) == [USUAL]


@given(measured, limits)
def test_finalists_are_few_different_and_known(
    first: list[Measurement], limit_ms: float | None
) -> None:
    kept = finalists(first, limit_ms, USUAL)
    assert len(set(kept)) == len(kept) <= FINALISTS + 1
    assert kept[-1] == USUAL
    assert set(kept) <= {USUAL, *(one.load.arrangement for one in first)}
    best = best_of_each(first, limit_ms)
    if best:
        assert best[0].load.arrangement in kept


@given(measured, limits)
def test_the_choice_keeps_the_limit_and_is_nearly_the_fastest(
    last: list[Measurement], limit_ms: float | None
) -> None:
    within = [one for one in last if limit_ms is None or one.p99_ms <= limit_ms]
    choice = choose(Findings(USUAL, [], last), limit_ms)
    if choice is None:
        assert not within
        return
    assert choice.measurement in within
    most = max(one.images_per_second for one in within)
    assert choice.measurement.images_per_second >= NEAR * most
    same = [one for one in within if one.load.arrangement == choice.measurement.load.arrangement]
    assert choice.measurement.images_per_second == max(one.images_per_second for one in same)
    assert choice.reason.endswith(".")


@given(measured, limits, st.randoms(use_true_random=False))
def test_the_order_of_measurements_decides_nothing(
    last: list[Measurement], limit_ms: float | None, random: Random
) -> None:
    shuffled = list(last)
    random.shuffle(shuffled)
    assert choose(Findings(USUAL, [], last), limit_ms) == choose(
        Findings(USUAL, [], shuffled), limit_ms
    )


def test_the_first_look_is_no_ground_for_a_choice() -> None:
    lucky = measurement(PAIR, 16, 900)
    assert choose(Findings(USUAL, [lucky], []), None) is None


def test_most_images_a_second_win() -> None:
    last = [measurement(USUAL, 8, 300), measurement(PAIR, 8, 330), measurement(PAIR, 16, 320)]
    choice = chosen(last)
    assert choice.measurement == last[1]
    assert choice.reason == (
        "It gives 330 images/s with 8 clients, and nothing else comes within 5 % of that. "
        "What serve takes by itself gives 300 images/s."
    )


def test_a_limit_rules_out_what_is_fast_but_late() -> None:
    last = [
        measurement(USUAL, 8, 300, 30),
        measurement(PAIR, 1, 170, 7),
        measurement(PAIR, 8, 330, 31),
    ]
    choice = chosen(last, 10)
    assert choice.measurement == last[1]
    assert "170 images/s with 1 client," in choice.reason
    assert choice.reason.endswith("What serve takes by itself does not keep the limit.")
    assert choose(Findings(USUAL, [], last), 6.9) is None


def test_of_equals_the_one_that_answers_a_lone_picture_soonest_wins() -> None:
    alone = [measurement(USUAL, 1, 160, p50=6), measurement(PAIR, 1, 250, p50=4)]
    last = [*alone, measurement(USUAL, 8, 310), measurement(PAIR, 8, 300)]
    choice = chosen(last)
    assert choice.measurement == last[3]
    assert "2 arrangements come within 5 %" in choice.reason


@pytest.mark.parametrize(("rate", "wait"), [*product((300, 310), (4.0, 4.1))])
def test_of_real_equals_the_usual_one_wins(rate: float, wait: float) -> None:
    alone = [measurement(USUAL, 1, 240, p50=wait), measurement(PAIR, 1, 250, p50=4)]
    last = [*alone, measurement(PAIR, 8, 305), measurement(USUAL, 8, rate)]
    choice = chosen(last)
    assert choice.measurement == last[3]
    assert choice.reason.endswith("It is also what serve takes by itself.")


@pytest.mark.parametrize(("caps", "best"), [((8, 4, 2), 4), ((8, 2), 2)])
def test_of_equals_that_are_not_usual_the_usual_cap_or_the_least_wins(
    caps: tuple[int, ...], best: int
) -> None:
    pairs = [Arrangement(PAIR.split, cap) for cap in caps]
    wide = Arrangement(Split(4, 1), USUAL.max_batch)
    last = [measurement(one, clients, 300) for one in (wide, *pairs) for clients in (1, 8)]
    assert chosen(last).measurement.load.arrangement == Arrangement(PAIR.split, best)


def test_of_equals_the_usual_split_wins_over_the_usual_cap() -> None:
    wanted = Arrangement(USUAL.split, 8)
    last = [measurement(one, clients, 300) for one in (PAIR, wanted) for clients in (1, 8)]
    assert chosen(last).measurement.load.arrangement == wanted


def test_of_equals_the_usual_split_wins_over_a_simpler_one() -> None:
    usual = Arrangement(PAIR.split, 4)
    wanted = Arrangement(PAIR.split, 2)
    last = [measurement(one, clients, 300) for one in (USUAL, wanted) for clients in (1, 8)]
    choice = choose(Findings(usual, [], last), None)
    assert choice is not None
    assert choice.measurement.load.arrangement == wanted
