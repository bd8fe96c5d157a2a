"""Each hostile request against one real server, which others ask for its health meanwhile.

No request may hold up the others, take more memory than a body that is allowed, or be a fault.
"""

import contextlib
import gzip
import http.client
import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from millisight.server.protocol import MAX_PIPELINED
from tests.e2e.conftest import Server
from tests.e2e.test_workers import address
from tests.hostile import END, FORM, part
from tests.hostile.soak import settled
from tests.hostile.test_corpus import logging_server
from tests.hostile.wire import HUNG_UP, INFER, MOST, PICTURE, Wire, corpus, head, post

SIZE = int(os.environ.get("HOSTILE_SIZE", MOST // 3))
"""Bytes of a body: a third of what is allowed, for the sake of time; the soak sends them whole."""

NAMES = [one.name for one in corpus(20)]

LONGEST_SECONDS = 1.5
"""Nobody else waits as long, on a machine that has other things to do too."""

PATIENCE_SECONDS = 20

MOST_MEMORY_KB = 400_000
"""What lists in JSON may take beyond what the server has: they have the memory one at a time."""


@dataclass
class Target:
    """A server, and whoever asks for its health all the time."""

    server: Server
    log: Path

    @property
    def pid(self) -> int:
        return self.server.process.pid

    def send(self, one: Wire) -> int:
        """The status of the first answer."""
        answer = exchange(self.server, *one.pieces)
        found = re.match(rb"HTTP/1\.1 (\d{3}) ", answer)
        return int(found[1]) if found else HUNG_UP

    def peak_kb(self) -> int:
        """The most memory that it has had since it was last asked, as far as the kernel says."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        assert found
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")
        return int(found[1])

    @contextlib.contextmanager
    def asked_meanwhile(self) -> Iterator[None]:
        """Others ask while the block runs; each is answered soon."""
        ended = threading.Event()
        times: list[float] = []

        def ask() -> None:
            link = http.client.HTTPConnection(*address(self.server), timeout=60)
            while not ended.wait(0.02):
                began = time.monotonic()
                link.request("GET", "/health/live")
                answer = link.getresponse()
                assert (answer.status, answer.read()) == (200, b'{"live":true}')
                times.append(time.monotonic() - began)
            link.close()

        with ThreadPoolExecutor(1) as pool:
            asking = pool.submit(ask)
            try:
                yield
            finally:
                ended.set()
            asking.result()
        assert max(times, default=0) < LONGEST_SECONDS


def exchange(server: Server, *pieces: bytes) -> bytes:
    """What comes back until the server closes, or until there has been nothing for a while."""
    answer = bytearray()
    with socket.create_connection(address(server), timeout=PATIENCE_SECONDS) as link:
        sending = threading.Thread(target=_send, args=(link, pieces))
        sending.start()
        try:
            while received := link.recv(1_000_000):
                answer += received
                # An answer came; others may follow, but not after long.
                link.settimeout(0.2)
        except (TimeoutError, ConnectionError):
            pass
        link.close()
        sending.join()
    return bytes(answer)


def _send(link: socket.socket, pieces: tuple[bytes, ...]) -> None:
    try:
        for piece in pieces:
            link.sendall(piece)
    except OSError:
        pass  # It has hung up.


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    folder = tmp_path_factory.mktemp("wire")
    with logging_server(
        folder, "--cache-entries", "0", "--threads", "1", "--no-access-log"
    ) as server:
        exchange(server, post("/predict", PICTURE))
        yield Target(server, folder / "log")


@pytest.fixture(scope="module")
def wires() -> Iterator[Wire]:
    """In the order of ``NAMES``; each is made once, when its turn comes."""
    return corpus(SIZE)


@pytest.fixture(scope="module")
def level(target: Target) -> int:
    """What the server has before anything else is sent, in kB."""
    return settled(target.pid).memory_kb


def test_they_are_many_and_each_has_its_own_name() -> None:
    assert len(NAMES) == len(set(NAMES)) >= 100


@pytest.mark.parametrize("name", NAMES)
def test_it_holds_up_nobody(target: Target, level: int, wires: Iterator[Wire], name: str) -> None:
    one = next(found for found in wires if found.name == name)
    target.peak_kb()
    with target.asked_meanwhile():
        assert target.send(one) in one.statuses
    assert target.peak_kb() - level < MOST_MEMORY_KB
    assert target.send(Wire("good", frozenset(), (post("/predict", PICTURE),))) == 200


def test_requests_without_end_are_hung_up_on(target: Target) -> None:
    level = settled(target.pid).memory_kb
    requests = [head("GET /health/live HTTP/1.1") * 5000] * 100
    target.peak_kb()
    answer = exchange(target.server, *requests)
    assert 1 <= answer.count(b"HTTP/1.1 200 ") <= 2 * MAX_PIPELINED
    assert target.peak_kb() - level < 20_000


def test_character_sets_are_not_looked_up(target: Target) -> None:
    body = part(PICTURE) + END
    link = http.client.HTTPConnection(*address(target.server), timeout=60)
    levels = []
    # Those of the second half would be remembered as those of the first.
    for half in range(2):
        for number in range(200):
            kind = f"{FORM}; charset={half}{number}{'a' * 50_000}"
            link.request("POST", "/predict", body, {"Content-Type": kind})
            link.getresponse().read()
        levels.append(settled(target.pid).memory_kb)
    link.close()
    assert levels[1] - levels[0] < 5_000


def test_none_of_them_was_a_fault_and_strangers_fill_no_log(target: Target) -> None:
    assert target.log.read_text() == ""


def test_what_all_send_together_is_bounded(tmp_path: Path) -> None:
    arguments = ("--max-bodies-mb", "30", "--deadline-ms", "20000")
    with logging_server(tmp_path, *arguments) as server, contextlib.ExitStack() as held:
        target = Target(server, tmp_path / "log")
        exchange(server, post("/predict", PICTURE))
        level = target.peak_kb()
        links = [
            held.enter_context(socket.create_connection(address(server), timeout=60))
            for _ in range(30)
        ]
        # Each is all there but for its last byte.
        uploads = [post("/predict", bytes(MOST))[:-1]] * 20
        packed = gzip.compress(b"[" + b" " * MOST)
        uploads += [post(INFER, packed, "Content-Encoding: gzip")] * 10
        with ThreadPoolExecutor(len(links)) as pool:
            list(pool.map(lambda link, sent: _send(link, (sent,)), links, uploads))
        assert target.send(Wire("good", frozenset(), (post("/predict", PICTURE),))) == 200
        assert target.peak_kb() - level < 150_000
        answers = [_answered(link) for link in links]
        assert {answer[:12] for answer in answers[20:]} <= {b"HTTP/1.1 400", b"HTTP/1.1 429"}
        # Three are as much as there is room for.
        refused = [answer for answer in answers[:20] if answer]
        assert 17 <= len(refused) < 20
        assert {answer[:12] for answer in refused} == {b"HTTP/1.1 429"}
        assert all(b"retry-after: " in answer.lower() for answer in refused)


def test_what_is_unpacked_for_nobody_is_given_back(tmp_path: Path) -> None:
    """The deadline is over while a thread goes on unpacking."""
    packed = gzip.compress(b"[" + b" " * MOST)
    sent = post(INFER, packed, "Content-Encoding: gzip", "X-Deadline-Ms: 3")
    with logging_server(tmp_path, "--max-bodies-mb", "30") as server:
        answers = [exchange(server, sent)[:12] for _ in range(20)]
        assert set(answers) <= {b"HTTP/1.1 504", b"HTTP/1.1 400"}
        assert b"HTTP/1.1 504" in answers
        # Two at a time are as much as there is room for.
        upload = post("/predict", bytes(MOST))
        with ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(exchange, [server] * 2, [upload] * 2))
        assert [answer[:12] for answer in answers] == [b"HTTP/1.1 415"] * 2


def _answered(link: socket.socket) -> bytes:
    """The beginning of an answer, if there is one."""
    link.settimeout(1)
    try:
        return link.recv(1000)
    except TimeoutError:
        return b""
