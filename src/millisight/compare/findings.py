"""What was measured, summed up: medians over rounds, ratios within rounds. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median, quantiles

from millisight.manifest import Accuracy


@dataclass(frozen=True, slots=True)
class Sample:
    """One turn of one engine."""

    engine: str
    threads: int
    batch: int
    round: int
    calls: Sequence[float]
    """Seconds of each call."""


@dataclass(frozen=True, slots=True)
class Spread:
    """A figure that was taken once a round."""

    median: float
    low: float
    """The lower quartile of the rounds, ``high`` the upper one."""
    high: float


@dataclass(frozen=True, slots=True)
class Latency:
    """How long one picture takes."""

    threads: int
    ms: Spread
    """Of the medians of the rounds."""
    p95_ms: float
    """Of all calls."""
    ratio: Spread | None
    """So many times as fast as the reference in the same round; ``None`` where that failed."""


@dataclass(frozen=True, slots=True)
class Throughput:
    """How many pictures a second pass in batches."""

    threads: int
    batch: int
    images_per_second: Spread
    ratio: Spread | None
    """So many times as many as the reference with batches of one picture, in the same round."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """All that is known of one engine."""

    engine: str
    title: str
    precision: str
    failed: str = ""
    """Why it could not run; then there are no figures, or not all."""
    size_mb: float | None = None
    load_s: float | None = None
    memory_mb: float | None = None
    latency: tuple[Latency, ...] = ()
    throughput: tuple[Throughput, ...] = ()
    accuracy: Accuracy | None = None
    """``None`` where the pictures have no labels."""
    agreement: float | None = None
    """Percent of the pictures with the same first answer as the reference."""
    max_logit_difference: float | None = None

    @property
    def best(self) -> Throughput | None:
        """Where it lets most pictures pass."""
        return max(self.throughput, key=lambda one: one.images_per_second.median, default=None)

    def latency_on(self, threads: int) -> Latency | None:
        """The latency with so many threads."""
        return next((one for one in self.latency if one.threads == threads), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """A whole comparison."""

    date: str
    machine: str
    model: str
    pictures: str
    method: str
    versions: dict[str, str]
    rows: tuple[Row, ...]
    processes: Spread | None = None
    """Throughput of one process a core, as a multiple of one process with all cores."""
    seconds: float = 0.0
    """How long it all took."""
    threads: tuple[int, ...] = field(default=(1,))

    def row(self, engine: str) -> Row | None:
        """The row of one engine, if it was asked for."""
        return next((row for row in self.rows if row.engine == engine), None)


def spread(values: Sequence[float]) -> Spread:
    """Median and quartiles of at least one value."""
    if len(values) == 1:
        return Spread(values[0], values[0], values[0])
    low, middle, high = quantiles(values, n=4, method="inclusive")
    return Spread(middle, low, high)


def cores_in_words(number: int) -> str:
    """``1 core``, ``2 cores``."""
    return "1 core" if number == 1 else f"{number} cores"


def latencies(samples: Iterable[Sample], engine: str, reference: str) -> tuple[Latency, ...]:
    """Of single pictures, one entry for each number of threads."""
    single = [one for one in samples if one.batch == 1]
    return tuple(
        _latency(single, engine, reference, threads)
        for threads in sorted({one.threads for one in single if one.engine == engine})
    )


def _latency(samples: Sequence[Sample], engine: str, reference: str, threads: int) -> Latency:
    mine = _by_round(samples, engine, threads, 1)
    calls = sorted(call for turn in mine.values() for call in turn)
    return Latency(
        threads,
        spread([1e3 * median(turn) for turn in mine.values()]),
        1e3 * calls[-(-95 * len(calls) // 100) - 1],
        _ratio(
            {number: 1 / median(turn) for number, turn in mine.items()},
            {
                number: 1 / median(turn)
                for number, turn in _by_round(samples, reference, threads, 1).items()
            },
        ),
    )


def throughputs(samples: Sequence[Sample], engine: str, reference: str) -> tuple[Throughput, ...]:
    """With the most threads that were used, one entry for each size of batch."""
    most = max((one.threads for one in samples if one.engine == engine), default=0)
    base = {
        number: _rate(turn, 1) for number, turn in _by_round(samples, reference, most, 1).items()
    }
    sizes = sorted({one.batch for one in samples if one.engine == engine and one.threads == most})
    found = []
    for size in sizes:
        rates = {
            number: _rate(turn, size)
            for number, turn in _by_round(samples, engine, most, size).items()
        }
        found.append(Throughput(most, size, spread(list(rates.values())), _ratio(rates, base)))
    return tuple(found)


def _by_round(
    samples: Iterable[Sample], engine: str, threads: int, batch: int
) -> dict[int, Sequence[float]]:
    wanted = (engine, threads, batch)
    return {
        one.round: one.calls for one in samples if (one.engine, one.threads, one.batch) == wanted
    }


def _rate(calls: Sequence[float], batch: int) -> float:
    """Pictures a second. The median keeps out calls that something else has disturbed."""
    return batch / median(calls)


def _ratio(mine: dict[int, float], theirs: dict[int, float]) -> Spread | None:
    """Round by round: what slows the machine for a while slows both."""
    ratios = [mine[number] / theirs[number] for number in mine if number in theirs]
    return spread(ratios) if ratios else None
