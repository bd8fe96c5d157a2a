"""Each hostile upload against one real server: the right answer, nothing given away, nothing kept.

A file that harms the server is found by what comes after it: a good picture is classified after
each, and at the end the server holds no more than at the beginning.
"""

import itertools
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

import millisight
from tests.e2e.conftest import Server, running
from tests.hostile import BARE, CANARY, FORM, Hostile
from tests.hostile.corpus import corpus
from tests.hostile.soak import settled
from tests.support import encode, texture

UPLOADS = {one.name: one for one in corpus()}
GOOD = encode(texture(320, 240), "JPEG")
FIRST = 10
MOST_GROWTH_KB = 60_000

# Whatever harms the server is refused or answered long before this.
PATIENCE_SECONDS = 40

_GIVEN_AWAY = {
    "a traceback": re.compile(r"Traceback|File \"|\.py\b"),
    "a path": re.compile(r"(?<![\w/])/(?:[\w.-]+/)+[\w.-]+|site-packages"),
    "a version": re.compile(rf"\d+\.\d+\.\d+|{re.escape(millisight.__version__)}"),
    "a file name": re.compile(CANARY, re.IGNORECASE),
}


@dataclass
class Target:
    """A server that decodes each picture anew."""

    client: httpx.Client
    pid: int
    log: Path
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def send(self, one: Hostile) -> httpx.Response:
        headers = {"Content-Type": one.content_type.encode("latin-1")}
        return self.client.post("/predict", content=one.content, headers=headers)

    def classify(self) -> str:
        """The label of a good picture, whose bytes are new each time."""
        content = GOOD + next(self._numbers).to_bytes(4, "big")
        response = self.client.post("/predict", content=content)
        assert response.status_code == 200, response.text
        return str(response.json()["predictions"][0]["label"])


@contextmanager
def targeted(folder: Path) -> Iterator[Target]:
    with (
        logging_server(folder, "--cache-entries", "0", "--deadline-ms", "40000") as server,
        httpx.Client(base_url=server.url, timeout=60) as client,
    ):
        yield Target(client, server.process.pid, folder / "log")


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with targeted(tmp_path_factory.mktemp("hostile")) as one:
        yield one


@pytest.fixture(scope="module")
def label(target: Target) -> str:
    """Of the good picture, before anything else is sent."""
    return target.classify()


def logging_server(folder: Path, *arguments: str) -> AbstractContextManager[Server]:
    """``running`` with what the server says on stderr in ``folder / "log"``."""
    redirect = ("sh", "-c", 'log=$1; shift; exec "$@" 2>"$log"', "sh", str(folder / "log"))
    return running(folder, "--model", "starter", "--workers", "1", *arguments, prefix=redirect)


def test_the_uploads_are_many_and_each_has_its_own_name() -> None:
    assert len(list(corpus())) == len(UPLOADS) >= 80


def test_they_can_be_written_to_a_folder(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.hostile.corpus", str(tmp_path / "new")]
    subprocess.run(command, check=True, timeout=120)
    assert len(list((tmp_path / "new").iterdir())) == len(UPLOADS)


@pytest.mark.parametrize("name", UPLOADS)
def test_it_is_answered_or_refused_and_the_server_goes_on(
    target: Target, label: str, name: str
) -> None:
    one = UPLOADS[name]
    started = time.monotonic()
    response = target.send(one)
    assert time.monotonic() - started < PATIENCE_SECONDS
    assert response.status_code in one.statuses, response.text
    assert CANARY not in response.text.lower()
    assert CANARY not in str(response.headers).lower()
    if response.status_code == 200:
        is_an_answer(response.json())
    else:
        is_a_problem(response, one)
    assert target.classify() == label


def is_an_answer(body: dict[str, Any]) -> None:
    assert len(body["predictions"]) == 3
    for prediction in body["predictions"]:
        assert prediction["label"]
        assert 0 <= prediction["confidence"] <= 1  # what is no number is not
    assert all(re.fullmatch(r"[a-z0-9_]+", warning) for warning in body["warnings"])


def is_a_problem(response: httpx.Response, one: Hostile) -> None:
    assert response.headers["Content-Type"] == "application/json"
    assert "Server" not in response.headers
    body = response.json()
    assert body.keys() == {"error", "code", "hint", "request_id"}
    assert all(isinstance(value, str) for value in body.values())
    assert body["error"].endswith(".")
    assert body["request_id"] == response.headers["X-Request-Id"]
    if one.code is not None and response.status_code in one.statuses:
        assert body["code"] == one.code
    for what, pattern in _GIVEN_AWAY.items():
        assert not pattern.search(response.text), what


def test_nothing_is_kept_of_them(tmp_path: Path) -> None:
    with targeted(tmp_path) as target:
        for one in itertools.islice(UPLOADS.values(), FIRST):
            target.send(one)
        level = settled(target.pid)
        for one in UPLOADS.values():
            target.send(one)
        usage = settled(target.pid, level)
    assert usage.memory_kb - level.memory_kb < MOST_GROWTH_KB
    assert usage.files <= level.files
    assert usage.threads <= level.threads


def test_the_log_holds_no_file_name_and_no_fault(target: Target) -> None:
    for one in UPLOADS.values():
        if CANARY.encode() in one.content:
            target.send(one)
    log = target.log.read_text(errors="replace")
    assert CANARY not in log.lower()
    assert "Traceback" not in log
    assert "ERROR" not in log


def test_nor_does_it_when_everything_is_logged(tmp_path: Path) -> None:
    with logging_server(tmp_path, "--log-level", "debug") as server:
        for one in UPLOADS.values():
            if one.content_type.startswith(FORM):
                headers = {"Content-Type": one.content_type}
                httpx.post(f"{server.url}/predict", content=one.content, headers=headers)
        headers = {"Content-Type": BARE, "X-Request-Id": f"{CANARY}\x1b[31m"}
        httpx.post(f"{server.url}/predict", content=GOOD, headers=headers)
    log = (tmp_path / "log").read_text(errors="replace")
    assert "INFO" in log  # uvicorn says nothing of that kind otherwise
    assert CANARY not in log.lower()
