"""What the network knows of a picture before it decides: bytes to embeddings."""

from collections.abc import Callable
from concurrent.futures import Future
from functools import partial

import numpy as np
from numpy.typing import NDArray

from millisight.activation import embedding_size, with_embedding
from millisight.answers import Embedding, Timings
from millisight.bundle import Bundle
from millisight.dispatcher import Dispatcher, Line
from millisight.errors import NotEmbeddable
from millisight.image import Decoded
from millisight.ondemand import OnDemand
from millisight.runtime import Graph
from millisight.settings import Settings
from millisight.watch import Watch
from millisight.work import Work


class Embedder(OnDemand):
    """Embeds pictures with one bundle, on as many cores as it answers with. Thread-safe.

    The graph is compiled when first asked for: a server that never is pays nothing.
    """

    def __init__(
        self, bundle: Bundle, dispatcher: Dispatcher, settings: Settings, watch: Watch
    ) -> None:
        """Nothing is compiled yet; ``dispatcher`` is the one that answers, made with ``settings``:
        both take turns on the same cores."""
        super().__init__(
            bundle,
            dispatcher,
            threads=settings.threads,
            max_batch=settings.max_batch,
            device=settings.device,
            watch=watch,
        )
        self._dimensions: int | None = 0

    @property
    def dimensions(self) -> int:
        """How many numbers an embedding has. Compiles the graph if need be; see ``prepare``."""
        self.prepare()
        return self._dimensions or 0

    def prepare(self) -> Line:
        """See ``OnDemand.prepare``. Raises ``NotEmbeddable`` too."""
        if self._dimensions is None:  # It was seen before.
            raise self._refusal()
        return super().prepare()

    def submit(
        self,
        decode: Callable[[], Decoded],
        *,
        normalize: bool = False,
        deadline: float = float("inf"),
        here: bool = False,
    ) -> "Future[Embedding]":
        """The embedding, scaled to length 1 if ``normalize``.

        Raises ``NotEmbeddable`` where the bundle does not end in one linear layer, and what
        ``Line.submit`` raises. The first call takes some tenths of a second, unless
        ``prepare`` was called before.
        """
        work = Work(decode, partial(self._embedding, normalize), self._watch)
        return self.prepare().submit(work.decode, deadline=deadline, here=here, finish=work.finish)

    def _changed(self, graph: Graph) -> Graph:
        self._dimensions = embedding_size(graph)
        if self._dimensions is None:
            raise self._refusal()
        return with_embedding(graph)

    def _refusal(self) -> NotEmbeddable:
        return NotEmbeddable(
            f"Model {self._bundle.manifest.name} has no embeddings.",
            hint="Networks have them that end in one linear layer, such as every ResNet.",
        )

    def _embedding(
        self,
        normalize: bool,
        vector: NDArray[np.float32],
        decoded: Decoded,
        timings: Timings,
    ) -> Embedding:
        if normalize:
            # Of nothing but zeros there is no direction.
            vector = vector / np.float32(np.linalg.norm(vector) or 1.0)
        return Embedding(vector, self._bundle.manifest.name, timings, decoded.warnings)
