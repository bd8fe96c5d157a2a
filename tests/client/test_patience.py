"""What is tried again and what is not: full queues, servers that restart, proxies, broken lines."""

import re
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from millisight import Client
from millisight.client.calls import Reply
from millisight.errors import (
    BadParameter,
    DeadlineExceeded,
    MillisightError,
    NotReady,
    Overloaded,
    Unauthorized,
    UnexpectedAnswer,
    Unreachable,
    UploadTooLarge,
)
from tests.client.conftest import CAT, KEY, SLOW, Ask
from tests.client.scripted import ANSWER, HANG_UP, scripted
from tests.e2e.conftest import Server, running

PICTURE = b"what a picture is does not matter here"
OK = (200, {"X-Request-Id": "r"}, ANSWER)
PROBLEM = b'{"error":"No.","code":"%s","hint":"Why?","request_id":"theirs"}'


def test_a_full_queue_is_told_of_and_waited_for(server: Server) -> None:
    pictures = [SLOW + b"%d" % number for number in range(16)]

    def outcome(picture: bytes) -> MillisightError | None:
        try:
            hasty.predict(picture)
        except MillisightError as error:
            return error
        return None

    with Client(server.url, api_key=KEY, retry=False) as hasty, ThreadPoolExecutor(16) as pool:
        refused = [one for one in pool.map(outcome, pictures) if one]
    assert {type(one) for one in refused} == {Overloaded}
    assert all(one.retry_after >= 1 and one.request_id for one in refused)  # type: ignore[attr-defined]
    with Client(server.url, api_key=KEY, timeout=60) as patient:
        answers = list(patient.predict_many(pictures[:8], concurrency=8))
    assert len({one.request_id for one in answers}) == 8


@pytest.fixture
def port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind(("127.0.0.1", 0))
        number: int = one.getsockname()[1]
    return number


def test_a_server_that_restarts_is_waited_for(tmp_path: Path, port: int) -> None:
    with Client(f"http://127.0.0.1:{port}", timeout=180) as client:
        with running(tmp_path, "--port", str(port)):
            assert client.predict(CAT).cached is False
            assert (client.ready(), client.live()) == (True, True)
        assert (client.ready(), client.live()) == (False, False)
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(client.predict, CAT)
            with running(tmp_path, "--port", str(port)):
                assert (
                    asked.result().predictions[0].label == client.predict(CAT).predictions[0].label
                )


def test_nobody_there_is_a_plain_sentence(port: int, ask: Ask) -> None:
    url = f"http://127.0.0.1:{port}"
    for options in ({"retry": False}, {"timeout": 0.4}):
        begun = time.monotonic()
        with pytest.raises(
            Unreachable, match=f"^No server can be reached at {url}: .+\\.$"
        ) as error:
            ask(url, "predict", PICTURE, **options)
        assert time.monotonic() - begun < 2
        assert "millisight serve" in error.value.hint
        assert ask(url, "ready", **options) is False


def test_who_stops_early_does_not_wait_for_what_is_under_way() -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        client = Client(f"http://127.0.0.1:{deaf.getsockname()[1]}", timeout=5)
        begun = time.monotonic()
        with pytest.raises(FileNotFoundError):
            next(client.predict_many(["none.jpg", PICTURE, PICTURE], concurrency=3))
        assert time.monotonic() - begun < 3


def test_a_server_that_says_nothing_is_given_up(ask: Ask) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        begun = time.monotonic()
        with pytest.raises(DeadlineExceeded, match=r"has not answered within 0\.3 s"):
            ask(url, "predict", PICTURE, timeout=0.3)
        # Once: what took too long would take as long again.
        assert 0.25 < time.monotonic() - begun < 2
        assert ask(url, "live", timeout=0.3) is False


@pytest.mark.parametrize("status", [429, 503])
def test_what_was_not_begun_is_tried_again_when_it_is_told(status: int, ask: Ask) -> None:
    with scripted((status, {"Retry-After": "1"}, b""), OK) as heard:
        answer = ask(heard.url, "predict", PICTURE)
    assert answer.predictions[0].label == "cat"
    assert heard.came[1] - heard.came[0] >= 1


