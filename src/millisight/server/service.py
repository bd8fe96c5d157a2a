"""What the routes share: the settings, the bundle and, once it is warmed up, the classifier."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from millisight.bundle import Bundle
from millisight.classifier import Classifier
from millisight.cpu import available_cores
from millisight.engine import Engine
from millisight.errors import NotReady
from millisight.settings import Settings

logger = logging.getLogger(__name__)


class Service:
    """One model being served. Liveness holds from the start, readiness once it is warmed up."""

    def __init__(self, bundle: Bundle, settings: Settings, *, engine: Engine | None = None) -> None:
        """Nothing is loaded yet; ``engine`` replaces OpenVINO in tests."""
        self.bundle = bundle
        self.settings = settings
        self._engine = engine
        self._classifier: Classifier | None = None
        self._stopping = False
        # One more than cores: while one thread waits for memory or the lock, another decodes.
        self.decoders = ThreadPoolExecutor(
            settings.decode_threads or available_cores() + 1, thread_name_prefix="decode"
        )

    async def start(self, on_ready: Callable[[], None], on_failure: Callable[[], None]) -> None:
        """Load and warm up in the background of the event loop; then readiness turns true."""
        try:
            self._classifier = await asyncio.to_thread(
                Classifier, self.bundle, self.settings, engine=self._engine
            )
        # Whatever stops the model from loading stops the server, with its reason in the log.
        except Exception:
            logger.exception("The model could not be loaded")
            on_failure()
        else:
            on_ready()

    async def stop(self) -> None:
        """Turn readiness false, answer what is queued, end the threads."""
        self._stopping = True
        if self._classifier is not None:
            await asyncio.to_thread(self._classifier.close)
        self.decoders.shutdown(wait=False, cancel_futures=True)

    @property
    def alive(self) -> bool:
        """False once the thread that feeds the network has died: only a restart helps then."""
        return self._classifier is None or self._stopping or self._classifier.alive

    def ready(self) -> Classifier:
        """The classifier, warmed up. Raises ``NotReady`` before that and after ``stop``."""
        if self._classifier is None or self._stopping or not self._classifier.alive:
            raise NotReady("The model is not ready.", hint="Try again in a moment.")
        return self._classifier
