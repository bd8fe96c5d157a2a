"""A comparison for people: a table on the terminal, a page of Markdown, and JSON."""

import dataclasses
import json
from collections.abc import Sequence

from rich import box
from rich.table import Table

from millisight.compare.claims import Claim
from millisight.compare.findings import Latency, Results, Row, cores_in_words

PLOT = "comparison.svg"


def columns(results: Results) -> list[str]:
    """The heads of the table."""
    times = [
        part
        for threads in results.threads
        for part in (f"ms, {cores_in_words(threads)}", "p95", "× eager")
    ]
    return [
        "engine", "precision", "MB", *times, "images/s (batch)", "memory", "load",
        "top-1", "top-5", "agree", "logits off",
    ]  # fmt: skip


def ordered(results: Results) -> list[Row]:
    """The fastest first, those that failed last."""
    most = max(results.threads)

    def place(row: Row) -> tuple[bool, float]:
        found = row.latency_on(most)
        return bool(row.failed) or found is None, found.ms.median if found else 0.0

    return sorted(results.rows, key=place)


def cells(results: Results, row: Row) -> list[str]:
    """One line of the table."""
    times = [cell for threads in results.threads for cell in _times(row.latency_on(threads))]
    best = row.best
    accuracy = row.accuracy
    return [
        row.title,
        row.precision,
        _number(row.size_mb, ".1f"),
        *times,
        f"{best.images_per_second.median:.1f} ({best.batch})" if best else "",
        _number(row.memory_mb, ".0f", " MB"),
        _number(row.load_s, ".1f", " s"),
        _number(accuracy.top1 if accuracy else None, ".2f", " %"),
        _number(accuracy.top5 if accuracy else None, ".2f", " %"),
        _number(row.agreement, ".2f", " %"),
        _number(row.max_logit_difference, ".1e"),
    ]


def _times(found: Latency | None) -> list[str]:
    if found is None:
        return ["", "", ""]
    half = (found.ms.high - found.ms.low) / 2
    ratio = found.ratio
    shown = "" if ratio is None else f"{ratio.median:.2f} ({ratio.low:.2f}–{ratio.high:.2f})"
    return [f"{found.ms.median:.2f} ± {half:.2f}", f"{found.p95_ms:.2f}", shown]


def _number(value: float | None, form: str, unit: str = "") -> str:
    return "" if value is None else f"{value:{form}}{unit}"


def terminal_table(results: Results) -> Table:
    """The table for rich."""
    table = Table(box=box.SIMPLE_HEAD, collapse_padding=True, pad_edge=False)
    for number, name in enumerate(columns(results)):
        table.add_column(name, justify="left" if number < 2 else "right")
    for row in ordered(results):
        table.add_row(*cells(results, row))
    return table


def failures(results: Results) -> list[str]:
    """Why engines could not run, one line each."""
    return [
        f"{row.title}, {row.precision}, did not run: {row.failed.rstrip('.')}."
        for row in results.rows
        if row.failed
    ]


def facts(results: Results) -> dict[str, str]:
    """What the figures hold for."""
    return {
        "date": results.date,
        "machine": results.machine,
        "model": results.model,
        "pictures": results.pictures,
        "method": results.method,
        "versions": ", ".join(f"{name} {found}" for name, found in results.versions.items()),
        "taken": f"{results.seconds:.0f} s in all",
    }


def claim_lines(found: Sequence[Claim]) -> list[str]:
    """Each claim in two lines."""
    return [f"{one.says}\n  measured: {one.measured}. {one.verdict}" for one in found]


def markdown(results: Results, found: Sequence[Claim]) -> str:
    """All of it as a page."""
    heads = columns(results)
    lines = [
        f"# {results.model.partition(',')[0]}: which trick really helps",
        "",
        *(f"- {name}: {fact}" for name, fact in facts(results).items()),
        "",
        "| " + " | ".join(heads) + " |",
        "|---|---" + "|--:" * (len(heads) - 2) + "|",
        *("| " + " | ".join(cells(results, row)) + " |" for row in ordered(results)),
        "",
        *(f"- {line}" for line in failures(results)),
        "",
        "Times are medians of the rounds' medians, ± half of what lies between their quartiles; "
        "p95 is of all calls. × eager says how many times as fast as torch eager in the same "
        "round: the median of the rounds, and their quartiles. Memory is what the process has "
        "grown by when it has answered first, load what it took until then.",
        "",
        f"![Latency and throughput]({PLOT})",
        "",
    ]
    if found:
        lines += ["| claim | measured | verdict |", "|---|---|---|"]
        lines += [f"| {one.says} | {one.measured} | {one.verdict} |" for one in found]
        lines.append("")
    return "\n".join(lines)


def as_json(results: Results, found: Sequence[Claim]) -> str:
    """All of it for programs."""
    body = dataclasses.asdict(results)
    for row, written in zip(results.rows, body["rows"], strict=True):
        written["accuracy"] = row.accuracy and row.accuracy.model_dump()
    body["claims"] = [dataclasses.asdict(one) for one in found]
    return json.dumps(body, ensure_ascii=False, indent=2) + "\n"
