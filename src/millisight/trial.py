"""Arrangements under a self-made load: the real classifier, in as many processes as serve has.

Each worker is a process of its own, on its share of the cores, with a network of its own. Clients
are threads beside it that ask again as soon as they have an answer. HTTP is left out, so figures
are higher than a server's, by about the same for every arrangement that is tried.
"""

import contextlib
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Self

from millisight.bundle import Bundle
from millisight.classifier import Classifier, compile_bundle
from millisight.companion import Companion
from millisight.cpu import Cores
from millisight.errors import MillisightError
from millisight.server.workers import settings_within, worker_count
from millisight.settings import Settings
from millisight.tuning import (
    FIRST_SHARE,
    ROUNDS,
    Arrangement,
    Findings,
    Load,
    Sample,
    Split,
    candidates,
    finalists,
    first_levels,
    last_levels,
    pool,
    turns,
)


def usual_arrangement(cores: Cores) -> Arrangement:
    """What serve takes by itself."""
    settings = Settings.model_validate({})
    workers = worker_count(settings, cores)
    threads = {
        settings_within(settings, cores.share(number, workers)).threads for number in range(workers)
    }
    split = Split(workers, threads.pop() if len(threads) == 1 else 0)
    return Arrangement(split, settings.max_batch)


def measure(
    bundle: Bundle,
    settings: Settings,
    cores: Cores,
    photographs: Sequence[bytes],
    *,
    limit_ms: float | None,
    seconds: float,
    say: Callable[[str], None],
) -> Findings:
    """Two looks at the arrangements for ``cores``, in about ``seconds``, loading included.

    Settings that are not tuned are taken from ``settings``. ``say`` is told what goes on. Raises
    ``BundleError`` for a network that cannot be loaded, and ``ProcessDied``.
    """
    ends = time.monotonic() + seconds
    usual = usual_arrangement(cores)
    tried = candidates(cores.count, usual)
    splits = sorted({one.split for one in tried})
    say(f"Loading the network for {len(splits)} splits of the cores")
    most = max(one.max_batch for one in tried)
    with Trial(bundle, settings, cores, photographs, splits, most) as trial:
        say(f"A first look at {len(tried)} arrangements")
        levels = first_levels(cores.count, limit_ms)
        loads = [Load(one, clients) for clients in levels for one in tried]
        first = pool(trial.run(loads, seconds=FIRST_SHARE * (ends - time.monotonic())))
        kept = finalists(first, limit_ms, usual)
        trial.keep({one.split for one in kept})
        say(f"A longer look at {len(kept)} of them")
        levels = last_levels(cores.count, limit_ms)
        loads = [Load(one, clients) for clients in levels for one in kept]
        last = trial.run(loads, seconds=ends - time.monotonic(), rounds=ROUNDS)
        return Findings(usual, first, pool(last))


class Trial:
    """The processes of several splits, alive at once but asked in turns. A context manager."""

    def __init__(
        self,
        bundle: Bundle,
        settings: Settings,
        cores: Cores,
        photographs: Sequence[bytes],
        splits: Iterable[Split],
        most: int,
    ) -> None:
        """Nothing is started yet; ``most`` is the greatest batch cap that will be asked for."""
        self._cores = cores
        self._splits = list(splits)
        self._work = partial(_work, bundle, photographs)
        self._settings = settings.model_copy(update={"max_batch": most})
        self._workers: dict[Split, list[Companion]] = {}

    def __enter__(self) -> Self:
        """Start all processes and wait until each has its network."""
        try:
            for split in self._splits:
                self._workers[split] = [self._start(share, split) for share in self._shares(split)]
            for workers in self._workers.values():
                for worker in workers:
                    worker.receive()
        except BaseException:
            self.keep(())
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.keep(())

    def _shares(self, split: Split) -> list[Cores]:
        return [self._cores.share(number, split.workers) for number in range(split.workers)]

    def _start(self, share: Cores, split: Split) -> Companion:
        settings = self._settings.model_copy(update={"threads": split.threads})
        return Companion(partial(self._work, settings_within(settings, share), share))

    def keep(self, splits: Iterable[Split]) -> None:
        """End the processes of all other splits."""
        others = [split for split in self._workers if split not in splits]
        ending = [worker for split in others for worker in self._workers.pop(split)]
        for worker in ending:
            worker.hang_up()
        for worker in ending:
            worker.end()

    def run(self, loads: Sequence[Load], *, seconds: float, rounds: int = 1) -> list[Sample]:
        """Samples of every load, in turns, for about ``seconds``; see ``tuning.turns``."""
        rounds, each = turns(seconds, len(loads), rounds)
        return [self._run(load, each) for _ in range(rounds) for load in loads]

    def _run(self, load: Load, seconds: float) -> Sample:
        asked = list(
            zip(self._workers[load.arrangement.split], load.shares(), strict=True),
        )
        for worker, clients in asked:
            if clients:
                worker.send((load.arrangement.max_batch, clients, seconds))
        return Sample(load, [worker.receive() if clients else [] for worker, clients in asked])


def _work(
    bundle: Bundle,
    photographs: Sequence[bytes],
    settings: Settings,
    share: Cores,
    pipe: Connection,
) -> None:
    """The whole life of a worker, in its own process."""
    warnings.filterwarnings("ignore", module="PIL")
    share.take()
    # The other end is closed when no more is wanted.
    with contextlib.suppress(EOFError, ConnectionError):
        try:
            engine = compile_bundle(bundle, settings)
            pipe.send(None)
            while True:
                max_batch, clients, seconds = pipe.recv()
                # Clients are never refused, or they would ask again at once and slow the others.
                queue = max(settings.max_queue, clients)
                capped = {"max_batch": max_batch, "max_queue": queue}
                mine = settings.model_copy(update=capped)
                with Classifier(bundle, mine, engine=engine) as classifier:
                    pipe.send(ask(classifier, photographs, clients, seconds))
        except MillisightError as error:
            pipe.send(error)


def ask(
    classifier: Classifier, photographs: Sequence[bytes], clients: int, seconds: float
) -> list[float]:
    """How long each answer took, in milliseconds, under ``clients`` clients for ``seconds``.

    The first answer of each client, when all of them start at once, is not counted; every client
    waits for at least one more.
    """
    ends = time.monotonic() + seconds
    with ThreadPoolExecutor(clients) as threads:
        waits = threads.map(partial(_client, classifier, photographs, ends), range(clients))
        return [wait for one in waits for wait in one]


def _client(
    classifier: Classifier, photographs: Sequence[bytes], ends: float, number: int
) -> list[float]:
    waits: list[float] = []
    asked = time.monotonic()
    while asked < ends or len(waits) < 2:
        photograph = photographs[(number + len(waits)) % len(photographs)]
        # As the server does, so that its threads decode, and no more of them than it has.
        classifier.submit(photograph).result()
        answered = time.monotonic()
        waits.append((answered - asked) * 1e3)
        asked = answered
    return waits[1:]
