"""Good, bad and hostile requests, very many of them; what the server lost, and what it kept.

    python -m tests.hostile.soak --requests 100000

Ends with one line of figures, and with status 1 if a request was lost or answered wrongly, or if
memory, files or threads of the server grew.
"""

import argparse
import contextlib
import http.client
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from tests.e2e.conftest import running
from tests.hostile import BARE, Hostile
from tests.hostile.corpus import corpus
from tests.support import encode, texture

LEGS = 20
"""After each, all clients pause and the server is looked at."""

WARM_UP = 500
"""Least requests before the first look: what many pictures at once need is kept from then on."""

GOOD, REPEATED = 0.7, 0.1
"""Shares of the requests; the rest is the corpus."""

HANG_UP = 0.02
"""Share of the requests whose client goes away in the middle."""

SLOW_SECONDS = 0.5
"""What takes longer would make this a test of that alone."""

MOST_GROWTH = 0.05
SETTLE_SECONDS = 10.0

_BUSY = frozenset({429, 504})
"""Right for any request, if there is more to do than there is time for."""

MOST_BUSY = 0.1
"""Share of the requests that may be refused so, or a server that refuses all of them would do."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a server holds, all its processes together."""

    memory_kb: int
    files: int
    threads: int

    @classmethod
    def of(cls, pid: int) -> "Usage":
        """Now, as the kernel counts it."""
        parts = [_usage(one) for one in _family(pid)]
        memory, files, threads = (sum(column) for column in zip(*parts, strict=True))
        return cls(memory, files, threads)


def _family(pid: int) -> Iterator[int]:
    yield pid
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            yield from _family(int(child))


def _usage(pid: int) -> tuple[int, int, int]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    status = dict(line.split(":", 1) for line in lines)
    memory, threads = (int(status[key].split()[0]) for key in ("VmRSS", "Threads"))
    return memory, len(list(Path(f"/proc/{pid}/fd").iterdir())), threads


def settled(pid: int, than: Usage | None = None) -> Usage:
    """The usage once the connections that were closed are gone: as soon as no more files and
    threads are held ``than`` before, or else when nothing has changed for long."""
    deadline = time.monotonic() + (SETTLE_SECONDS if than else SETTLE_SECONDS / 3)
    while True:
        usage = Usage.of(pid)
        fits = than and usage.files <= than.files and usage.threads <= than.threads
        if fits or time.monotonic() > deadline:
            return usage
        time.sleep(0.05)


class Mix:
    """The requests, each made from its number alone: the same ones in every run."""

    def __init__(self, hostile: Sequence[Hostile], *, seed: int) -> None:
        self._hostile = hostile
        self._seed = seed
        self._photos = [
            encode(texture(600 + 7 * n, 450 + 5 * n, n), "JPEG", quality=70 + n) for n in range(24)
        ]

    def __getitem__(self, number: int) -> tuple[Hostile, float, bool]:
        """The request; which share of it is sent before its client hangs up, 1 for all of it; and
        whether the client waits for the answer."""
        dice = random.Random(self._seed << 32 | number)
        sort, photo = dice.random(), dice.choice(self._photos)
        if sort < GOOD:
            # What follows the end of a JPEG changes no pixel, but no cache knows the file.
            one = _photograph(photo + number.to_bytes(8, "big"))
        elif sort < GOOD + REPEATED:
            one = _photograph(photo)
        else:
            one = dice.choice(self._hostile)
        stays = dice.random() >= HANG_UP
        return one, 1.0 if stays else dice.choice((0.0, 0.5, 1.0)), stays


def _photograph(content: bytes) -> Hostile:
    return Hostile("photograph", content, BARE, frozenset({200}), None)


@dataclass
class Tally:
    """What came of the requests."""

    statuses: Counter[int] = field(default_factory=Counter)
    left: int = 0
    """Whose clients hung up."""
    lost: int = 0
    busy: int = 0
    """Refused for want of time."""
    wrong: int = 0
    """Answered with a status that is not right for them."""
    complaints: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answered(self, one: Hostile, status: int) -> None:
        with self.lock:
            self.statuses[status] += 1
            if status in one.statuses:
                return
            if status in _BUSY:
                self.busy += 1
            else:
                self.wrong += 1
                self.complaints.append(f"{one.name}: {status}")

    def failed(self, one: Hostile, error: Exception) -> None:
        with self.lock:
            self.lost += 1
            self.complaints.append(f"{one.name}: {error!r}")

    def hung_up(self) -> None:
        with self.lock:
            self.left += 1


