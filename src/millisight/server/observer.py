"""Who looks on while requests are answered: the numbers for Prometheus, and the traces."""

from starlette.types import Scope

from millisight.server.metrics import Metrics
from millisight.server.tracing import tracing_of
from millisight.settings import Settings
from millisight.watch import Watch


class Observer:
    """Both of one app."""

    def __init__(self, settings: Settings) -> None:
        """Nothing is counted yet. Raises ``ExtraMissing``; see ``tracing_of``."""
        self.metrics = Metrics()
        self.tracing = tracing_of(settings)

    def watch(self, model: str) -> Watch:
        """Who is told what happens to the pictures of the model of that name."""
        return self.tracing.watch(model, self.metrics.watch(model))

    def answered(self, model: str, source: str) -> None:
        """One picture, by the model of that name; ``source`` is one of those of ``metrics``."""
        self.metrics.answered(model, source)
        self.tracing.note("millisight.answer", source)

    def rejected(self, reason: str) -> None:
        """One request, for a ``reason`` that is the code of an error."""
        self.metrics.rejected(reason)
        self.tracing.note("millisight.error", reason)

    def responded(self, scope: Scope, status: int) -> None:
        """The request of ``scope`` has its answer, with ``status``."""
        self.metrics.count(scope, status)
        self.tracing.responded(scope)
