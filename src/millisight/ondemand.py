"""A graph beside the one that answers, made of it and compiled when somebody first asks."""

import threading
from collections.abc import Callable

from millisight.bundle import Bundle
from millisight.dispatcher import Dispatcher
from millisight.engine import OpenVINOEngine
from millisight.errors import NotReady
from millisight.runtime import Graph
from millisight.settings import Settings


class OnDemand:
    """One bundle's graph with a ``change``, and a queue of its own. Thread-safe."""

    def __init__(
        self, bundle: Bundle, settings: Settings, change: Callable[[Graph], Graph]
    ) -> None:
        """Nothing is compiled yet."""
        self._bundle = bundle
        self._settings = settings
        self._change = change
        self._lock = threading.Lock()
        self._dispatcher: Dispatcher | None = None
        self._closed = False

    @property
    def prepared(self) -> bool:
        """Whether ``prepare`` returns at once."""
        return self._dispatcher is not None and self._dispatcher.alive

    def prepare(self) -> Dispatcher:
        """What answers, compiled if it was not yet. Raises ``NotReady`` after ``close``,
        ``BundleError`` and what ``change`` raises."""
        with self._lock:
            if self._closed:
                raise NotReady("The engine is not running.", hint="Try again in a moment.")
            if self._dispatcher is None or not self._dispatcher.alive:
                settings = self._settings
                engine = OpenVINOEngine(
                    self._bundle.graph,
                    precision=self._bundle.manifest.precision,
                    threads=settings.threads,
                    max_batch=settings.max_batch,
                    change=self._change,
                )
                self._dispatcher = Dispatcher(
                    engine,
                    max_batch=settings.max_batch,
                    max_queue=settings.max_queue,
                    max_wait=settings.max_wait_ms / 1e3,
                )
                self._dispatcher.start()
            return self._dispatcher

    def close(self) -> None:
        """Answer what is queued, then stop."""
        with self._lock:
            self._closed = True
        if self._dispatcher is not None:
            self._dispatcher.close()