class Client:
    """One keep-alive connection."""

    def __init__(self, url: str, mix: Mix, tally: Tally) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
        self._mix = mix
        self._tally = tally

    def work(self, numbers: Iterator[int]) -> None:
        """Send requests until there are no more, then close the connection."""
        for number in numbers:
            one, share, stays = self._mix[number]
            if stays:
                self._ask(one)
            else:
                self._leave(one, share)
        self._connection.close()

    def _ask(self, one: Hostile) -> None:
        try:
            self._send(one, one.content)
            response = self._connection.getresponse()
            response.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            self._tally.failed(one, error)
        else:
            self._tally.answered(one, response.status)

    def _leave(self, one: Hostile, share: float) -> None:
        # A refusal may come and the connection go before all is sent: that loses nothing.
        with contextlib.suppress(OSError, http.client.HTTPException):
            self._send(one, one.content[: int(share * len(one.content))])
        self._connection.close()
        self._tally.hung_up()

    def _send(self, one: Hostile, content: bytes) -> None:
        headers = {"Content-Type": one.content_type, "Content-Length": str(len(one.content))}
        self._connection.request("POST", "/predict", content, headers)


def quick_ones(url: str) -> list[Hostile]:
    """The corpus without what takes long; each is sent once to find out."""
    found = []
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    for one in corpus():
        started = time.monotonic()
        connection.request("POST", "/predict", one.content, {"Content-Type": one.content_type})
        connection.getresponse().read()
        if time.monotonic() - started < SLOW_SECONDS:
            found.append(one)
    connection.close()
    return found


def soak(url: str, pid: int | None, *, requests: int, clients: int, seed: int) -> int:
    """Send them all and print what came of it; the exit status."""
    mix, tally = Mix(quick_ones(url), seed=seed), Tally()
    crowd = [Client(url, mix, tally) for _ in range(clients)]
    usages: list[Usage] = []
    started = time.monotonic()
    with ThreadPoolExecutor(clients) as pool:
        for numbers in legs(requests):
            left = iter(numbers)
            list(pool.map(Client.work, crowd, [left] * clients))
            if pid is not None:
                usages.append(settled(pid, usages[0] if usages else None))
                print(f"{numbers.stop} of {requests}: {usages[-1]}", file=sys.stderr, flush=True)
    seconds = time.monotonic() - started
    print("\n".join(tally.complaints[:20]), file=sys.stderr)
    print(f"soak: {summary(tally, usages)}, {requests / seconds:.0f} requests/s", flush=True)
    return 0 if is_clean(tally, usages) else 1


def legs(requests: int) -> Iterator[range]:
    """The numbers of the requests, cut where the server is looked at."""
    done = 0
    for leg in range(1, LEGS + 1):
        end = requests * leg // LEGS
        if end >= min(WARM_UP, requests) and end > done:
            yield range(done, end)
            done = end


def summary(tally: Tally, usages: Sequence[Usage]) -> str:
    """All that matters, in one line."""
    tried = tally.statuses.total() + tally.left + tally.lost
    refused = {status: count for status, count in sorted(tally.statuses.items()) if status != 200}
    line = (
        f"{tried} tried, {tally.statuses[200]} answered, refused {refused}, "
        f"{tally.left} hung up, {tally.busy} for want of time, "
        f"{tally.lost} lost, {tally.wrong} wrong"
    )
    if usages:
        first, last = usages[0], usages[-1]
        line += (
            f", memory {first.memory_kb / 1024:.0f} → {last.memory_kb / 1024:.0f} MB "
            f"({growth(usages):+.1%}), files {first.files} → {last.files}, "
            f"threads {first.threads} → {last.threads}"
        )
    return line


def growth(usages: Sequence[Usage]) -> float:
    """Of memory, from the first look to the last, as a share."""
    return usages[-1].memory_kb / usages[0].memory_kb - 1


def is_clean(tally: Tally, usages: Sequence[Usage]) -> bool:
    """Whether nothing was lost, wrong, or kept."""
    # A fault of the server is right for no request, so it is among the wrong ones.
    if tally.lost or tally.wrong or tally.busy > MOST_BUSY * tally.statuses.total():
        return False
    return not usages or (
        growth(usages) <= MOST_GROWTH
        and usages[-1].files <= usages[0].files
        and usages[-1].threads <= usages[0].threads
    )


def main() -> int:
    """Read the options, find or start the server, and send."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--url", help="a server that runs already; by default one is started")
    parser.add_argument("--pid", type=int, help="its process, if it is to be looked at")
    options = parser.parse_args()
    how = {"requests": options.requests, "clients": options.clients, "seed": options.seed}
    if options.url:
        return soak(options.url.rstrip("/"), options.pid, **how)
    with (
        tempfile.TemporaryDirectory() as home,
        running(Path(home), "--model", "starter") as server,
    ):
        return soak(server.url, server.process.pid, **how)


if __name__ == "__main__":
    sys.exit(main())
