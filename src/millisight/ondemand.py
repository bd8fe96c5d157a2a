"""A graph beside the one that answers, made of it and compiled when somebody first asks."""

import threading
from abc import ABC, abstractmethod

from millisight.bundle import Bundle
from millisight.dispatcher import Dispatcher, Line
from millisight.engine import OpenVINOEngine, Watched
from millisight.errors import NotReady
from millisight.runtime import Graph
from millisight.watch import Watch


class OnDemand(ABC):
    """One bundle's graph, changed, and a line of its own. Thread-safe."""

    def __init__(
        self,
        bundle: Bundle,
        dispatcher: Dispatcher,
        *,
        threads: int,
        max_batch: int,
        device: str,
        watch: Watch,
    ) -> None:
        """Nothing is compiled yet. ``dispatcher``, which others may share, has as many lanes as
        ``threads`` asks for, and its batches are no larger than ``max_batch``."""
        self._bundle = bundle
        self._dispatcher = dispatcher
        self._threads = threads
        self._max_batch = max_batch
        self._device = device
        self._watch = watch
        self._lock = threading.Lock()
        self._line: Line | None = None
        self._closed = False

    @abstractmethod
    def _changed(self, graph: Graph) -> Graph:
        """What is compiled in place of the bundle's ``graph``."""

    @property
    def prepared(self) -> bool:
        """Whether ``prepare`` returns at once."""
        line = self._line
        return line is not None and line.alive

    @property
    def waiting(self) -> int:
        """How many pictures wait for their turn."""
        line = self._line
        return 0 if line is None else line.waiting

    def prepare(self) -> Line:
        """What answers, compiled if it was not yet. Raises ``NotReady`` after ``close``,
        ``BundleError`` and what ``_changed`` raises."""
        with self._lock:
            if self._closed:
                raise NotReady("The engine is not running.", hint="Try again in a moment.")
            if self._line is None or not self._line.alive:
                if self._line is not None:
                    self._line.close()
                engine = OpenVINOEngine(
                    self._bundle.graph,
                    precision=self._bundle.manifest.precision,
                    threads=self._threads,
                    max_batch=self._max_batch,
                    device=self._device,
                    change=self._changed,
                )
                self._line = self._dispatcher.open(Watched(engine, self._watch))
            return self._line

    def close(self) -> None:
        """Answer what is queued, then stop, and let go of the graph."""
        with self._lock:
            self._closed = True
        if self._line is not None:
            self._line.close()
            self._line = None
