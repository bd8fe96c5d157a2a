"""Four times as much as the server can do: who is answered, who is refused, and how soon.

    python -m tests.hostile.overload

Prints a line of figures for each of three rounds, and ends with status 1 if a promise is missed: at
least 90 % of the peak goes on being answered, what is admitted keeps its deadline, refusals come
within 10 ms, and one second after the load has gone all is as before. What is a matter of time may
be missed in one of the rounds: others use the machine, too.

Who asks runs on the same machine, and takes the more of it the more it asks. Its processor time is
counted out, as ``make benchmark`` does it (see ``docs/benchmarks.md``); what was seen is told, too.
"""

import asyncio
import http.client
import itertools
import multiprocessing
import random
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import uvloop

from tests.e2e.conftest import running
from tests.hostile.promises import Rate, Report, Seen, broken
from tests.support import encode, texture

DEADLINE_MS = 1000
CLOSED_CLIENTS = 4
PEAK_SECONDS = 3.0
"""Before the overload and again after it: others may use the machine too."""

OVERLOAD_SECONDS = 8.0
SETTLING_SECONDS = 2.0
"""At the beginning of the overload, while the queue fills: not looked at."""

TIMES = 4
CROWD = 64
"""Connections that are there from the beginning; who finds all of them taken opens another."""

PROBE_EVERY = 0.02
CALM_REQUESTS = 20
NORMAL = 3.0
"""An answer is as before when it takes no longer than this many times the median in the calm."""

LONGEST_RECOVERY = 20.0

ROUNDS = 3

SERVER = ("--model", "starter", "--workers", "1", "--threads", "1", "--cache-entries", "0")

_PHOTOS = [encode(texture(640, 480, seed), "JPEG", quality=85) for seed in range(8)]
_HEAD = (
    "POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\n"
    f"X-Deadline-Ms: {DEADLINE_MS}\r\nContent-Length: "
)
_REQUESTS = [f"{_HEAD}{len(photo)}\r\n\r\n".encode() + photo for photo in _PHOTOS]


class Crowd:
    """Connections to one server, kept for the next request."""

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        self._host, self._port = address.hostname, address.port
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._next = itertools.cycle(_REQUESTS)

    async def gather(self, count: int) -> None:
        """Open ``count`` connections."""
        for _ in range(count):
            self._idle.append(await asyncio.open_connection(self._host, self._port))

    async def ask(self) -> Seen:
        """Send one picture; the answer, or status 0 if the connection fails."""
        begun = time.monotonic()
        try:
            reader, writer = await self._connection()
            writer.write(next(self._next))
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            await reader.readexactly(int(re.findall(r"content-length: (\d+)", head)[0]))
        except (OSError, asyncio.IncompleteReadError):
            return Seen(0, 0.0, time.monotonic(), told_when=False)
        self._idle.append((reader, writer))
        ended = time.monotonic()
        return Seen(
            int(head.split(maxsplit=2)[1]), ended - begun, ended, "\r\nretry-after: " in head
        )

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        while self._idle:
            reader, writer = self._idle.pop()
            # The server hangs up on those that say nothing for some seconds.
            if not reader.at_eof():
                return reader, writer
            writer.close()
        return await asyncio.open_connection(self._host, self._port)

    def leave(self) -> None:
        """Close all connections."""
        for _, writer in self._idle:
            writer.close()


async def peak(crowd: Crowd) -> Rate:
    """With as many clients as keep the server busy, each asking when answered."""
    end, used = time.monotonic() + PEAK_SECONDS, time.process_time()

    async def client() -> int:
        answered = 0
        while time.monotonic() < end:
            one = await crowd.ask()
            answered += one.status == 200
        return answered

    answered = sum(await asyncio.gather(*(client() for _ in range(CLOSED_CLIENTS))))
    return Rate(answered / PEAK_SECONDS, (time.process_time() - used) / PEAK_SECONDS)


async def flood(crowd: Crowd, rate: float) -> tuple[list[Seen], float]:
    """Send ``rate`` requests a second, whatever becomes of them; the answers in the time that is
    looked at, and when the last request was sent."""
    dice = random.Random(1)
    begun = due = time.monotonic()
    asked = []
    while due < begun + OVERLOAD_SECONDS:
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        asked.append(asyncio.create_task(crowd.ask()))
        due += dice.expovariate(rate)
    ended = time.monotonic()
    seen = await asyncio.gather(*asked)
    return [one for one in seen if begun + SETTLING_SECONDS < one.ended < ended], ended


