"""The parts of the benchmark. Each takes what is set up and gives rows for the results."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from contestants import ALL, CEILING, MILLISIGHT, Contestant
from environments import HERE, environment
from figures import BUSY, Row
from load import WARM_UP_S, generate
from machine import Machine
from model import Model
from processes import DidNotStart, Server, running

PHONE_CLIENTS = (1, 8)
SOAK_TURNS = 3
LONGEST_WARM_UP_S = 60


@dataclass(frozen=True, slots=True)
class Setup:
    """What every part needs."""

    machine: Machine
    model: Model
    millisight: Path
    """Folder of millisight's programs."""
    work: Path
    """For logs and lists."""
    photographs: Path
    """List of paths, one a line."""
    in_json: Path
    """The same photographs, for those who take them in JSON."""
    seconds: int

    def programs(self, one: Contestant) -> Path:
        """Where the programs of ``one`` are."""
        return self.millisight if one == MILLISIGHT else environment(one.environment)

    def listed(self, one: Contestant) -> Path:
        """List of what is sent to ``one``."""
        return self.in_json if one.mode == "json" else self.photographs

    def first(self, one: Contestant) -> tuple[bytes, str]:
        """A request's body and its type, to see whether ``one`` answers."""
        body = Path(self.listed(one).read_text().partition("\n")[0]).read_bytes()
        if one.mode == "json":
            return body + b'"}', "application/json"
        return body, "image/jpeg"

    @contextmanager
    def serving(self, one: Contestant) -> Iterator[Server]:
        """``one``, answering."""
        words = {"{cores}": str(self.machine.cores), "{bundle}": str(self.model.bundle)}
        command = [_fill(word, words) for word in one.command]
        command[0] = str(self.programs(one) / command[0])
        environ = {
            "BENCHMARK_BUNDLE": str(self.model.bundle),
            "BENCHMARK_WEIGHTS": str(self.model.weights),
            "BENCHMARK_CORES": str(self.machine.cores),
            # Nobody's figures are to contain reports to their makers.
            "BENTOML_DO_NOT_TRACK": "True",
            "RAY_USAGE_STATS_ENABLED": "0",
        }
        with running(command, one.path, environ, self.work, self.first(one)) as server:
            yield server


def load_part(setup: Setup, names: list[str], clients: list[int], rounds: int) -> list[Row]:
    """Every contestant in turn, round after round, each round in another order."""
    rows: list[Row] = []
    broken: set[str] = set()
    for number in range(rounds):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            if name in broken:
                continue
            if name == CEILING:
                seen = _ceiling(setup, clients)
            else:
                try:
                    seen = _loaded(setup, ALL[name], clients)
                except DidNotStart as error:
                    broken.add(name)
                    seen = [{"failed": str(error)}]
            rows += [{"contestant": name, "round": number, **row} for row in seen]
            print(f"  round {number + 1}  {name:12} {_summary(seen)}", flush=True)
    return rows