def test_a_connection_that_breaks_is_tried_again(ask: Ask) -> None:
    with scripted(*[(HANG_UP, {}, b"")] * 2, (503, {}, b""), OK) as heard:
        assert ask(heard.url, "predict", PICTURE).request_id == "r"
    assert len(heard.came) == 4
    with (
        scripted((HANG_UP, {}, b"")) as heard,
        pytest.raises(Unreachable, match=f"The connection to {heard.url} broke"),
    ):
        ask(heard.url, "predict", PICTURE, retry=False)


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("internal", 500, MillisightError),
        ("deadline_exceeded", 504, DeadlineExceeded),
        ("bad_parameter", 422, BadParameter),
        ("what a later server may say", 400, UnexpectedAnswer),
    ],
)
def test_what_was_answered_is_not_asked_again(
    code: str, status: int, kind: type[MillisightError], ask: Ask
) -> None:
    with (
        scripted((status, {"Retry-After": "0"}, PROBLEM % code.encode())) as heard,
        pytest.raises(kind) as error,
    ):
        ask(heard.url, "predict", PICTURE)
    assert (type(error.value), len(heard.came)) == (kind, 1)
    assert (str(error.value), error.value.hint) == ("No.", "Why?")
    assert error.value.request_id == "theirs"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (200, UnexpectedAnswer),
        (307, UnexpectedAnswer),
        (401, Unauthorized),
        (404, UnexpectedAnswer),
        (413, UploadTooLarge),
        (418, UnexpectedAnswer),
        (499, UnexpectedAnswer),
        (502, NotReady),
        (504, DeadlineExceeded),
    ],
)
@pytest.mark.parametrize("body", [b"<html>", b"[1]", b'{"code": []}'], ids=["html", "list", "odd"])
def test_a_proxy_is_understood(status: int, kind: type[MillisightError], body: bytes) -> None:
    with (
        scripted((status, {"Location": "http://127.0.0.1:1/"}, body)) as heard,
        Client(heard.url) as client,
        pytest.raises(kind) as error,
    ):
        client.predict(PICTURE)
    assert type(error.value) is kind
    assert error.value.hint


def test_nobody_waits_longer_than_there_is_time(ask: Ask) -> None:
    with scripted((429, {"Retry-After": "3600"}, b"")) as heard:
        begun = time.monotonic()
        with pytest.raises(Overloaded) as error:
            ask(heard.url, "predict", PICTURE, timeout=5)
    assert time.monotonic() - begun < 2
    assert error.value.retry_after == 3600


NOON = "Thu, 26 Nov 2026 12:00:00 GMT"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 0),
        ({"Retry-After": "7"}, 7),
        ({"Retry-After": " 7 "}, 7),
        ({"Retry-After": "-7"}, 0),
        ({"Retry-After": "soon"}, 0),
        ({"Retry-After": "٣"}, 0),
        ({"Retry-After": "Thu, 26 Nov 2026 12:00:30 GMT", "Date": NOON}, 30),
        ({"Retry-After": "Thursday, 26-Nov-26 12:00:30 GMT", "Date": NOON}, 30),
        ({"Retry-After": "Thu Nov 26 12:00:30 2026", "Date": NOON}, 30),
        ({"Retry-After": "Thu, 26 Nov 2026 11:00:00 GMT", "Date": NOON}, 0),
        ({"Retry-After": "Thu, 26 Nov 2020 12:00:00 GMT"}, 0),
    ],
    ids=str,
)
def test_retry_after_is_read_in_all_its_forms(headers: dict[str, str], seconds: float) -> None:
    assert Reply(429, headers, b"").retry_after() == seconds


@pytest.mark.parametrize("url", ["localhost:8000", "", "ftp://localhost", "http://a:b", "http://"])
def test_what_is_no_address_is_said_at_once(url: str, ask: Ask) -> None:
    with pytest.raises(BadParameter, match=re.escape(f"{url!r} is not the address of a server")):
        ask(url, "predict", PICTURE)


def test_a_wrong_certificate_is_not_waited_for(ask: Ask) -> None:
    with scripted() as heard:
        begun = time.monotonic()
        with pytest.raises(Unreachable, match="SSL"):
            ask(heard.url.replace("http:", "https:"), "predict", PICTURE)
        assert time.monotonic() - begun < 5


@pytest.mark.parametrize("key", ["secret\n", "sécret"])
def test_a_key_that_cannot_be_sent_is_not_told(key: str, server: Server, ask: Ask) -> None:
    with pytest.raises(BadParameter, match="API key") as error:
        ask(server.url, "predict", PICTURE, api_key=key)
    assert key.strip() not in str(error.value)


def test_threads_share_a_client(server: Server) -> None:
    begin = threading.Barrier(3)
    with Client(server.url, api_key=KEY) as client, ThreadPoolExecutor(3) as pool:

        def both(_: int) -> bool:
            begin.wait(20)
            return client.predict(CAT).predictions == client.predict(CAT).predictions

        assert list(pool.map(both, range(3))) == [True] * 3
