"""The ceiling: the same job in one process, with no HTTP at all.

    python ceiling.py BUNDLE LIST SECONDS CLIENTS …

Runs in millisight's environment and prints one JSON line for each number of clients. One client is
a plain loop: decode, network, top-k, JSON. More are as many threads that each want one answer after
the other, as the clients of a server do.
"""

import json
import sys
import threading
import time
from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path

import millisight
from millisight import predictions
from millisight.engine import OpenVINOEngine

TOP_K = 3

Job = Callable[[bytes], str]


def as_json(best: list[predictions.Prediction]) -> str:
    """The answer as text."""
    return json.dumps(
        [{"label": one.label, "confidence": one.confidence, "index": one.index} for one in best]
    )


def measure(job: Job, pictures: list[bytes], clients: int, seconds: float) -> dict[str, float]:
    """Latencies of ``clients`` threads that each ask again as soon as they have an answer."""
    latencies: list[float] = []
    end = time.perf_counter() + seconds

    def ask(first: int) -> None:
        mine = []
        for picture in islice(cycle(pictures), first, None):
            started = time.perf_counter()
            job(picture)
            now = time.perf_counter()
            mine.append(now - started)
            if now > end:
                break
        latencies.extend(mine)

    started, cpu = time.perf_counter(), time.process_time()
    threads = [threading.Thread(target=ask, args=(17 * number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    duration = time.perf_counter() - started
    latencies.sort()
    at = {name: latencies[int(len(latencies) * share)] * 1e3
          for name, share in (("p50_ms", 0.5), ("p95_ms", 0.95), ("p99_ms", 0.99))}  # fmt: skip
    return {
        "clients": clients, "requests": len(latencies), "duration_s": duration, "errors": 0,
        "rate": len(latencies) / duration, "server_cpu_s": time.process_time() - cpu, **at,
    }  # fmt: skip


def main() -> None:
    """Measure each number of clients."""
    bundle, listed, seconds, *clients = sys.argv[1:]
    pictures = [Path(line).read_bytes() for line in Path(listed).read_text().splitlines()]
    with millisight.load(bundle) as classifier:
        manifest, labels = classifier.bundle.manifest, classifier.bundle.labels
        engine = OpenVINOEngine(classifier.bundle.graph, precision=manifest.precision)

        def in_turn(picture: bytes) -> str:
            pixels = classifier.decode(picture).pixels
            logits = engine.infer(pixels[None], alone=True)[0]
            return as_json(predictions.top_k(logits, labels, TOP_K))

        def together(picture: bytes) -> str:
            return as_json(classifier.submit(picture, TOP_K).result().predictions)

        measure(together, pictures, 8, 1.0)
        for number in map(int, clients):
            job = in_turn if number == 1 else together
            measure(job, pictures, number, 0.3)
            print(json.dumps(measure(job, pictures, number, float(seconds))), flush=True)


if __name__ == "__main__":
    main()
