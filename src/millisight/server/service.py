"""What the routes share: the settings, the models, the cache and the numbers."""

import asyncio
import gc
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, Protocol, TypeVar

from millisight.answers import Embedding
from millisight.budget import ByteBudget
from millisight.bundle import Bundle, open_bundles
from millisight.cache import ResultCache
from millisight.classifier import Classifier
from millisight.crew import Crew
from millisight.errors import DeadlineExceeded, ModelNotFound, NotReady
from millisight.explainer import Explanation
from millisight.ondemand import OnDemand
from millisight.server.metrics import COMPUTED, REMEMBERED, SHARED
from millisight.server.observer import Observer
from millisight.server.outcome import outcome
from millisight.server.served import Served
from millisight.settings import Settings
from millisight.watch import Watch

logger = logging.getLogger(__name__)


class Cacheable(Protocol):
    """An answer that can be remembered."""

    def size_bytes(self) -> int:
        """Memory that it takes."""
        ...


Answer = TypeVar("Answer", bound=Cacheable)


class Load(Protocol):
    """Makes a classifier, which takes blocking time."""

    def __call__(self, bundle: Bundle, *, crew: Crew | None, watch: Watch) -> Classifier:
        """See ``Classifier``."""
        ...


class Service:
    """What is served. Liveness holds from the start, readiness once every model is warmed up."""

    def __init__(
        self, bundles: Mapping[str, Bundle], settings: Settings, *, load: Load | None = None
    ) -> None:
        """Nothing is loaded yet; ``load`` does it, by default here and now when asked to start.

        ``bundles`` are by name; the first answers who names none. Raises ``ExtraMissing``.
        """
        self.settings = settings
        self.bodies = ByteBudget(int(settings.max_bodies_mb * 1e6))
        """What requests under way have sent."""
        self._load = load or partial(Classifier, settings=settings)
        self._exchanging = asyncio.Lock()
        self._preparing = asyncio.Lock()
        self._draining = False
        self._stopping = False
        self.observer = Observer(settings)
        self._take({name: Served(name, bundle) for name, bundle in bundles.items()})
        self._cache: ResultCache[Any] | None = None
        if settings.cache_entries:
            self._cache = ResultCache(
                max_entries=settings.cache_entries,
                max_bytes=int(settings.cache_mb * 1e6),
                size_of=_size_of,
            )

    async def start(self, on_ready: Callable[[], None], on_failure: Callable[[], None]) -> None:
        """Load and warm up in the background of the event loop; then readiness turns true."""
        bundles = {name: served.bundle for name, served in self.models.items()}
        try:
            self._take(await asyncio.to_thread(self._loaded, bundles))
            # What is there now stays: looking through it for garbage would hold up a request.
            gc.freeze()
        # Whatever stops a model from loading stops the server, with its reason in the log.
        except Exception:
            logger.exception("The model could not be loaded")
            on_failure()
        else:
            on_ready()

    def drain(self) -> None:
        """Turn readiness false; what comes all the same is answered."""
        self._draining = True

    async def stop(self) -> None:
        """Turn readiness false, answer what is queued, end the threads."""
        self._stopping = True
        await asyncio.to_thread(_close, self.models.values())

    def _take(self, models: dict[str, Served]) -> None:
        self.models: Mapping[str, Served] = models
        """By name; the first is the default."""
        self._default = next(iter(models.values()))
        self.observer.metrics.begin(models.values())

    def _loaded(self, bundles: Mapping[str, Bundle]) -> dict[str, Served]:
        """Every one of ``bundles`` with its classifier, all with one crew.

        What is loaded already is kept. If one cannot be loaded, those are closed that were.
        """
        loaded: dict[str, Served] = {}
        crew = next((one.classifier.crew for one in self.models.values() if one.classifier), None)
        try:
            for name, bundle in bundles.items():
                now = self.models.get(name)
                if now is not None and now.classifier is not None and now.bundle == bundle:
                    loaded[name] = now
                    continue
                classifier = self._load(bundle, crew=crew, watch=self.observer.watch(name))
                loaded[name] = Served(name, bundle, classifier)
                crew = classifier.crew
        except BaseException:
            _close(one for one in loaded.values() if one is not self.models.get(one.name))
            raise
        return loaded

    async def reload(self) -> Mapping[str, Bundle]:
        """Change over to the bundles that are there now; what is under way is answered by the old.

        Raises ``NotReady`` before ``start`` is done, and what makes a bundle unusable; then the
        old ones go on, all of them.
        """
        async with self._exchanging:
            self.ready()
            old = self.models
            bundles = await asyncio.to_thread(open_bundles, self.settings.model, self.settings.home)
            new = await asyncio.to_thread(self._loaded, bundles)
            self._take(new)
            kept = set(new.values())
            await asyncio.to_thread(_close, [one for one in old.values() if one not in kept])
            # A request that failed can hold on to the model it asked, in a circle that was frozen.
            # This holds up others for less than 0.1 s.
            gc.unfreeze()
            gc.collect()
            gc.freeze()
            if self._stopping:  # It stopped the old ones and could not know of the new.
                await asyncio.to_thread(_close, new.values())
        logger.info("Serving %s now", describe(bundles))
        return bundles

    def measure(self) -> None:
        """Have the numbers take down how things are now."""
        waiting = {name: served.waiting for name, served in self.models.items()}
        self.observer.metrics.measure(waiting)

    @property
    def alive(self) -> bool:
        """False once the thread that feeds the networks has died: only a restart helps then."""
        return self._stopping or all(served.alive for served in self.models.values())

    def ready(self) -> None:
        """Raises ``NotReady`` until every model is warmed up, and after ``drain`` and ``stop``."""
        for served in self.models.values():
            self._check(served)
        if self._draining:
            raise _stopping()

    @property
    def is_ready(self) -> bool:
        """Whether ``ready`` raises nothing."""
        return not (self._draining or self._stopping) and all(
            served.answers for served in self.models.values()
        )

    def find(self, name: str | None = None) -> Served:
        """The model of that name, the default without one. Raises ``ModelNotFound``."""
        if name is None:
            return self._default
        try:
            return self.models[name]
        except KeyError:
            raise ModelNotFound(
                f"No model is served as {name[:100]!r}.",
                hint=f"Served here: {', '.join(self.models)}.",
            ) from None

    def ready_one(self, name: str | None) -> Served:
        """What ``find`` finds, warmed up. Raises ``ModelNotFound`` and ``NotReady``."""
        served = self.find(name)
        self._check(served)
        return served

    def _check(self, served: Served) -> None:
        served.ready()
        if self._stopping:
            raise _stopping()

    async def answer(
        self,
        served: Served,
        key: str,
        ask: "Callable[[Classifier], Future[Answer]]",
        *,
        deadline: float,
    ) -> tuple[Answer, bool]:
        """What ``ask`` submits to the classifier, and whether it was there already or another
        request's computation.

        ``key`` is that of ``served``, which is to be found anew after everything that takes time.
        ``deadline`` is the one that ``ask`` submits.
        """
        submit = partial(ask, served.ready())
        count = partial(self.observer.answered, served.name)
        if self._cache is None:
            result = await asyncio.wrap_future(submit())
            count(COMPUTED)
            return result, False
        known: Answer | None = self._cache.get(key)
        if known is not None:
            count(REMEMBERED)
            return known, True
        while True:
            computation, joined = self._cache.join(key, submit)
            try:
                result = await outcome(computation)
            except asyncio.CancelledError:
                self._cache.leave(key, computation)
                raise
            except DeadlineExceeded:
                # The deadline of whoever came first; this request may still have time.
                if not joined or time.monotonic() >= deadline:
                    raise
            else:
                count(SHARED if joined else COMPUTED)
                return result, joined

    async def explain(
        self,
        name: str | None,
        picture: bytes,
        top_k: int,
        classes: Sequence[int],
        *,
        deadline: float,
    ) -> Explanation:
        """The class activation maps of ``picture``; see ``Classifier.explain``."""
        await self._prepare(name, lambda classifier: classifier.explainer)
        submitted = self._classifier(name).submit_explain(
            picture, top_k, classes=classes, deadline=deadline
        )
        return await asyncio.wrap_future(submitted)

    async def embed(
        self, name: str | None, picture: bytes, *, normalize: bool, deadline: float
    ) -> Embedding:
        """The embedding of ``picture``; see ``Classifier.embed``."""
        await self._prepare(name, lambda classifier: classifier.embedder)
        submitted = self._classifier(name).submit_embed(
            picture, normalize=normalize, deadline=deadline
        )
        return await asyncio.wrap_future(submitted)

    async def _prepare(self, name: str | None, part: Callable[[Classifier], OnDemand]) -> None:
        """Have a ``part`` of the classifier ready; of the new one, if it is exchanged meanwhile."""
        async with self._preparing:
            while not (own := part(self._classifier(name))).prepared:
                try:
                    # Not in the event loop: a graph is compiled.
                    await asyncio.to_thread(own.prepare)
                except NotReady:
                    if own is part(self._classifier(name)):
                        raise

    def _classifier(self, name: str | None) -> Classifier:
        return self.ready_one(name).ready()


def _stopping() -> NotReady:
    return NotReady("The server is stopping.", hint="Try again in a moment.")


def describe(bundles: Mapping[str, Bundle]) -> str:
    """One line for the log: what each of them is."""
    return "; ".join(bundle.manifest.describe() for bundle in bundles.values())


def _close(models: Iterable[Served]) -> None:
    for served in models:
        if served.classifier is not None:
            served.classifier.close()


def _size_of(answer: Cacheable) -> int:
    return answer.size_bytes()
