"""What is promised of a server that is asked too much, and what was kept of it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from millisight.cpu import available_cores

CORES = available_cores()

LEAST_OF_PEAK = 0.9
REFUSED_WITHIN = 0.01
RECOVERED_WITHIN = 1.0
"""What is promised; times in seconds."""

SHARE = f"{LEAST_OF_PEAK:.0%} of the peak"
SOON = f"refusals within {REFUSED_WITHIN * 1e3:.0f} ms"
RECOVERY = f"as before within {RECOVERED_WITHIN:g} s"
MATTERS_OF_TIME = {SHARE, SOON, RECOVERY}


@dataclass(frozen=True, slots=True)
class Seen:
    """One answer, as its client saw it; status 0 where there was none."""

    status: int
    seconds: float
    ended: float
    told_when: bool
    """Whether it says when to come back."""


@dataclass(frozen=True, slots=True)
class Rate:
    """Answers a second."""

    seen: float
    cores_taken: float
    """Of the machine, by those who asked, on average."""

    @property
    def alone(self) -> float:
        """What it were if asking took nothing: the server has the rest of the cores."""
        return self.seen * CORES / (CORES - self.cores_taken)


@dataclass(frozen=True, slots=True)
class Report:
    """What came of an overload. Rates are answers a second."""

    peak: Rate
    offered: float
    admitted: Rate
    late: float
    """Share of what was admitted and not answered within its deadline."""
    refused_p99: float
    """Seconds, as one of the crowd sees it."""
    alone_p99: float
    """The same as a quiet client in a process of its own sees it: what the server itself takes."""
    health_p99: float
    recovery: float
    """Seconds from the end of the load until an answer is as in the calm."""
    seen: Sequence[Seen]
    healths: set[int]
    """Statuses of the health checks."""

    def __str__(self) -> str:
        refused = {
            one: count for one, count in sorted(self.statuses.items()) if one not in {0, 200}
        }
        return (
            f"{len(self.seen)} tried, {self.statuses[200]} answered, refused {refused}, "
            f"{self.statuses[0]} lost, peak {self.peak.seen:.0f}/s, offered {self.offered:.0f}/s, "
            f"answered {self.admitted.seen:.0f}/s "
            f"({self.admitted.seen / self.peak.seen:.0%} of the peak; "
            f"{self.admitted.alone / self.peak.alone:.0%} without what asking took), "
            f"{self.late:.2%} of the admitted late, refusals p99 {self.refused_p99 * 1e3:.1f} ms "
            f"in the crowd and {self.alone_p99 * 1e3:.1f} ms alone, "
            f"health p99 {self.health_p99 * 1e3:.1f} ms, "
            f"as before {self.recovery:.2f} s after the end; "
            f"missed: {', '.join(self.missed()) or 'nothing'}"
        )

    @property
    def statuses(self) -> Counter[int]:
        """How many answers have which status."""
        return Counter(one.status for one in self.seen)

    def missed(self) -> list[str]:
        """The promises that were not kept."""
        refusals = [one for one in self.seen if one.status == 429]
        kept = {
            SHARE: self.admitted.alone >= LEAST_OF_PEAK * self.peak.alone,
            "the deadline of all that is admitted": not self.late,
            SOON: self.alone_p99 <= REFUSED_WITHIN,
            "when to come again": all(one.told_when for one in refusals),
            RECOVERY: self.recovery <= RECOVERED_WITHIN,
            "health": self.healths == {200},
            "an answer to each request": self.statuses.keys() <= {200, 429, 504},
        }
        return [promise for promise, is_kept in kept.items() if not is_kept]


def broken(rounds: Sequence[Report]) -> list[str]:
    """The promises that were missed: in any of ``rounds``, or in most where time decides."""
    missed = Counter(promise for one in rounds for promise in one.missed())
    return [
        promise
        for promise, times in missed.items()
        if promise not in MATTERS_OF_TIME or 2 * times > len(rounds)
    ]
