"""How answers are written, seen on a bare socket."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from millisight.server.about import STATIC
from tests.e2e.conftest import Server
from tests.e2e.test_workers import address
from tests.support import encode, texture

PICTURE = encode(texture(80, 60), "JPEG")


@pytest.fixture
def link(server: Server) -> Iterator[socket.socket]:
    with socket.create_connection(address(server), timeout=20) as one:
        yield one


def request(line: str, *headers: str, body: bytes = b"") -> bytes:
    length = [f"Content-Length: {len(body)}"] if body else []
    return "\r\n".join([f"{line} HTTP/1.1", "Host: x", *headers, *length, "", ""]).encode() + body


@pytest.mark.parametrize(("body", "status"), [(PICTURE, 200), (b"no picture", 415)])
def test_head_and_body_come_together(link: socket.socket, body: bytes, status: int) -> None:
    link.sendall(request("POST /predict", body=body))
    head, _, answer = link.recv(65_536).partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    assert f"content-length: {len(answer)}\r\n".encode() in head
    assert answer.endswith(b"}")


def etag_in(answer: bytes) -> str:
    head = answer.partition(b"\r\n\r\n")[0].decode()
    return next(line for line in head.splitlines() if line.lower().startswith("etag: "))[6:]


@pytest.mark.parametrize("pause", [0.0, 0.02])
@pytest.mark.parametrize("pieces", [[1], [1, 2, 3], [60_000, 70_000], [100, 65_536, 65_537]])
def test_a_body_is_the_same_in_however_many_pieces(
    link: socket.socket, pieces: list[int], pause: float
) -> None:
    picture = encode(texture(800, 600), "JPEG", quality=98)
    assert len(picture) > 150_000
    link.sendall(request("POST /predict", body=picture))
    expected = etag_in(link.recv(65_536))
    whole = request("POST /predict", body=picture)
    head = len(whole) - len(picture)
    ends = [head + end for end in (0, *pieces)]
    for begin, end in zip([0, *ends], [*ends, len(whole)], strict=True):
        link.sendall(whole[begin:end])
        time.sleep(pause)
    assert etag_in(link.recv(65_536)) == expected
    chunks = [picture[at : at + 5_000] for at in range(0, len(picture), 5_000)]
    body = b"".join(b"%x\r\n%s\r\n" % (len(one), one) for one in [*chunks, b""])
    link.sendall(request("POST /predict", "Transfer-Encoding: chunked") + body)
    assert etag_in(link.recv(65_536)) == expected


def test_a_head_without_a_body_does_not_wait_for_one(link: socket.socket) -> None:
    for _ in range(2):
        link.sendall(request("HEAD /static/page.css"))
        head, end, rest = link.recv(65_536).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        assert (end, rest) == (b"\r\n\r\n", b"")
    link.sendall(request("HEAD /static/page.css", "Connection: close"))
    last = b"".join(iter(lambda: link.recv(65_536), b""))
    assert last.startswith(b"HTTP/1.1 200 ")
    assert last.endswith(b"\r\n\r\n")


def test_who_waits_to_be_told_to_go_on_is_told_at_once(link: socket.socket) -> None:
    whole = request("POST /predict", "Expect: 100-continue", body=PICTURE)
    link.sendall(whole[: -len(PICTURE)])
    assert link.recv(65_536) == b"HTTP/1.1 100 Continue\r\n\r\n"
    link.sendall(PICTURE)
    assert link.recv(65_536).startswith(b"HTTP/1.1 200 ")


def test_an_answer_to_who_had_it_has_a_head_alone(link: socket.socket) -> None:
    link.sendall(request("POST /predict", body=PICTURE))
    etag = etag_in(link.recv(65_536))
    link.sendall(request("POST /predict", f"If-None-Match: {etag}", body=PICTURE))
    answer = link.recv(65_536)
    assert answer.startswith(b"HTTP/1.1 304 ")
    assert answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("file", ["index.html", "page.js"])
def test_files_come_whole(server: Server, file: str) -> None:
    path = "" if file == "index.html" else f"static/{file}"
    assert httpx.get(f"{server.url}/{path}").content == Path(STATIC, file).read_bytes()


def test_requests_that_come_at_once_are_answered_in_turn(link: socket.socket) -> None:
    link.sendall(
        request("HEAD /static/page.css") + request("GET /health/live", "Connection: close")
    )
    both = b"".join(iter(lambda: link.recv(65_536), b""))
    assert both.count(b"HTTP/1.1 200 ") == 2
    assert both.index(b"text/css") < both.index(b"application/json")
