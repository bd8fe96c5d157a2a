"""An engine in a process of its own: what goes on there, and how it is asked from here."""

import logging
import os
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from millisight.companion import Companion
from millisight.compare.engines import find_engine
from millisight.compare.protocol import Infer, Place
from millisight.cpu import Cores
from millisight.engine import Logits
from millisight.errors import EngineUnavailable, MillisightError

WARM_UP = 0.05
"""Seconds of single pictures before the calls that count, or one call: what others left in the
caches must go. A size of batch that is new begins with a batch: it may have to be compiled."""

_ANSWER_BATCH = 4


@dataclass(frozen=True, slots=True)
class Loaded:
    """What it took to be ready."""

    seconds: float
    """From the import of the library to the first answer, compiling included."""
    memory_mb: float
    """What the process had grown by then, in millions of bytes; 0 where the system does not say."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What an engine is asked to do in a turn."""

    batch: int
    seconds: float


class Station:
    """The process of one engine."""

    def __init__(self, name: str, folder: Path, pictures: Path, place: Place, cores: Cores) -> None:
        """Start it on ``cores``; it begins to load. ``folder`` is what the engine has prepared,
        ``pictures`` a file of pixels ``(n, crop, crop, 3)`` uint8."""
        self._companion = Companion(partial(_work, name, folder, pictures, place, cores))

    def loaded(self) -> Loaded:
        """Wait until it is ready. Raises what hindered it."""
        answer: Loaded = self._companion.receive()
        return answer

    def answers(self) -> Logits:
        """Logits ``(n, classes)`` of all pictures."""
        self._companion.send(None)
        logits: Logits = self._companion.receive()
        return logits

    def begin(self, turn: Turn) -> None:
        """Let it take a turn; ``end`` waits for what came of it."""
        self._companion.send(turn)

    def end(self) -> list[float]:
        """Seconds of each call in the turn that ``begin`` began."""
        calls: list[float] = self._companion.receive()
        return calls

    def take(self, turn: Turn) -> list[float]:
        """Seconds of each call in a turn, the warm-up left out."""
        self.begin(turn)
        return self.end()

    def close(self) -> None:
        """End the process."""
        self._companion.hang_up()
        self._companion.end()


def _work(
    name: str, folder: Path, pictures: Path, place: Place, cores: Cores, pipe: Connection
) -> None:
    """The whole life of a station, in its own process."""
    # The other end is closed when no more is wanted.
    with suppress(EOFError, ConnectionError), tempfile.TemporaryDirectory() as cache:
        cores.take()
        # Read by libraries when they are imported. A fresh cache makes compiling cost what it does
        # the first time.
        os.environ["OMP_NUM_THREADS"] = str(place.threads)
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = cache
        warnings.simplefilter("ignore")
        # Compilers tell of what they do not find, such as graphics cards.
        logging.disable(logging.WARNING)
        try:
            _serve(name, folder, np.load(pictures, mmap_mode="r"), place, pipe)
        except MillisightError as error:
            pipe.send(error)
        except (EOFError, ConnectionError):
            raise
        except Exception as error:  # noqa: BLE001 (libraries fail in ways of their own)
            pipe.send(EngineUnavailable(_first_line(error)))


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _serve(
    name: str, folder: Path, pictures: NDArray[np.uint8], place: Place, pipe: Connection
) -> None:
    before, started = _resident(), time.perf_counter()
    infer = find_engine(name).load(folder, place)
    infer(np.array(pictures[:1]))
    taken = time.perf_counter() - started
    pipe.send(Loaded(taken, (_resident() - before) / 1e6))
    sizes = {1}
    while True:
        turn: Turn | None = pipe.recv()
        if turn is None:
            pipe.send(_all(infer, pictures))
            continue
        _warm_up(infer, pictures, turn.batch if turn.batch not in sizes else 1)
        sizes.add(turn.batch)
        pipe.send(_time(infer, pictures, turn))


def _all(infer: Infer, pictures: NDArray[np.uint8]) -> Logits:
    # The last pictures are repeated to fill the batch: another size would be compiled anew.
    places = [range(at, at + _ANSWER_BATCH) for at in range(0, len(pictures), _ANSWER_BATCH)]
    parts = [infer(pictures[np.minimum(place, len(pictures) - 1)]) for place in places]
    return np.concatenate(parts)[: len(pictures)]


def _warm_up(infer: Infer, pictures: NDArray[np.uint8], size: int) -> None:
    batches = _batches(pictures, size)
    ends = time.perf_counter() + WARM_UP
    infer(next(batches))
    while time.perf_counter() < ends:
        infer(next(batches))


def _time(infer: Infer, pictures: NDArray[np.uint8], turn: Turn) -> list[float]:
    batches = _batches(pictures, turn.batch)
    calls: list[float] = []
    ends = time.perf_counter() + turn.seconds
    while not calls or time.perf_counter() < ends:
        batch = next(batches)
        started = time.perf_counter()
        infer(batch)
        calls.append(time.perf_counter() - started)
    return calls


def _batches(pictures: NDArray[np.uint8], size: int) -> Iterator[NDArray[np.uint8]]:
    """The pictures in turn, over and over."""
    at = 0
    while True:
        yield pictures[np.arange(at, at + size) % len(pictures)]
        at += size


def _resident() -> int:
    """Bytes of memory that this process holds."""
    with suppress(OSError):
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    return 0
