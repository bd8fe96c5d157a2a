"""The benchmark: every contestant, the same photographs, one machine, one run.

    make benchmark                     some forty minutes
    make benchmark QUICK=1             five minutes, once everything is installed
    make benchmark ARGS="--images DIR" with your own photographs

Writes ``results.json``, ``results.md`` and two plots to ``benchmarks/results/<machine>/``.
"""

import argparse
import json
import tempfile
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from contestants import ALL, CEILING, MILLISIGHT
from environments import HERE, versions
from machine import Machine, this_machine
from model import resnet18
from parts import Setup, cache_part, load_part, phone_part, soak_part, startup_part
from photographs import SHIPPED, in_json, phone_photographs, photographs
from plots import draw
from report import report

PHONE_PEERS = ("article", "mosec")


@dataclass(frozen=True, slots=True)
class Effort:
    """How long everything is measured."""

    rounds: int
    seconds: int
    clients: tuple[int, ...]
    starts: int
    soak_requests: int


FULL = Effort(rounds=3, seconds=5, clients=(1, 2, 4, 8, 16, 32), starts=5, soak_requests=50_000)
QUICK = Effort(rounds=1, seconds=3, clients=(1, 8, 16), starts=3, soak_requests=0)


def main() -> None:
    """Set everything up, measure part by part, write the report."""
    options = _options()
    effort = QUICK if options.quick else FULL
    if options.soak is not None:
        effort = replace(effort, soak_requests=options.soak)
    machine = this_machine()
    names = [MILLISIGHT.name, CEILING, *(options.against or [n for n in ALL if n != "millisight"])]
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        results = _measure(Path(folder), machine, effort, names, options.images)
    output = options.output or HERE / "results" / machine.slug()
    output.mkdir(parents=True, exist_ok=True)
    (output / "results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    draw(results, output)
    text = report(results)
    (output / "results.md").write_text(text, encoding="utf-8")
    print(f"\n{text}\nWritten to {output}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one short round, no --soak")
    parser.add_argument(
        "--soak",
        type=int,
        metavar="N",
        help=f"requests to one server at the end, else {FULL.soak_requests:,}; 0 for none",
    )
    parser.add_argument("--images", type=Path, help="folder of JPEG photographs, at least 100")
    parser.add_argument("--output", type=Path, help="folder for the results")
    parser.add_argument(
        "--against", nargs="*", metavar="NAME", choices=[n for n in ALL if n != MILLISIGHT.name],
        help="only these contestants",
    )  # fmt: skip
    return parser.parse_args()


def _measure(
    work: Path, machine: Machine, effort: Effort, names: list[str], images: Path | None
) -> dict[str, Any]:
    setup, shown = set_up(work, machine, effort, names, images)
    phones = _listed(work, "phones", phone_photographs(work, paths(setup.photographs)))
    one = _listed(work, "one", paths(setup.photographs)[:1])
    _say(f"Load: {len(names)} contestants, {effort.rounds} round(s)")
    load = load_part(setup, names, list(effort.clients), effort.rounds)
    started = {row["contestant"] for row in load if "startup_s" in row}
    _say("Photographs of 12 megapixels")
    phone = phone_part(setup, [n for n in (MILLISIGHT.name, *PHONE_PEERS) if n in started], phones)
    _say("Repeated pictures")
    cache = cache_part(setup, one)
    _say("Start")
    startup = startup_part(setup, effort.starts)
    _say("Many requests")
    soak = soak_part(setup, effort.soak_requests)
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "machine": asdict(machine) | {"described": machine.describe()},
        "effort": asdict(effort),
        "model": setup.model.origin,
        "photographs": _describe(paths(setup.photographs), images),
        "versions": shown,
        "load": load,
        "phone": phone,
        "cache": cache,
        "startup": startup,
        "soak": soak,
    }


def set_up(
    work: Path, machine: Machine, effort: Effort, names: list[str], images: Path | None
) -> tuple[Setup, dict[str, dict[str, str]]]:
    """Everything installed and built, and which versions that gave."""
    pictures = photographs(work, images)
    setup = Setup(
        machine=machine,
        model=resnet18(),
        millisight=HERE.parent / ".venv" / "bin",
        work=work,
        photographs=_listed(work, "photographs", pictures),
        in_json=_listed(work, "in_json", in_json(work, pictures)),
        seconds=effort.seconds,
    )
    shown = {}
    for name in names:
        if name != CEILING:
            installed = versions(setup.programs(ALL[name]))
            shown[name] = {one: installed.get(one, "?") for one in ALL[name].shows}
    return setup, shown


def _listed(work: Path, name: str, paths: list[Path]) -> Path:
    listed = work / f"{name}.txt"
    listed.write_text("".join(f"{path.resolve()}\n" for path in paths))
    return listed


def paths(listed: Path) -> list[Path]:
    """What ``listed`` lists."""
    return [Path(line) for line in listed.read_text().splitlines()]


def _describe(paths: list[Path], images: Path | None) -> str:
    size = sum(path.stat().st_size for path in paths) / len(paths) / 1e3
    whose = SHIPPED if images is None else "the user's own"
    return f"{len(paths)} JPEG photographs of {size:.0f} KB on average, {whose}"


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    main()
