"""Which workers, threads and batch cap suit a machine and a goal. Decides only.

Samples of load come in and a choice goes out; ``trial`` makes the load. Every candidate gets a
short first look, and the finalists, the usual arrangement always among them, a longer last one.
Only the last look counts: the best of many short looks was lucky too.

``max_wait_ms`` is no candidate: measured on CPUs, waiting for company cost latency at every load
and never gained throughput, since a batch gathers by itself while others run.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from statistics import median

BATCHES = (1, 2, 4, 8)
"""Each lane runs its batches on one core, where pictures gain little from more company."""
MOST_WORKERS = 8
"""Each takes 150 to 200 MB, and while tuning the processes of all splits are alive at once."""
MOST_THREADS = 16
"""Of one worker: the load has no HTTP, of which one interpreter can do no more than that for."""
MOST_CLIENTS = 256

NEAR = 0.95
"""Rates or latencies closer than this are a tie: runs on a quiet machine differ by as much."""
WORTH_ANOTHER_LOOK = 0.8
FINALISTS = 3
"""Beside the usual arrangement."""


FIRST_SHARE = 0.35
"""Of the time for load, what the first look takes."""
ROUNDS = 5
"""Most runs of each load in the last look; between them the others have theirs, so that whatever
slows the machine for a while slows all alike."""
LEAST_SECONDS = 0.05
"""Of one run."""


@dataclass(frozen=True, slots=True, order=True)
class Split:
    """How many processes share the cores, and with how many inference threads each."""

    workers: int
    threads: int
    """0 gives each worker one for every core of its share."""


@dataclass(frozen=True, slots=True, order=True)
class Arrangement:
    """One way to serve."""

    split: Split
    max_batch: int


@dataclass(frozen=True, slots=True, order=True)
class Load:
    """An arrangement, and how many clients ask it, each again as soon as it has an answer."""

    arrangement: Arrangement
    clients: int

    def shares(self) -> list[int]:
        """Clients of each worker, as even as can be."""
        workers = self.arrangement.split.workers
        return [(self.clients + number) // workers for number in reversed(range(workers))]


@dataclass(frozen=True, slots=True)
class Sample:
    """One run of one load."""

    load: Load
    waits_ms: Sequence[Sequence[float]]
    """How long the clients of each worker waited for each answer; none for one without clients."""

    def images_per_second(self) -> float:
        """Clients that do nothing but wait get, each, one answer in every mean wait."""
        return sum(
            clients * len(waits) * 1e3 / sum(waits)
            for clients, waits in zip(self.load.shares(), self.waits_ms, strict=True)
            if waits
        )


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one arrangement did under one load."""

    load: Load
    images: int
    images_per_second: float
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True)
class Findings:
    """All that was measured."""

    usual: Arrangement
    """What serve takes by itself."""
    first: list[Measurement]
    """Every candidate, briefly."""
    last: list[Measurement]
    """The finalists, for longer."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The best arrangement for a goal."""

    measurement: Measurement
    """Where it did best within the goal."""
    reason: str
    """Plain sentences."""


