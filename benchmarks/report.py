"""The report of a run, as Markdown."""

from statistics import median
from typing import Any

from contestants import CEILING
from figures import Results, Row, Standing, failures, latency_ratio, loads, rate_ratio, standings
from goals import goals
from plots import BARS, CURVES

TITLES = {
    "millisight": "**millisight**",
    "article": "Flask, gunicorn, gevent, TorchScript",
    "litserve": "LitServe, INT8",
    "mosec": "mosec, INT8",
    "bentoml": "BentoML, INT8",
    "ray serve": "Ray Serve, INT8",
    "torchserve": "TorchServe, stock handler",
    CEILING: "ceiling: one process, no HTTP",
}


def report(results: Results) -> str:
    """All of it."""
    parts = [_head(results), table(results), _plots(), _levels(results), _goals(results)]
    return "\n".join(part for part in parts if part)


def table(results: Results) -> str:
    """The contestants, fastest first, with ratios taken round by round."""
    lines = [
        "| | answers/s | × | p50, 1 client | × | p50 / p99, 8 clients | memory | start | errors |",
        "|---|---|---|---|---|---|---|---|---|",
        *(_line(results, one) for one in standings(results)),
        "",
        "× is millisight's figure against this one's, the median over the rounds: rates of this "
        "many times as much, latencies of this part. Memory is the peak of all processes, shared "
        "pages counted once; start is from the process to its first answer.",
        "",
    ]
    lines += [f"{TITLES[name]} did not start: {words}" for name, words in failures(results).items()]
    return "\n".join(lines)


def _line(results: Results, one: Standing) -> str:
    ratios = rate_ratio(results, one.name), latency_ratio(results, one.name)
    rates, latencies = (f"{ratio:.2f}" if ratio else "" for ratio in ratios)
    memory = "" if one.memory_mb is None else f"{one.memory_mb:.0f} MB"
    start = "" if one.startup_s is None else f"{one.startup_s:.1f} s"
    return (
        f"| {TITLES[one.name]} | {one.rate:.0f} | {rates} | {one.alone_p50_ms:.1f} ms "
        f"| {latencies} | {one.busy_p50_ms:.0f} / {one.busy_p99_ms:.0f} ms | {memory} | {start} "
        f"| {one.errors} |"
    )


def _head(results: Results) -> str:
    effort = results["effort"]
    versions = [
        f"- {TITLES[name].strip('*')}: {', '.join(f'{k} {v}' for k, v in shown.items())}"
        for name, shown in results["versions"].items()
    ]
    return "\n".join([
        "# Benchmark",
        "",
        f"{results['date']}, {results['machine']['described']}. "
        f"ResNet-18 with {results['model']}. {results['photographs']}, each request different. "
        f"{effort['rounds']} round(s), {effort['seconds']} s for each number of clients "
        f"({', '.join(map(str, effort['clients']))}), contestants in turn.",
        "",
        *versions,
        "",
    ])  # fmt: skip


def _plots() -> str:
    return f"![Latency against throughput]({CURVES})\n\n![Throughput and latency]({BARS})\n"


def _levels(results: Results) -> str:
    """Every number of clients, medians over the rounds."""
    clients = results["effort"]["clients"]
    lines = [
        "## Every load",
        "",
        "Answers a second, and p50 / p95 / p99 in milliseconds.",
        "",
        "| clients | " + " | ".join(map(str, clients)) + " |",
        "|---" * (len(clients) + 1) + "|",
    ]
    for one in standings(results):
        cells = [_cell(loads(results, one.name), number) for number in clients]
        lines.append(f"| {TITLES[one.name]} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, ""])


def _cell(rows: list[dict[str, Any]], clients: int) -> str:
    at = [row for row in rows if row["clients"] == clients]
    rate, *times = (median(r[k] for r in at) for k in ("rate", "p50_ms", "p95_ms", "p99_ms"))
    return f"{rate:.0f}; {' / '.join(f'{time:.1f}' for time in times)}"


def _goals(results: Results) -> str:
    lines = ["## Goals", "", "| | wanted | measured | |", "|---|---|---|---|"]
    for goal in goals(results):
        verdict = "met" if goal.met else "**missed**"
        lines.append(f"| {goal.what} | {goal.wanted} | {goal.measured} | {verdict} |")
    return "\n".join([*lines, "", _parts(results)])


def _parts(results: Results) -> str:
    """The parts beside the load, as lists."""
    phone = [
        f"- {TITLES[row['contestant']].strip('*')}, {row['clients']} client(s): "
        f"{row['rate']:.0f}/s, p50 {row['p50_ms']:.0f} ms"
        for row in results["phone"]
        if "contestant" in row
    ]
    cache = [
        f"- {row['what']}: {row['rate']:.0f}/s, "
        f"p50 {row['p50_ms']:.2f} ms, p99 {row['p99_ms']:.2f} ms"
        for row in results["cache"]
    ]
    soak = [
        f"- {_age(row)}: {row['rate']:.0f}/s, {row['rss_mb']:.0f} MB" for row in results["soak"]
    ]
    text = ["## Photographs of 12 megapixels", "", *phone, "",
            "## Repeated pictures, 8 clients", "", *cache, ""]  # fmt: skip
    return "\n".join(text + (["## Many requests", "", *soak, ""] if soak else []))


def _age(row: Row) -> str:
    if row["what"] == "ageing":
        return f"after {row['done']:,}"
    return "then, again" if row["what"] == "old" else "a fresh server"
