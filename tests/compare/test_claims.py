"""The article's claims, each with its figure and a verdict."""

from dataclasses import replace

import pytest

from millisight.compare.claims import claims
from millisight.compare.findings import Latency, Results, Row, Spread, Throughput

ONE = Spread(1, 1, 1)


def row(engine: str, ratio: float, size: float = 47.0) -> Row:
    return Row(
        engine=engine, title=engine, precision="float32", size_mb=size,
        latency=(Latency(2, ONE, 1, Spread(ratio, ratio, ratio)),),
        throughput=(Throughput(2, 1, Spread(50, 50, 50), ONE),),
    )  # fmt: skip


def results(*rows: Row, processes: float | None = None) -> Results:
    return Results(
        date="", machine="", model="", pictures="", method="", versions={}, rows=rows,
        threads=(1, 2), processes=processes and Spread(processes, processes, processes),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("ratio", "verdict"),
    [
        (0.8, "Not so: slower."),
        (1.02, "Not so: no difference"),
        (1.08, "Partly"),
        (1.17, "So it is."),
        (1.6, "More than that."),
    ],
)
def test_tracing_is_judged_by_what_was_promised(ratio: float, verdict: str) -> None:
    found = claims(results(row("torch_traced", ratio)))[0]
    assert found.verdict.startswith(verdict)
    assert f"{100 * (ratio - 1):+.0f} %" in found.measured


@pytest.mark.parametrize(("size", "verdict"), [(45, "Not so"), (30, "Partly"), (24, "So it is")])
def test_a_file_is_halved_or_not(size: float, verdict: str) -> None:
    rows = (row("torch_eager", 1), row("torch_dynamic_int8", 1, size))
    found = claims(results(*rows))[2]
    assert found.verdict.startswith(verdict)
    assert f"47.0 MB become {size:.1f} MB" in found.measured


@pytest.mark.parametrize(("rate", "verdict"), [(51, "Not so"), (60, "So it is, once 8 pictures")])
def test_a_batch_costs_less_or_not(rate: float, verdict: str) -> None:
    traced = row("torch_traced", 1)
    batch = Throughput(2, 8, Spread(rate, rate, rate), ONE)
    traced = replace(traced, throughput=(*traced.throughput, batch))
    assert claims(results(traced))[3].verdict.startswith(verdict)


@pytest.mark.parametrize(
    ("processes", "verdict"), [(1.3, "So it is"), (1.0, "Not so: one process"), (0.8, "Not so: it")]
)
def test_processes_help_or_not(processes: float, verdict: str) -> None:
    assert claims(results(processes=processes))[4].verdict.startswith(verdict)


def test_what_could_not_run_says_why() -> None:
    failed = Row(engine="torch_traced", title="", precision="", failed="it broke")
    found = claims(results(failed))
    assert found[0].measured == "it broke"
    assert {one.verdict for one in found} == {"Not known here."}
