"""Two pictures of a run: latency against throughput, and bars."""

from pathlib import Path
from statistics import median

import matplotlib as mpl
from figures import Results, loads, standings

mpl.use("svg")
from matplotlib import pyplot as plt

CURVES = "latency-against-throughput.svg"
BARS = "bars.svg"

_OURS = "#c2410c"
_OTHERS = ("#475569", "#0e7490", "#7c3aed", "#15803d", "#b45309", "#be185d", "#64748b", "#1e293b")

# The same numbers give the same file.
mpl.rcParams["svg.hashsalt"] = "millisight"


def draw(results: Results, folder: Path) -> None:
    """Both plots, written to ``folder``."""
    title = f"{results['machine']['described']}, {results['date']}"
    _curves(results, title, folder / CURVES)
    _bars(results, title, folder / BARS)


def _color(name: str, place: int) -> str:
    return _OURS if name == "millisight" else _OTHERS[place % len(_OTHERS)]


def _curves(results: Results, title: str, path: Path) -> None:
    """One line a contestant, one point for each number of clients: right and low is good."""
    figure, axes = plt.subplots(figsize=(8, 5))
    for place, one in enumerate(standings(results)):
        rows = loads(results, one.name)
        points = [
            tuple(median(row[k] for row in rows if row["clients"] == clients)
                  for k in ("rate", "p50_ms"))
            for clients in results["effort"]["clients"]
        ]  # fmt: skip
        axes.plot(
            *zip(*points, strict=True), marker="o", markersize=4, label=one.name,
            color=_color(one.name, place),
            linestyle="--" if one.name == "ceiling" else "-",
            linewidth=2.5 if one.name == "millisight" else 1.3,
        )  # fmt: skip
    axes.set(
        xlabel="answers a second", ylabel="median latency, ms (log)", yscale="log", title=title
    )
    axes.set_xlim(left=0)
    axes.grid(visible=True, which="both", alpha=0.2)
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False)
    _save(figure, path)


def _bars(results: Results, title: str, path: Path) -> None:
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), sharey=True)
    seen = standings(results)[::-1]
    names = [one.name for one in seen]
    colors = [_OURS if name == "millisight" else "#94a3b8" for name in names]
    for axes, values, label, form in (
        (left, [one.rate for one in seen], "answers a second at saturation", "%.0f"),
        (right, [one.alone_p50_ms for one in seen], "median latency, one client, ms", "%.1f"),
    ):
        axes.bar_label(axes.barh(names, values, color=colors), fmt=form, padding=3)
        axes.set_xlabel(label)
        axes.margins(x=0.15)
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(title)
    _save(figure, path)


def _save(figure: plt.Figure, path: Path) -> None:
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
