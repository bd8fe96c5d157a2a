"""The usual advice, piece by piece, beside what was measured. Pure."""

from dataclasses import dataclass

from millisight.compare.engines import REFERENCE
from millisight.compare.findings import Results, Row, Spread, cores_in_words

NEAR = 0.05
"""Differences below this are none: two runs on a quiet machine differ by as much."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One piece of the usual advice."""

    says: str
    measured: str
    verdict: str
    """One line."""


def claims(results: Results) -> list[Claim]:
    """All of them; what could not be measured says so."""
    most = max(results.threads)
    return [
        _faster(
            "Tracing makes it 15 to 20 % faster.", results.row("torch_traced"), most, (0.15, 0.20)
        ),
        _faster(
            "Dynamic quantisation makes it 30 % faster.",
            results.row("torch_dynamic_int8"),
            most,
            (0.30, 0.30),
        ),
        _halved(results),
        _batching(results.row("torch_traced")),
        _processes(results.processes),
    ]


def _faster(says: str, row: Row | None, threads: int, promised: tuple[float, float]) -> Claim:
    found = row.latency_on(threads) if row else None
    if found is None or found.ratio is None:
        return _unknown(says, row)
    gain = found.ratio.median - 1
    measured = (
        f"{_signed(gain)} on {cores_in_words(threads)} ({_range(found.ratio)} in the middle rounds)"
    )
    least, most = promised
    if gain <= NEAR:
        verdict = "Not so: no difference worth the name." if gain > -NEAR else "Not so: slower."
    elif gain < least - NEAR:
        verdict = "Partly: faster, but by less."
    elif gain <= most + NEAR:
        verdict = "So it is."
    else:
        verdict = "More than that."
    return Claim(says, measured, verdict)


def _halved(results: Results) -> Claim:
    says = "Dynamic quantisation halves the file."
    before, after = results.row(REFERENCE), results.row("torch_dynamic_int8")
    if not (before and after and before.size_mb and after.size_mb):
        return _unknown(says, after)
    left = after.size_mb / before.size_mb
    verdict = "So it is." if left <= 0.5 + NEAR else "Not so: most weights are convolutions'."
    if 0.5 + NEAR < left < 0.9:
        verdict = "Partly: smaller, but by less."
    measured = f"{before.size_mb:.1f} MB become {after.size_mb:.1f} MB ({_signed(left - 1)})"
    return Claim(says, measured, verdict)


def _batching(row: Row | None) -> Claim:
    says = "Batching lowers the cost of a picture."
    rates = {one.batch: one.images_per_second.median for one in row.throughput} if row else {}
    if row is None or 1 not in rates or row.best is None or len(rates) < 2:
        return _unknown(says, row)
    best = max((batch for batch in rates if batch > 1), key=lambda batch: rates[batch])
    gain = rates[best] / rates[1] - 1
    measured = (
        f"{rates[1]:.1f} images/s one by one, {rates[best]:.1f} in batches of {best} "
        f"({_signed(gain)}), traced"
    )
    if gain > NEAR:
        verdict = f"So it is, once {best} pictures have come together."
    else:
        verdict = "Not so: a batch costs what its pictures cost one by one."
    return Claim(says, measured, verdict)


def _processes(found: Spread | None) -> Claim:
    says = "More processes raise the throughput."
    if found is None:
        return _unknown(says, None)
    gain = found.median - 1
    measured = (
        f"{_signed(gain)} with one process a core against one with all cores "
        f"({_range(found)} in the middle rounds), traced"
    )
    if gain > NEAR:
        return Claim(says, measured, "So it is.")
    if gain > -NEAR:
        return Claim(says, measured, "Not so: one process with all cores does as much.")
    return Claim(says, measured, "Not so: it does less.")


def _unknown(says: str, row: Row | None) -> Claim:
    return Claim(says, row.failed if row and row.failed else "not measured", "Not known here.")


def _signed(share: float) -> str:
    return f"{100 * share:+.0f} %"


def _range(ratio: Spread) -> str:
    return f"{_signed(ratio.low - 1)} to {_signed(ratio.high - 1)}"
