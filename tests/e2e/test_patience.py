"""Slow, endless and vanished clients, against a real server through bare sockets."""

import contextlib
import re
import socket
import time
from collections.abc import Iterator
from http.client import HTTPResponse
from pathlib import Path

import httpx
import pytest

from millisight.server.protocol import LINGER_SECONDS
from tests.e2e.conftest import Server, running
from tests.e2e.test_workers import address, sockets, until
from tests.support import encode, texture

DEADLINE_MS = 700
PICTURE = encode(texture(80, 60), "JPEG")


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("home"), "--deadline-ms", str(DEADLINE_MS)) as one:
        yield one


@pytest.fixture
def link(impatient: Server) -> Iterator[socket.socket]:
    with socket.create_connection(address(impatient), timeout=20) as one:
        yield one


def read_all(link: socket.socket) -> bytes:
    """What comes until the server closes the connection."""
    parts = []
    try:
        while part := link.recv(65_536):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


def head(length: int | str = len(PICTURE), *more: str) -> bytes:
    lines = ["POST /predict HTTP/1.1", "Host: x", f"Content-Length: {length}", *more]
    return "\r\n".join([*lines, "", ""]).encode()


def still_answers(server: Server) -> None:
    assert httpx.post(f"{server.url}/predict", content=PICTURE, timeout=20).status_code == 200


def test_who_says_nothing_is_hung_up_on(impatient: Server, link: socket.socket) -> None:
    assert read_all(link) == b""
    still_answers(impatient)


