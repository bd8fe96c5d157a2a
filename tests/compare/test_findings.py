"""What turns are summed up to: medians over rounds, ratios within them."""

import pytest

from millisight.compare.findings import Sample, latencies, spread, throughputs


def turn(engine: str, number: int, seconds: float, *, batch: int = 1, threads: int = 2) -> Sample:
    return Sample(engine, threads, batch, number, [seconds] * 3)


def test_a_spread_is_a_median_and_its_quartiles() -> None:
    assert (spread([5]).low, spread([5]).median, spread([5]).high) == (5, 5, 5)
    found = spread([1, 2, 3, 4, 100])
    assert (found.low, found.median, found.high) == (2, 3, 4)


def test_the_ratio_is_taken_round_by_round_so_that_a_slow_moment_slows_both() -> None:
    samples = [turn("eager", n, 0.030 * slow) for n, slow in enumerate((1, 5, 1))]
    samples += [turn("fast", n, 0.010 * slow) for n, slow in enumerate((1, 5, 1))]
    (found,) = latencies(samples, "fast", "eager")
    assert found.ratio is not None
    assert [found.ratio.low, found.ratio.median, found.ratio.high] == pytest.approx([3, 3, 3])
    assert found.ms.median == pytest.approx(10)


def test_p95_is_of_all_calls_of_all_rounds() -> None:
    calls = [0.001 * number for number in range(1, 21)]
    samples = [Sample("eager", 1, 1, 0, calls[:10]), Sample("eager", 1, 1, 1, calls[10:])]
    (found,) = latencies(samples, "eager", "eager")
    assert found.p95_ms == pytest.approx(19)


def test_latency_has_an_entry_for_each_number_of_threads_and_is_of_single_pictures() -> None:
    samples = [turn("eager", 0, 0.03, threads=1), turn("eager", 0, 0.02)]
    samples.append(turn("eager", 0, 1.0, batch=8))
    found = latencies(samples, "eager", "eager")
    assert [(one.threads, round(one.ms.median)) for one in found] == [(1, 30), (2, 20)]


def test_throughput_is_compared_with_single_pictures_of_the_reference() -> None:
    samples = [turn("eager", 0, 0.02), turn("fast", 0, 0.01), turn("fast", 0, 0.04, batch=8)]
    samples.append(turn("fast", 0, 0.5, threads=1))
    one, eight = throughputs(samples, "fast", "eager")
    assert (one.batch, eight.batch) == (1, 8)
    assert eight.images_per_second.median == pytest.approx(200)
    assert eight.ratio is not None
    assert eight.ratio.median == pytest.approx(4)


def test_without_the_reference_there_is_no_ratio() -> None:
    (found,) = latencies([turn("fast", 0, 0.01)], "fast", "eager")
    assert found.ratio is None
    assert latencies([], "fast", "eager") == ()
    assert throughputs([], "fast", "eager") == ()
