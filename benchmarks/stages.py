"""Where the time of a request goes, by what the answers say of themselves.

    benchmarks/.environments/harness/bin/python benchmarks/stages.py [--images DIR]

Clients send photographs to a server of millisight and read the ``timings_ms`` of each answer.
Prints medians in milliseconds: decode, queue and inference; hand-over, top-k and the rest that the
server measures; and what is left of the time that the client saw: HTTP, digest, JSON and loopback.
"""

import argparse
import http.client
import json
import tempfile
import threading
import time
from itertools import count, cycle, islice
from pathlib import Path
from statistics import median

from contestants import MILLISIGHT
from machine import this_machine
from run import FULL, paths, set_up

STAGES = ("decode", "queue", "inference", "hand-over, top-k", "HTTP, digest, JSON")
NUMBERS = count()
"""One for each request of all runs."""


def ask(port: int, pictures: list[bytes], first: int, end: float, seen: list[list[float]]) -> None:
    """Send one picture after the other until ``end``; a row of stages for each answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    for picture in islice(cycle(pictures), first, None):
        # No cache has seen these bytes; they stand after the end of the JPEG.
        body = picture + f"{next(NUMBERS):016d}".encode()
        started = time.perf_counter()
        connection.request("POST", "/predict", body, {"Content-Type": "image/jpeg"})
        timings = json.loads(connection.getresponse().read())["timings_ms"]
        taken = (time.perf_counter() - started) * 1e3
        parts = [timings[name] for name in ("decode", "queue", "inference")]
        seen.append([*parts, timings["total"] - sum(parts), taken - timings["total"]])
        if time.perf_counter() > end:
            break
    connection.close()


def stages(port: int, pictures: list[bytes], clients: int, seconds: float) -> list[float]:
    """The median of each stage with that many clients."""
    seen: list[list[float]] = []
    end = time.perf_counter() + seconds
    threads = [
        threading.Thread(target=ask, args=(port, pictures, 23 * number, end, seen))
        for number in range(clients)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [median(column) for column in zip(*seen, strict=True)]


def main() -> None:
    """Start a server and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=Path, help="folder of JPEG photographs, at least 100")
    parser.add_argument("--seconds", type=float, default=10)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        setup, _ = set_up(Path(folder), this_machine(), FULL, [], options.images)
        pictures = [one.read_bytes() for one in paths(setup.photographs)]
        with setup.serving(MILLISIGHT) as server:
            stages(server.port, pictures, 8, 2)
            found = {number: stages(server.port, pictures, number, options.seconds)
                     for number in (1, 8)}  # fmt: skip
    print(f"{setup.machine.describe()}; ResNet-18 with {setup.model.origin}\n")
    print("| | 1 client | 8 clients |\n|---|---|---|")
    for number, name in enumerate(STAGES):
        print(f"| {name} | {found[1][number]:.2f} ms | {found[8][number]:.2f} ms |")


if __name__ == "__main__":
    main()
