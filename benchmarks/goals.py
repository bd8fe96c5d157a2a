"""What the benchmark is to show, goal by goal, against what it saw."""

from statistics import median

from contestants import CEILING
from figures import (
    BUSY,
    Goal,
    Results,
    above_ceiling_ms,
    latency_ratio,
    loads,
    rate_ratio,
    rounds,
    share_of_ceiling,
)

AGAINST = (
    ("article", 5.0, 1 / 7.5),
    ("litserve", 2.4, 0.4),
    ("mosec", 1.5, 0.45),
)
"""Contestant, least ratio of rates, greatest ratio of latencies."""

START_S = 1.0
MEMORY_MB = 250
DECODE_SHARE = 1 / 3
CACHE_GAIN = 10
TAIL = 2.0
CEILING_SHARE = 0.95
CEILING_MS = 0.5
FLAT = 1.05
"""Five per cent: less than that, a machine that others share does not hold still."""


def goals(results: Results) -> list[Goal]:
    """Every goal that this run had the parts for."""
    return [
        *_against(results),
        *_ceiling(results),
        _tail(results),
        *_cache(results),
        *_phone(results),
        *_start_and_memory(results),
        *_soak(results),
    ]


def _against(results: Results) -> list[Goal]:
    found = []
    for name, least, most in AGAINST:
        rates, latencies = rate_ratio(results, name), latency_ratio(results, name)
        if rates is None or latencies is None:
            continue
        found += [
            Goal(f"throughput against {name}", f"≥ {least:g} ×", f"{rates:.2f} ×", rates >= least),
            Goal(
                f"median latency of one client against {name}",
                f"≤ {most:.3g} ×", f"{latencies:.3f} ×", latencies <= most,
            ),
        ]  # fmt: skip
    return found


def _ceiling(results: Results) -> list[Goal]:
    share, above = share_of_ceiling(results), above_ceiling_ms(results)
    if share is None or above is None:
        return []
    return [
        Goal(f"throughput against the {CEILING}", f"≥ {CEILING_SHARE:.0%}", f"{share:.1%}",
             share >= CEILING_SHARE),
        Goal(f"median latency of one client above the {CEILING}", f"≤ {CEILING_MS:g} ms",
             f"{above:.2f} ms", above <= CEILING_MS),
    ]  # fmt: skip


def _tail(results: Results) -> Goal:
    ratio = median(
        row["p99_ms"] / row["p50_ms"]
        for number in rounds(results)
        for row in loads(results, "millisight", number)
        if row["clients"] == BUSY
    )
    return Goal(f"p99 at {BUSY} clients against the median", f"≤ {TAIL:g} ×", f"{ratio:.2f} ×",
                ratio <= TAIL)  # fmt: skip


def _cache(results: Results) -> list[Goal]:
    rates = {row["what"]: row["rate"] for row in results["cache"]}
    gain = rates["all repeated"] / rates["new"]
    return [Goal("repeated pictures against new ones", f"≥ {CACHE_GAIN} ×", f"{gain:.1f} ×",
                 gain >= CACHE_GAIN)]  # fmt: skip


def _phone(results: Results) -> list[Goal]:
    (seen,) = (row["decode"] for row in results["phone"] if "decode" in row)
    share = seen["reduced_ms"] / seen["full_ms"]
    same = f"{seen['same_top1']} of {seen['sure']}"
    return [
        Goal("decoding 12 megapixels against a full decode", "≤ 1/3", f"{share:.2f} ×",
             share <= DECODE_SHARE),
        Goal("first class of those the network is sure of", "unchanged", same,
             seen["same_top1"] == seen["sure"] > 0),
    ]  # fmt: skip


def _start_and_memory(results: Results) -> list[Goal]:
    start = median(row["startup_s"] for row in results["startup"])
    memory = max(
        row["peak_rss_mb"] for row in results["load"]
        if row["contestant"] == "millisight" and "peak_rss_mb" in row
    )  # fmt: skip
    return [
        Goal("start of the process to first answer", f"≤ {START_S:g} s", f"{start:.2f} s",
             start <= START_S),
        Goal("resident memory of the worker under load", f"≤ {MEMORY_MB} MB",
             f"{memory:.0f} MB", memory <= MEMORY_MB),
    ]  # fmt: skip


def _soak(results: Results) -> list[Goal]:
    """The old server against a fresh one, in turns: the machine itself does not hold still."""
    slices = results["soak"]
    if not slices:
        return []
    old, fresh = ([row for row in slices if row["what"] == what] for what in ("old", "fresh"))
    aged = [row for row in slices if row["what"] == "ageing"]
    speed = median(row["rate"] for row in old) / median(row["rate"] for row in fresh)
    third = max(1, len(aged) // 3)
    before, after = (median(row["rss_mb"] for row in part) for part in (aged[:third], old))
    done = aged[-1]["done"]
    return [
        Goal(f"speed after {done:,} requests against a fresh server", f"≥ {1 / FLAT:.0%}",
             f"{speed:.1%}", speed >= 1 / FLAT),
        Goal(f"memory after {done:,} requests", "flat", f"{after - before:+.1f} MB",
             after <= FLAT * before),
    ]  # fmt: skip