async def recovered(crowd: Crowd, calm: float) -> float:
    """When an answer came as in the calm, when one took ``calm`` seconds."""
    end = time.monotonic() + LONGEST_RECOVERY
    while True:
        one = await crowd.ask()
        if (one.status == 200 and one.seconds <= NORMAL * calm) or one.ended > end:
            return one.ended
        await asyncio.sleep(0.01)


@dataclass(frozen=True, slots=True)
class Observed:
    """What a quiet client saw: seconds, and statuses."""

    refusals: list[float]
    checks: list[float]
    healths: set[int]
    used: float
    """Processor time that observing took."""


def observe(url: str, after: float, seconds: float) -> Observed:
    """Ask now and then, one thing at a time, from a process of its own. The server keeps no times
    of its refusals; this comes closest to its own view."""
    refusals: list[float] = []
    checks: list[float] = []
    healths: set[int] = set()
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    time.sleep(after)
    end, used = time.monotonic() + seconds, time.process_time()
    while time.monotonic() < end:
        status, took = _timed(connection, "GET", "/health/live")
        healths.add(status)
        checks.append(took)
        status, took = _timed(connection, "POST", "/predict", _PHOTOS[0])
        if status == 429:
            refusals.append(took)
        time.sleep(PROBE_EVERY)
    connection.close()
    return Observed(refusals, checks, healths, time.process_time() - used)


def _timed(
    connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None = None
) -> tuple[int, float]:
    begun = time.monotonic()
    connection.request(method, path, body, {"X-Deadline-Ms": str(DEADLINE_MS)})
    answer = connection.getresponse()
    answer.read()
    return answer.status, time.monotonic() - begun


async def overload(url: str) -> Report:
    """Measure the peak of the server at ``url``, then ask too much of it."""
    crowd, loop = Crowd(url), asyncio.get_running_loop()
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        await loop.run_in_executor(pool, observe, url, 0.0, 0.0)  # Started when it is needed.
        best = await peak(crowd)
        calm = statistics.median([(await crowd.ask()).seconds for _ in range(CALM_REQUESTS)])
        await crowd.gather(CROWD)
        span = OVERLOAD_SECONDS - SETTLING_SECONDS
        watch = loop.run_in_executor(pool, observe, url, SETTLING_SECONDS, span)
        offered = TIMES * best.seen
        flooding = asyncio.create_task(flood(crowd, offered))
        await asyncio.sleep(SETTLING_SECONDS)
        used = time.process_time()
        await asyncio.sleep(span)
        used = time.process_time() - used
        back = await recovered(crowd, calm)
        seen, ended = await flooding
        observed = await watch
        again = await peak(crowd)
    crowd.leave()
    best = Rate((best.seen + again.seen) / 2, (best.cores_taken + again.cores_taken) / 2)
    return report(best, offered, seen, observed, used, recovery=back - ended)


def report(
    best: Rate,
    offered: float,
    seen: Sequence[Seen],
    observed: Observed,
    used: float,
    *,
    recovery: float,
) -> Report:
    """The figures of what was ``seen`` and ``observed``; ``used`` is the crowd's processor time."""
    span = OVERLOAD_SECONDS - SETTLING_SECONDS
    answered = [one.seconds for one in seen if one.status == 200]
    # What was refused with 504 had been admitted.
    missed = sum(one.status == 504 for one in seen)
    late = missed + sum(seconds > DEADLINE_MS / 1e3 for seconds in answered)
    return Report(
        peak=best,
        offered=offered,
        admitted=Rate(len(answered) / span, (used + observed.used) / span),
        late=late / max(1, len(answered) + missed),
        refused_p99=p99([one.seconds for one in seen if one.status == 429]),
        alone_p99=p99(observed.refusals),
        health_p99=p99(observed.checks),
        recovery=recovery,
        seen=seen,
        healths=observed.healths,
    )


def p99(values: Sequence[float]) -> float:
    """Of none: not a number."""
    return sorted(values)[int(0.99 * len(values))] if values else float("nan")


def measure() -> Report:
    """Start a server, overload it, stop it."""
    with tempfile.TemporaryDirectory() as home, running(Path(home), *SERVER) as server:
        return uvloop.run(overload(server.url))


def main() -> int:
    """Measure, and tell."""
    rounds = []
    for _ in range(ROUNDS):
        rounds.append(measure())
        print(f"overload: {rounds[-1]}", flush=True)
    missed = broken(rounds)
    print(f"overload: missed in {ROUNDS} rounds: {', '.join(missed) or 'nothing'}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
