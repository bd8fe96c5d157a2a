"""Clients that ask again until they have an answer."""

import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx


@dataclass
class Load:
    """What clients saw so far."""

    answers: list[dict[str, Any]] = field(default_factory=list)
    troubles: "Counter[str]" = field(default_factory=Counter)
    """What was tried again, by its status or exception."""
    lost: int = 0
    """Requests that had no answer after many tries."""


@contextmanager
def load(url: str, pictures: Sequence[bytes], clients: int) -> Iterator[Load]:
    """``clients`` that ask ``url`` for one of ``pictures`` after the other, as long as the block
    lasts; a request that was begun is asked to its end."""
    seen = Load()
    stop = threading.Event()

    def ask(client: httpx.Client, number: int) -> None:
        for _ in range(100):
            try:
                answer = client.post(url, content=pictures[number % len(pictures)])
            except httpx.TransportError as error:
                seen.troubles[type(error).__name__] += 1
            else:
                if answer.status_code == 200:
                    seen.answers.append(answer.json() | {"number": number % len(pictures)})
                    return
                seen.troubles[str(answer.status_code)] += 1
            time.sleep(0.1)
        seen.lost += 1

    def run(first: int) -> None:
        number = first
        with httpx.Client(timeout=10) as client:
            while not stop.is_set():
                ask(client, number)
                number += clients

    threads = [threading.Thread(target=run, args=(first,)) for first in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        stop.set()
        for thread in threads:
            thread.join()
