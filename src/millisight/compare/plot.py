"""A comparison as a picture: bars of latency and of throughput."""

from pathlib import Path

import matplotlib as mpl

from millisight.compare.findings import Results, Row, cores_in_words
from millisight.compare.report import ordered

mpl.use("svg")
from matplotlib import pyplot as plt

_COLORS = ("#94a3b8", "#0e7490", "#c2410c")


def draw(results: Results, file: Path) -> None:
    """Write an SVG; the same results give the same file."""
    mpl.rcParams["svg.hashsalt"] = "millisight"
    rows = [row for row in ordered(results)[::-1] if row.latency]
    names = [f"{row.title} · {row.precision}" for row in rows]
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(11, 1.5 + 0.45 * len(rows)), sharey=True, layout="constrained"
    )
    height = 0.8 / len(results.threads)
    for number, threads in enumerate(results.threads):
        places = [place + height * (number - (len(results.threads) - 1) / 2) for place, _ in
                  enumerate(rows)]  # fmt: skip
        label = cores_in_words(threads)
        bars = left.barh(
            places, [_ms(row, threads) for row in rows], height, label=label,
            color=_COLORS[number % len(_COLORS)],
        )  # fmt: skip
        left.bar_label(bars, fmt="%.1f", padding=3, fontsize=8)
    left.set_yticks(range(len(rows)), names)
    left.set_xlabel("median latency of one picture, ms")
    left.legend(frameon=False, loc="upper right")
    rates = [row.best.images_per_second.median if row.best else 0.0 for row in rows]
    right.bar_label(
        right.barh(range(len(rows)), rates, 0.6, color=_COLORS[-1]), fmt="%.0f", padding=3
    )
    right.set_xlabel("images a second at the best batch")
    for axes in (left, right):
        axes.margins(x=0.15)
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(
        f"{results.model.partition(',')[0]} · {results.machine} · {results.date}", fontsize=9
    )
    figure.savefig(file, format="svg", metadata={"Date": None})
    plt.close(figure)


def _ms(row: Row, threads: int) -> float:
    found = row.latency_on(threads)
    return found.ms.median if found else 0.0
