"""Engines take turns in rounds, each in its own process, on cores that are said."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from millisight.compare.findings import Sample, Spread, cores_in_words, spread
from millisight.compare.protocol import Place
from millisight.compare.station import Loaded, Station, Turn
from millisight.cpu import Cores
from millisight.engine import Logits
from millisight.errors import MillisightError

if TYPE_CHECKING:
    from millisight.build.steps import Bar, Step


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured."""

    rounds: int
    seconds: float
    """Of one turn."""
    batches: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Hall:
    """What all stations have in common."""

    folders: Mapping[str, Path]
    """What each engine has prepared."""
    pictures: Path
    cores: Cores
    device: str

    def station(self, name: str, threads: int, first: int = 0) -> Station:
        """Start the process of one engine on ``threads`` cores from the ``first`` one on."""
        mask = self.cores.mask[first : first + threads]
        cores = Cores(mask, self.cores.of, self.cores.quota)
        return Station(name, self.folders[name], self.pictures, Place(threads, self.device), cores)


@dataclass(slots=True)
class Findings:
    """What came of it, by engine."""

    samples: list[Sample] = field(default_factory=list)
    loaded: dict[str, Loaded] = field(default_factory=dict)
    answers: dict[str, Logits] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


def measure(hall: Hall, threads: Sequence[int], effort: Effort, step: "Step") -> Findings:
    """Every engine with each number of threads: single pictures, and with the most threads
    batches too. An engine that fails is left out from then on."""
    found = Findings()
    most = max(threads)
    for number in threads:
        batches = effort.batches if number == most else (1,)
        with _stations(hall, number, found, step, keep_loaded=number == most) as stations:
            if number == most:
                _ask(stations, found, step)
            with step(f"Measuring on {cores_in_words(number)}", total=effort.rounds) as bar:
                _rounds(stations, number, batches, effort, found, bar)
    return found


def _ask(stations: dict[str, Station], found: Findings, step: "Step") -> None:
    with step("Asking each for all pictures", total=len(stations)) as bar:
        for name in list(stations):
            with _failing(name, stations, found):
                found.answers[name] = stations[name].answers()
            bar.advance(1)


def _rounds(
    stations: dict[str, Station],
    threads: int,
    batches: Sequence[int],
    effort: Effort,
    found: Findings,
    bar: "Bar",
) -> None:
    for turn in range(effort.rounds):
        for batch in batches:
            names = list(stations)
            # Nobody always comes after the same neighbour, or always first.
            start = turn % max(1, len(names))
            for name in [*names[start:], *names[:start]]:
                with _failing(name, stations, found):
                    calls = stations[name].take(Turn(batch, effort.seconds))
                    found.samples.append(Sample(name, threads, batch, turn, calls))
        bar.advance(1)


@contextmanager
def _stations(
    hall: Hall, threads: int, found: Findings, step: "Step", *, keep_loaded: bool
) -> Iterator[dict[str, Station]]:
    """The processes of all engines that have not failed, each ready to be asked."""
    stations: dict[str, Station] = {}
    try:
        names = [name for name in hall.folders if name not in found.failed]
        # Where it is not kept how long that takes, all load at once, spread over the cores.
        groups = {name: [name] for name in names} if keep_loaded else {"all": names}
        places = max(1, len(hall.cores.mask) // threads)
        for title, group in groups.items():
            with step(f"Loading {title} on {cores_in_words(threads)}"):
                for number, name in enumerate(group):
                    stations[name] = hall.station(name, threads, number % places * threads)
                for name in group:
                    with _failing(name, stations, found):
                        loaded = stations[name].loaded()
                        if keep_loaded:
                            found.loaded[name] = loaded
        yield stations
    finally:
        for station in stations.values():
            station.close()


@contextmanager
def _failing(name: str, stations: dict[str, Station], found: Findings) -> Iterator[None]:
    """What goes wrong inside is this engine's alone."""
    try:
        yield
    except MillisightError as error:
        found.failed[name] = error.message
        stations.pop(name).close()


def processes_against_one(hall: Hall, name: str, effort: Effort) -> Spread | None:
    """Throughput of one process a core as a multiple of one process with all cores, both asked
    for one picture at a time, in turns. ``None`` where there is only one core."""
    count = hall.cores.count
    if count < 2:
        return None
    turn = Turn(1, 2 * effort.seconds)
    stations: list[Station] = []
    try:
        stations.append(hall.station(name, count))
        stations += [hall.station(name, 1, first) for first in range(count)]
        for station in stations:
            station.loaded()
        one, *many = stations
        ratios = []
        for _ in range(effort.rounds):
            for station in many:
                station.begin(turn)
            together = sum(_rate(station.end()) for station in many)
            ratios.append(together / _rate(one.take(turn)))
        return spread(ratios)
    finally:
        for station in stations:
            station.close()


def _rate(calls: Sequence[float]) -> float:
    return len(calls) / sum(calls)