def phone_part(setup: Setup, names: list[str], photographs: Path) -> list[Row]:
    """Photographs of 12 megapixels against those contestants, then decoding alone."""
    rows: list[Row] = []
    for name in names:
        with setup.serving(ALL[name]) as server:
            generate(server.url, photographs, clients=2, seconds=WARM_UP_S)
            for clients in PHONE_CLIENTS:
                load = generate(server.url, photographs, clients=clients, seconds=setup.seconds)
                rows.append({"contestant": name, **load.as_json()})
        print(f"  {name:12} {_summary(rows[-2:])}", flush=True)
    output = subprocess.run(
        [setup.millisight / "python", HERE / "phone_decode.py", photographs],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    return [*rows, {"decode": json.loads(output)}]


def cache_part(setup: Setup, one_photograph: Path) -> list[Row]:
    """New pictures, one picture again and again, and a hundred again and again."""
    rows: list[Row] = []
    with setup.serving(MILLISIGHT) as server:
        for what, photographs, mode in (
            ("new", setup.photographs, "unique"),
            ("one repeated", one_photograph, "repeat"),
            ("all repeated", setup.photographs, "repeat"),
        ):
            ask = partial(generate, server.url, photographs, clients=BUSY, mode=mode)
            # What is asked again must have been asked before.
            count = len(photographs.read_text().splitlines()) if mode == "repeat" else 1
            seconds = WARM_UP_S
            while (seen := ask(seconds=seconds)).requests - seen.errors < count:
                seconds *= 2
                if seconds > LONGEST_WARM_UP_S:
                    raise RuntimeError(f"{count} pictures take too long for what is to be measured")
            load = ask(seconds=setup.seconds)
            rows.append({"what": what, **load.as_json()})
            print(f"  {what:12} {load.rate:.0f}/s", flush=True)
    return rows


def startup_part(setup: Setup, starts: int) -> list[Row]:
    """From the start of the process to the first answer, several times."""
    rows = []
    for _ in range(starts):
        with setup.serving(MILLISIGHT) as server:
            rows.append({"startup_s": server.startup_s, "idle_rss_mb": server.peak_rss_mb})
    return rows


def soak_part(setup: Setup, requests: int) -> list[Row]:
    """Many requests to one server, in slices; then that one and a fresh one in turns."""
    rows: list[Row] = []
    done = 0
    if not requests:
        return rows
    with setup.serving(MILLISIGHT) as old:
        _warm_up(setup, old)
        while done < requests:
            rows.append(_slice(setup, old, "ageing"))
            done += rows[-1]["requests"]
            rows[-1]["done"] = done
            _tell(f"{done:6} requests", rows[-1])
        with setup.serving(MILLISIGHT) as fresh:
            _warm_up(setup, fresh)
            for _ in range(SOAK_TURNS):
                for what, server in (("old", old), ("fresh", fresh)):
                    rows.append(_slice(setup, server, what))
                    _tell(what, rows[-1])
    return rows


def _warm_up(setup: Setup, server: Server) -> None:
    generate(server.url, setup.photographs, clients=BUSY, seconds=WARM_UP_S)


def _slice(setup: Setup, server: Server, what: str) -> Row:
    server.peak_rss_mb = 0
    load = generate(server.url, setup.photographs, clients=BUSY, seconds=10)
    server.weigh()
    return {"what": what, "rss_mb": server.peak_rss_mb, **load.as_json()}


def _tell(what: str, row: Row) -> None:
    print(f"  {what}: {row['rate']:.0f}/s, {row['rss_mb']:.0f} MB", flush=True)


def _loaded(setup: Setup, one: Contestant, clients: list[int]) -> list[Row]:
    rows: list[Row] = []
    with setup.serving(one) as server:
        send = partial(generate, server.url, setup.listed(one), mode=one.mode)
        send(clients=BUSY, seconds=WARM_UP_S)
        for number in clients:
            before = server.cpu_seconds()
            load = send(clients=number, seconds=setup.seconds)
            used = round(server.cpu_seconds() - before, 2)
            rows.append({**load.as_json(), "server_cpu_s": used})
        seen = {"startup_s": server.startup_s, "peak_pss_mb": server.peak_pss_mb,
                "peak_rss_mb": server.peak_rss_mb}  # fmt: skip
    return [*rows, seen]


def _ceiling(setup: Setup, clients: list[int]) -> list[Row]:
    output = subprocess.run(
        [setup.millisight / "python", HERE / "ceiling.py", setup.model.bundle, setup.photographs,
         str(setup.seconds), *map(str, clients)],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    return [json.loads(line) for line in output.splitlines()]


def _fill(word: str, words: dict[str, str]) -> str:
    for placeholder, value in words.items():
        word = word.replace(placeholder, value)
    return word


def _summary(rows: list[Row]) -> str:
    if "failed" in rows[0]:
        return f"did not start: {rows[0]['failed'][-300:]}"
    loads = [row for row in rows if "rate" in row]
    best = max(loads, key=lambda row: float(row["rate"]))
    return (
        f"{loads[0]['clients']} client: {loads[0]['p50_ms']:.1f} ms; "
        f"best {best['rate']:.0f}/s at {best['clients']}"
    )
