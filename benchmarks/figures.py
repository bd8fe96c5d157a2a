"""The rows of a run, summed up: medians over rounds, ratios within rounds, goals."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import median
from typing import Any

from contestants import CEILING, MILLISIGHT
from load import rate_without_generator

Row = dict[str, Any]
Results = dict[str, Any]

BUSY = 8
"""Clients of the parts that need a busy server; there the tail of the latencies is looked at."""


@dataclass(frozen=True, slots=True)
class Standing:
    """One contestant over all rounds."""

    name: str
    rate: float
    """Median over the rounds of the best rate at any number of clients; answers a second."""
    best_clients: int
    """Clients at which the last round was best."""
    alone_p50_ms: float
    busy_p50_ms: float
    busy_p99_ms: float
    errors: int
    memory_mb: float | None
    """Peak of all processes together; ``None`` for the ceiling."""
    startup_s: float | None


@dataclass(frozen=True, slots=True)
class Goal:
    """One thing the benchmark is to show."""

    what: str
    wanted: str
    measured: str
    met: bool


def loads(results: Results, name: str, number: int | None = None) -> list[Row]:
    """Rows of ``name`` that are loads, of one round or of all."""
    return [
        row for row in results["load"]
        if row["contestant"] == name and "rate" in row and number in (None, row["round"])
    ]  # fmt: skip


def rounds(results: Results) -> range:
    """Numbers of the rounds."""
    return range(results["effort"]["rounds"])


def standings(results: Results) -> list[Standing]:
    """Everyone who started, fastest first."""
    names = dict.fromkeys(row["contestant"] for row in results["load"])
    seen = [_standing(results, name) for name in names if loads(results, name)]
    return sorted(seen, key=lambda one: -one.rate)


def failures(results: Results) -> dict[str, str]:
    """Who did not start, and its last words."""
    return {
        row["contestant"]: row["failed"].strip().splitlines()[-1]
        for row in results["load"]
        if "failed" in row
    }


def _standing(results: Results, name: str) -> Standing:
    rows = loads(results, name)
    best = [_best(results, name, number) for number in rounds(results)]
    weighed = [
        row for row in results["load"] if row["contestant"] == name and "startup_s" in row
    ]  # fmt: skip
    return Standing(
        name=name,
        rate=median(row["rate"] for row in best),
        best_clients=best[-1]["clients"],
        alone_p50_ms=_at(rows, 1, "p50_ms"),
        busy_p50_ms=_at(rows, BUSY, "p50_ms"),
        busy_p99_ms=_at(rows, BUSY, "p99_ms"),
        errors=sum(row["errors"] for row in rows),
        memory_mb=max(row["peak_pss_mb"] for row in weighed) if weighed else None,
        startup_s=median(row["startup_s"] for row in weighed) if weighed else None,
    )


def _best(results: Results, name: str, number: int) -> Row:
    return max(loads(results, name, number), key=lambda row: float(row["rate"]))


def _at(rows: Iterable[Row], clients: int, figure: str) -> float:
    return median(row[figure] for row in rows if row["clients"] == clients)


def _over_rounds(results: Results, name: str, ratio: Callable[[int], float]) -> float | None:
    """Median of ``ratio`` over the rounds; ``None`` where ``name`` did not take part."""
    if not loads(results, name):
        return None
    return median(ratio(number) for number in rounds(results))


def rate_ratio(results: Results, name: str) -> float | None:
    """How many times the answers a second of ``name`` millisight gives at saturation."""
    return _over_rounds(
        results,
        name,
        lambda n: _best(results, MILLISIGHT.name, n)["rate"] / _best(results, name, n)["rate"],
    )


def latency_ratio(results: Results, name: str) -> float | None:
    """millisight's median latency with one client, as a part of that of ``name``."""
    return _over_rounds(
        results,
        name,
        lambda n: (
            _at(loads(results, MILLISIGHT.name, n), 1, "p50_ms")
            / _at(loads(results, name, n), 1, "p50_ms")
        ),
    )


def share_of_ceiling(results: Results) -> float | None:
    """millisight's rate without the load generator's CPU time, as a part of the ceiling's."""
    cores = results["machine"]["cores"]

    def corrected(number: int) -> float:
        return max(
            rate_without_generator(row["rate"], cores, row["duration_s"], row["generator_cpu_s"])
            for row in loads(results, MILLISIGHT.name, number)
            # Below saturation the generator takes nothing away from anybody.
            if row["clients"] >= 2 * cores
        )

    return _over_rounds(
        results, CEILING, lambda n: corrected(n) / _best(results, CEILING, n)["rate"]
    )


def above_ceiling_ms(results: Results) -> float | None:
    """What serving adds to the ceiling's median latency with one client."""
    return _over_rounds(
        results,
        CEILING,
        lambda n: (
            _at(loads(results, MILLISIGHT.name, n), 1, "p50_ms")
            - _at(loads(results, CEILING, n), 1, "p50_ms")
        ),
    )
