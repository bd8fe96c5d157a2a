"""A comparison as table, Markdown and JSON."""

import json
from io import StringIO

from rich.console import Console

from millisight.compare.claims import Claim
from millisight.compare.findings import Latency, Results, Row, Spread, Throughput
from millisight.compare.report import as_json, failures, markdown, terminal_table
from millisight.manifest import Accuracy


def latency(threads: int, ms: float) -> Latency:
    return Latency(threads, Spread(ms, ms - 1, ms + 1), ms + 2, Spread(2, 1.9, 2.1))


FAST = Row(
    engine="fast", title="Fast", precision="int8", size_mb=11.7, load_s=0.31, memory_mb=90.4,
    latency=(latency(1, 8.0), latency(2, 5.0)),
    throughput=(Throughput(2, 4, Spread(321.4, 300, 340), None),),
    accuracy=Accuracy(images=10, top1=90, top5=100), agreement=99.5, max_logit_difference=0.25,
)  # fmt: skip
SLOW = Row(engine="slow", title="Slow", precision="float32", latency=(latency(2, 30.0),))
BROKEN = Row(engine="broken", title="Broken", precision="bf16", failed="no bf16 here")
RESULTS = Results(
    date="2026-01-01", machine="a machine", model="net, 10 classes", pictures="10 pictures",
    method="turns", versions={"torch": "2"}, rows=(BROKEN, SLOW, FAST), threads=(1, 2),
)  # fmt: skip
CLAIM = Claim("It flies.", "3 m", "Not so.")


def test_the_fastest_stands_first_and_what_failed_last() -> None:
    shown = StringIO()
    Console(width=300, file=shown).print(terminal_table(RESULTS))
    text = shown.getvalue()
    assert text.index("Fast") < text.index("Slow") < text.index("Broken")
    for cell in ("5.00 ± 1.00", "7.00", "2.00 (1.90–2.10)", "321.4 (4)", "90 MB", "0.3 s",
                 "90.00 %", "99.50 %", "2.5e-01"):  # fmt: skip
        assert cell in text


def test_why_an_engine_failed_is_one_line() -> None:
    assert failures(RESULTS) == ["Broken, bf16, did not run: no bf16 here."]


def test_the_page_names_machine_method_and_claims() -> None:
    page = markdown(RESULTS, [CLAIM])
    for words in ("# net", "machine: a machine", "| Fast | int8 | 11.7 |", "no bf16 here",
                  "| It flies. | 3 m | Not so. |", "](comparison.svg)"):  # fmt: skip
        assert words in page
    lines = [line for line in page.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in lines[:5]} == {lines[0].count("|")}
    assert "claim" not in markdown(RESULTS, [])


def test_json_holds_all_of_it() -> None:
    body = json.loads(as_json(RESULTS, [CLAIM]))
    assert body["rows"][2]["accuracy"]["top1"] == 90
    assert body["rows"][2]["latency"][0]["ratio"] == {"median": 2, "low": 1.9, "high": 2.1}
    assert body["claims"][0]["verdict"] == "Not so."