def candidates(cores: int, usual: Arrangement) -> list[Arrangement]:
    """What is tried on ``cores`` cores, each split with every batch cap.

    The splits are one process with a thread for each or for half of the cores, several processes
    that share them evenly, and ``usual``, which is what serve takes by itself.
    """
    workers = [number for number in (2, 4, 8, cores) if number <= MOST_WORKERS]
    splits = {Split(1, cores), Split(1, max(1, cores // 2))}
    splits |= {Split(number, cores // number) for number in workers if cores % number == 0}
    splits = {usual.split, *(split for split in splits if split.threads <= MOST_THREADS)}
    caps = sorted({*BATCHES, usual.max_batch})
    return [Arrangement(split, cap) for split in sorted(splits) for cap in caps]


def first_levels(cores: int, limit_ms: float | None) -> list[int]:
    """Numbers of clients for the first look.

    Without a limit only saturation counts; a limit may be kept only by a lighter load.
    """
    return _levels((8,) if limit_ms is None else (1, 4), cores)


def last_levels(cores: int, limit_ms: float | None) -> list[int]:
    """Numbers of clients for the last look; the first is always 1."""
    return sorted({1, *_levels((4, 8) if limit_ms is None else (1, 2, 4, 8), cores)})


def _levels(per_core: Iterable[int], cores: int) -> list[int]:
    return sorted({min(number * cores, MOST_CLIENTS) for number in per_core})


def turns(seconds: float, loads: int, rounds: int) -> tuple[int, float]:
    """How many rounds of ``loads`` runs each, at most ``rounds``, and the seconds of one run.

    Together they take ``seconds``, or longer if that is too short for one round.
    """
    rounds = min(rounds, max(1, int(seconds / (loads * LEAST_SECONDS))))
    return rounds, max(LEAST_SECONDS, seconds / (loads * rounds))


def pool(samples: Iterable[Sample]) -> list[Measurement]:
    """One measurement of each load, from all its runs, in the order of loads."""
    runs: dict[Load, list[Sample]] = {}
    for sample in samples:
        runs.setdefault(sample.load, []).append(sample)
    return [_measurement(load, runs[load]) for load in sorted(runs)]


def _measurement(load: Load, runs: list[Sample]) -> Measurement:
    waits = sorted(chain.from_iterable(chain.from_iterable(run.waits_ms for run in runs)))
    return Measurement(
        load=load,
        images=len(waits),
        # A moment when the machine was busy with something else spoils one run, not the median.
        images_per_second=median(run.images_per_second() for run in runs),
        p50_ms=_percentile(waits, 50),
        p99_ms=_percentile(waits, 99),
    )


def _percentile(ordered: Sequence[float], percent: int) -> float:
    """The least value that ``percent`` of all do not exceed; never one between two of them."""
    return ordered[math.ceil(len(ordered) * percent / 100) - 1]


def finalists(
    first: Sequence[Measurement], limit_ms: float | None, usual: Arrangement
) -> list[Arrangement]:
    """The few arrangements worth a longer look, best first; ``usual`` is always one.

    Batch caps of one split differ little, splits much, so the best of each split come first.
    """
    ranked = best_of_each(first, limit_ms)
    if ranked and _within(ranked[0], limit_ms):
        least = WORTH_ANOTHER_LOOK * ranked[0].images_per_second
        ranked = [o for o in ranked if _within(o, limit_ms) and o.images_per_second >= least]
    seen: Counter[Split] = Counter()
    places: list[tuple[int, Arrangement]] = []
    for one in ranked:
        split = one.load.arrangement.split
        places.append((seen[split], one.load.arrangement))
        seen[split] += 1
    places.sort(key=lambda place: place[0])
    chosen = [arrangement for _, arrangement in places if arrangement != usual]
    return [*chosen[:FINALISTS], usual]


def best_of_each(measurements: Sequence[Measurement], limit_ms: float | None) -> list[Measurement]:
    """For each arrangement the load where it did best by the goal; the best arrangement first."""
    best: dict[Arrangement, Measurement] = {}
    for one in sorted(measurements, key=lambda one: _merit(one, limit_ms), reverse=True):
        best.setdefault(one.load.arrangement, one)
    return list(best.values())


def choose(findings: Findings, limit_ms: float | None) -> Choice | None:
    """The arrangement with most images a second at any measured load within ``limit_ms``.

    ``limit_ms`` bounds p99; ``None`` sets no bound. Of those within 5 % of the most, the one that
    answers a lone picture soonest; of those within 5 % of that, the one most like the usual one.
    ``None`` if nothing stays within the limit.
    """
    usual, last = findings.usual, findings.last
    best = [one for one in best_of_each(last, limit_ms) if _within(one, limit_ms)]
    if not best:
        return None
    tied = [one for one in best if one.images_per_second >= NEAR * best[0].images_per_second]
    alone = {one.load.arrangement: one.p50_ms for one in last if one.load.clients == 1}
    soonest = min(alone.get(one.load.arrangement, math.inf) for one in tied)
    same = [one for one in tied if NEAR * alone.get(one.load.arrangement, math.inf) <= soonest]
    chosen = min(same, key=lambda one: _unlike(one.load.arrangement, usual))
    compared = next((one for one in best if one.load.arrangement == usual), None)
    return Choice(chosen, f"{_reason(chosen, len(tied))} {_against(chosen, compared, usual)}")


def _unlike(one: Arrangement, usual: Arrangement) -> tuple[bool, Split, bool, int]:
    """Least for ``usual`` itself, then for its split, then for its cap; of others, the simplest."""
    cap = one.max_batch
    return one.split != usual.split, one.split, cap != usual.max_batch, cap


def _reason(chosen: Measurement, tied: int) -> str:
    clients = "1 client" if chosen.load.clients == 1 else f"{chosen.load.clients} clients"
    rate = f"{chosen.images_per_second:.0f} images/s with {clients}"
    if tied == 1:
        return f"It gives {rate}, and nothing else comes within 5 % of that."
    return (
        f"It gives {rate}. {tied} arrangements come within 5 % of the most; of these it answers a "
        "lone picture soonest or, among equals, is closest to the default."
    )


def _against(chosen: Measurement, compared: Measurement | None, usual: Arrangement) -> str:
    if chosen.load.arrangement == usual:
        return "It is also what serve takes by itself."
    if compared is None:
        return "What serve takes by itself does not keep the limit."
    return f"What serve takes by itself gives {compared.images_per_second:.0f} images/s."


def _within(one: Measurement, limit_ms: float | None) -> bool:
    return limit_ms is None or one.p99_ms <= limit_ms


def _merit(one: Measurement, limit_ms: float | None) -> tuple[bool, float, Load]:
    """Larger is better: within the limit by speed, outside of it by how little is missing."""
    if _within(one, limit_ms):
        return True, one.images_per_second, one.load
    return False, -one.p99_ms, one.load
