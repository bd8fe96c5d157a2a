"""What the routes share: the settings, the bundle, the cache and, once warm, the classifier."""

import asyncio
import contextlib
import gc
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial

import millisight
from millisight.bundle import Bundle, open_bundle
from millisight.cache import ResultCache, result_key
from millisight.classifier import Classifier, Result
from millisight.embedder import Embedding
from millisight.errors import DeadlineExceeded, NotReady
from millisight.explainer import Explanation
from millisight.ondemand import OnDemand
from millisight.server.metrics import Metrics
from millisight.settings import Settings

logger = logging.getLogger(__name__)


class Service:
    """One model being served. Liveness holds from the start, readiness once it is warmed up."""

    def __init__(
        self,
        bundle: Bundle,
        settings: Settings,
        *,
        load: Callable[[Bundle], Classifier] | None = None,
    ) -> None:
        """Nothing is loaded yet; ``load`` does it, by default here and now when asked to start."""
        self.settings = settings
        self._load = load or partial(Classifier, settings=settings)
        self._classifier: Classifier | None = None
        self._exchanging = asyncio.Lock()
        self._preparing = asyncio.Lock()
        self._stopping = False
        self.metrics = Metrics()
        self._take(bundle)
        self._cache: ResultCache[Result] | None = None
        if settings.cache_entries:
            self._cache = ResultCache(
                max_entries=settings.cache_entries,
                max_bytes=int(settings.cache_mb * 1e6),
                size_of=Result.size_bytes,
            )

    async def start(self, on_ready: Callable[[], None], on_failure: Callable[[], None]) -> None:
        """Load and warm up in the background of the event loop; then readiness turns true."""
        try:
            self._classifier = await asyncio.to_thread(self._load, self.bundle)
            # What is there now stays: looking through it for garbage would hold up a request.
            gc.freeze()
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

    def _take(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self._identity = (millisight.__version__, bundle.manifest.digest())

    async def reload(self) -> Bundle:
        """Change over to the bundle that is there now; what is under way is answered by the old.

        Raises ``NotReady`` before ``start`` is done, and what makes a bundle unusable; then the
        old one goes on.
        """
        async with self._exchanging:
            old = self.ready()
            bundle = await asyncio.to_thread(open_bundle, self.settings.model, self.settings.home)
            new = await asyncio.to_thread(self._load, bundle)
            self._classifier = new
            self._take(bundle)
            gc.freeze()
            await asyncio.to_thread(old.close)
            if self._stopping:  # It stopped the old one and could not know of the new.
                await asyncio.to_thread(new.close)
        logger.info("Serving %s now", bundle.manifest.describe())
        return bundle

    @property
    def alive(self) -> bool:
        """False once the thread that feeds the network has died: only a restart helps then."""
        return self._classifier is None or self._stopping or self._classifier.alive

    def ready(self) -> Classifier:
        """The classifier, warmed up. Raises ``NotReady`` before that and after ``stop``."""
        if self._classifier is None or self._stopping or not self._classifier.alive:
            raise NotReady("The model is not ready.", hint="Try again in a moment.")
        return self._classifier

    def key(self, picture: bytes, top_k: int) -> str:
        """Names the answer to a request: the same key, the same predictions."""
        return result_key(picture, top_k, *self._identity)

    async def answer(
        self, key: str, picture: bytes, top_k: int, *, deadline: float
    ) -> tuple[Result, bool]:
        """The result, and whether it was there already or another request's computation."""
        submit = partial(self.ready().submit, picture, top_k, deadline=deadline)
        if self._cache is None:
            result = await asyncio.wrap_future(submit())
            self.metrics.computed.inc()
            return result, False
        if (known := self._cache.get(key)) is not None:
            self.metrics.remembered.inc()
            return known, True
        while True:
            computation, joined = self._cache.join(key, submit)
            try:
                result = await _outcome(computation)
            except asyncio.CancelledError:
                self._cache.leave(key, computation)
                raise
            except DeadlineExceeded:
                # The deadline of whoever came first; this request may still have time.
                if not joined or time.monotonic() >= deadline:
                    raise
            else:
                (self.metrics.shared if joined else self.metrics.computed).inc()
                return result, joined

    async def explain(
        self, picture: bytes, top_k: int, classes: Sequence[int], *, deadline: float
    ) -> Explanation:
        """The class activation maps of ``picture``; see ``Classifier.explain``."""
        await self._prepare(lambda classifier: classifier.explainer)
        submitted = self.ready().submit_explain(picture, top_k, classes=classes, deadline=deadline)
        return await asyncio.wrap_future(submitted)

    async def embed(self, picture: bytes, *, normalize: bool, deadline: float) -> Embedding:
        """The embedding of ``picture``; see ``Classifier.embed``."""
        await self._prepare(lambda classifier: classifier.embedder)
        submitted = self.ready().submit_embed(picture, normalize=normalize, deadline=deadline)
        return await asyncio.wrap_future(submitted)

    async def _prepare(self, part: Callable[[Classifier], OnDemand]) -> None:
        """Have a ``part`` of the classifier ready; of the new one, if it is exchanged meanwhile."""
        async with self._preparing:
            while not (own := part(self.ready())).prepared:
                try:
                    # Not in the event loop: a graph is compiled.
                    await asyncio.to_thread(own.prepare)
                except NotReady:
                    if own is part(self.ready()):
                        raise


async def _outcome(computation: "Future[Result]") -> Result:
    """What ``asyncio.wrap_future`` gives, but others wait too: cancelling this cancels nothing."""
    loop = asyncio.get_running_loop()
    done = loop.create_future()

    def wake(_: "Future[Result]") -> None:
        # The loop is closed if the server has gone meanwhile; then nobody waits.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(_release, done)

    computation.add_done_callback(wake)
    await done
    return computation.result()


def _release(done: "asyncio.Future[None]") -> None:
    if not done.done():
        done.set_result(None)
