"""What is counted in this replica, handed to Ray, which adds up all replicas for Prometheus."""

from collections.abc import Iterable

from ray.serve.metrics import Counter

from millisight.server.metrics import Total


class Exported:
    """What Ray knows of this replica's counters."""

    def __init__(self) -> None:
        """It knows nothing yet."""
        self._counters: dict[str, Counter] = {}
        self._known: dict[tuple[str, ...], float] = {}

    def take(self, totals: Iterable[Total]) -> None:
        """Tell Ray what was counted since the last time."""
        for name, labels, value in totals:
            key = (name, *labels.values())
            more = value - self._known.get(key, 0)
            if more > 0:
                self._counter(name, tuple(labels)).inc(more, tags=dict(labels))
                self._known[key] = value

    def _counter(self, name: str, labels: tuple[str, ...]) -> Counter:
        if name not in self._counters:
            self._counters[name] = Counter(f"{name}_total", tag_keys=labels)
        return self._counters[name]