@pytest.mark.parametrize("before", [b"", b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"])
def test_a_head_that_trickles_in_is_hung_up_on(
    impatient: Server, link: socket.socket, before: bytes
) -> None:
    # One byte at a time: each is life, but the deadline counts from the first.
    link.sendall(before + b"POST /predict HTTP/1.1\r\n")
    link.settimeout(0.1)
    for byte in b"X-Slow: 1\r\n" * 100:
        try:
            link.sendall(bytes([byte]))
            if link.recv(1) == b"":
                break
        except TimeoutError:
            continue
        except OSError:
            break
    else:
        pytest.fail("it was listened to for ever")
    still_answers(impatient)


def test_a_head_without_end_is_refused(impatient: Server, link: socket.socket) -> None:
    link.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
    try:
        for number in range(10_000):
            link.sendall(b"X-%d: %s\r\n" % (number, b"y" * 1000))
    except OSError:
        pass
    else:
        pytest.fail("ten megabytes of headers were taken")
    still_answers(impatient)


def test_a_long_head_is_told_so(link: socket.socket) -> None:
    link.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
    for _ in range(2):
        time.sleep(0.05)
        link.sendall(b"X: %s\r\n" % (b"y" * 40_000))
    assert read_all(link).startswith(b"HTTP/1.1 431 ")


def test_a_body_that_trickles_in_is_504_and_the_connection_ends(
    impatient: Server, link: socket.socket
) -> None:
    link.sendall(head() + PICTURE[:10])
    # All there is until the connection ends.
    answer = read_all(link)
    assert answer.startswith(b"HTTP/1.1 504 ")
    assert answer.count(b"HTTP/1.1") == 1
    assert b"deadline_exceeded" in answer
    still_answers(impatient)


def test_the_time_of_the_head_counts(link: socket.socket) -> None:
    whole = head(len(PICTURE))
    link.sendall(whole[:20])
    time.sleep(0.75 * DEADLINE_MS / 1e3)
    begun = time.monotonic()
    link.sendall(whole[20:])
    assert link.recv(65_536).startswith(b"HTTP/1.1 504 ")
    assert time.monotonic() - begun < 0.6 * DEADLINE_MS / 1e3


def test_a_body_that_goes_on_after_its_refusal_is_cut_off(
    impatient: Server, link: socket.socket
) -> None:
    link.sendall(head(10**12))
    assert link.recv(65_536).startswith(b"HTTP/1.1 413 ")
    try:
        for _ in range(200):
            link.sendall(bytes(1000))
            time.sleep(0.05)
    except OSError:
        pass
    else:
        pytest.fail("it was read for ever")
    still_answers(impatient)


def test_a_chunked_body_without_end_is_refused_while_it_arrives(
    impatient: Server, link: socket.socket
) -> None:
    link.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    chunk = b"%x\r\n%s\r\n" % (100_000, bytes(100_000))
    sent = 0
    link.settimeout(0.01)
    answer = b""
    while not answer and sent < 400:
        link.settimeout(20)
        link.sendall(chunk)
        sent += 1
        link.settimeout(0.001)
        try:
            answer = link.recv(65_536)
        except TimeoutError:
            continue
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert 100 <= sent < 300
    still_answers(impatient)


def status(link: socket.socket) -> int:
    """The status of the next answer, read to its end however many pieces it comes in."""
    with HTTPResponse(link) as answer:
        answer.begin()
        answer.read()
        return answer.status


def test_a_refused_body_that_ends_leaves_the_connection_usable(link: socket.socket) -> None:
    link.sendall(head(10_100_000))
    assert status(link) == 413
    link.sendall(bytes(10_100_000))
    link.sendall(head() + PICTURE)
    assert status(link) == 200


def test_requests_in_one_piece_are_answered_in_order(link: socket.socket) -> None:
    link.sendall((head() + PICTURE) * 3 + head("0", "Connection: close"))
    answers = read_all(link)
    assert answers.count(b"HTTP/1.1 200 ") == 3
    assert answers.count(b"HTTP/1.1 400 ") == 1
    assert answers.index(b"HTTP/1.1 400 ") > answers.rindex(b"HTTP/1.1 200 ")


def test_no_work_is_spent_on_clients_that_have_gone(tmp_path: Path) -> None:
    slow = encode(texture(3000, 2500), "PNG", compress_level=1)
    with running(tmp_path, "--threads", "1", "--max-upload-mb", "40") as server:
        links = []
        for number in range(12):
            links.append(socket.create_connection(address(server), timeout=20))
            links[-1].sendall(head(len(slow) + 1) + slow + bytes([number]))
        time.sleep(0.3)
        for link in links[1:]:
            link.close()
        assert links[0].recv(65_536).startswith(b"HTTP/1.1 200 ")
        links[0].close()
        still_answers(server)
        numbers = httpx.get(f"{server.url}/metrics").text
        # Those that were under way when their clients left cannot be called back.
        [computed] = re.findall(
            r'^millisight_answers_total{model="starter",source="computed"} (\S+)',
            numbers,
            re.MULTILINE,
        )
        assert float(computed) <= 6


def who_does_not_read(server: Server) -> socket.socket:
    """A client that asks for megabytes and takes none of them."""
    link = socket.socket()
    link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    link.connect(address(server))
    link.sendall(b"GET /static-offline-docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n\r\n" * 8)
    return link


def test_who_does_not_read_is_hung_up_on_and_holds_up_no_end(tmp_path: Path) -> None:
    with running(tmp_path, "--deadline-ms", str(DEADLINE_MS), "--workers", "1") as server:
        pid = server.process.pid
        before = sockets(pid)
        with who_does_not_read(server):
            until(lambda: sockets(pid) != before, "a connection")
            until(lambda: sockets(pid) == before, "its end")
        still_answers(server)
        with who_does_not_read(server):
            until(lambda: sockets(pid) != before, "a connection")
            began = time.monotonic()
            assert server.stop() == 0
            # Less than what it would have had to read the answer.
            assert time.monotonic() - began < 6 * DEADLINE_MS / 1e3


def test_who_keeps_connections_for_nothing_keeps_nobody_out(tmp_path: Path) -> None:
    limit = ("sh", "-c", 'ulimit -n 150; exec "$@"', "sh")
    with (
        contextlib.ExitStack() as held,
        running(tmp_path, "--workers", "1", prefix=limit) as server,
    ):
        for _ in range(200):
            held.enter_context(socket.create_connection(address(server), timeout=20))
        for _ in range(5):
            still_answers(server)
        assert len(sockets(server.process.pid)) < 100


def test_a_slow_upload_behind_another_request_is_not_cut_off(server: Server) -> None:
    first = encode(texture(1500, 1250), "PNG", compress_level=1)
    with socket.create_connection(address(server), timeout=20) as link:
        # The second has begun when the first is answered, and its time is its own.
        link.sendall(head(len(first)) + first + head() + PICTURE[:50])
        assert status(link) == 200
        time.sleep(LINGER_SECONDS + 0.3)
        link.sendall(PICTURE[50:])
        assert status(link) == 200
