"""The model is exchanged while it is served; nothing is lost and nothing broken gets in."""

import contextlib
import json
import os
import pty
import re
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from millisight.bundle import MANIFEST, new_bundle, starter_path, store, write_manifest
from millisight.manifest import Manifest
from tests.e2e.conftest import Server, running
from tests.e2e.test_patience import who_does_not_read
from tests.e2e.test_workers import name_of, until, workers
from tests.support import encode, texture

TOKEN = "the-token-of-the-administrator"  # noqa: S105
BEARER = {"Authorization": f"Bearer {TOKEN}"}
PICTURE = encode(texture(300, 200), "JPEG")


def build(home: Path, name: str) -> None:
    """The starter under another name in the place of ``own``, as ``build`` would put it there."""
    with new_bundle(store(home) / "own") as draft:
        for file in starter_path().iterdir():
            shutil.copy(file, draft)
        content = json.loads((draft / MANIFEST).read_text())
        del content["digest"]
        write_manifest(draft, Manifest.model_validate(content | {"name": name}))


def damage(home: Path) -> None:
    with (store(home) / "own" / "model.bin").open("r+b") as file:
        file.write(b"\0\1\2\3")


@pytest.fixture(params=["1", "2"], ids=["one process", "two workers"])
def served(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Server, Path]]:
    monkeypatch.setenv("MILLISIGHT_ADMIN_TOKEN", TOKEN)
    build(tmp_path, "first")
    with running(tmp_path, "--model", "own", "--workers", request.param) as server:
        yield server, tmp_path


@contextlib.contextmanager
def asking(server: Server) -> Iterator[list[str]]:
    """Clients that ask all the while, each picture on a connection of its own or on one kept."""
    stop = threading.Event()
    answers: list[str] = []

    def ask(number: int) -> None:
        with httpx.Client(timeout=30) as client:
            for count in range(10_000):
                if stop.is_set():
                    return
                body = PICTURE + b"%d %d" % (number, count)
                kept = number % 2
                post = client.post if kept else httpx.post
                try:
                    answers.append(str(post(f"{server.url}/predict", content=body).status_code))
                except httpx.RemoteProtocolError as error:
                    # A kept connection may be closed between two requests; who keeps one retries.
                    if not kept:
                        answers.append(repr(error))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield answers
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def by_request(server: Server) -> None:
    answer = httpx.post(f"{server.url}/admin/reload", headers=BEARER, timeout=60)
    assert answer.status_code in {200, 202}, answer.text
    assert answer.json()["model"] == "second"


def by_signal(server: Server) -> None:
    server.process.send_signal(signal.SIGHUP)


@pytest.mark.parametrize(
    ("served", "reload"),
    [
        ("1", by_request),
        ("1", by_signal),
        ("2", by_request),
        # Two workers are told by the signal in tests below, too.
        pytest.param("2", by_signal, marks=pytest.mark.long),
    ],
    indirect=["served"],
)
def test_the_model_is_exchanged_and_no_request_is_lost(
    served: tuple[Server, Path], reload: Callable[[Server], None]
) -> None:
    server, home = served
    assert name_of(server) == {"first"}
    with asking(server) as answers:
        until(lambda: len(answers) > 20, "answers", seconds=60)
        build(home, "second")
        reload(server)
        until(lambda: name_of(server) == {"second"}, "the new model", seconds=60)
        after = len(answers)
        until(lambda: len(answers) > after + 20, "more answers", seconds=60)
    assert set(answers) == {"200"}
    assert httpx.post(f"{server.url}/predict", content=PICTURE).json()["model"] == "second"
    [model] = httpx.get(f"{server.url}/models").json()["models"]
    numbers = httpx.get(f"{server.url}/metrics").text
    told = re.findall(r'^millisight_model_info\{digest="(\w+)".* 1\.0$', numbers, re.MULTILINE)
    assert told == [model["digest"]]


def test_a_broken_bundle_is_refused_and_the_old_one_goes_on(served: tuple[Server, Path]) -> None:
    server, home = served
    build(home, "second")
    damage(home)
    answer = httpx.post(f"{server.url}/admin/reload", headers=BEARER, timeout=60)
    assert answer.status_code == 500
    assert answer.json()["code"] == "bad_bundle"
    assert "model.bin is damaged" in answer.json()["error"]
    by_signal(server)
    time.sleep(1.5)
    assert name_of(server) == {"first"}
    shutil.rmtree(store(home) / "own")
    answer = httpx.post(f"{server.url}/admin/reload", headers=BEARER, timeout=60)
    assert (answer.status_code, answer.json()["code"]) == (404, "model_not_found")
    assert httpx.post(f"{server.url}/predict", content=PICTURE).json()["model"] == "first"
    build(home, "second")
    by_request(server)
    until(lambda: name_of(server) == {"second"}, "the new model", seconds=60)


def test_only_the_administrator_may(served: tuple[Server, Path]) -> None:
    server, _ = served
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": TOKEN}):
        answer = httpx.post(f"{server.url}/admin/reload", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")


def test_without_a_token_there_is_no_such_door(server: Server) -> None:
    answer = httpx.post(f"{server.url}/admin/reload", headers={"Authorization": "Bearer x"})
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_a_worker_that_dies_after_the_exchange_is_replaced_by_one_with_the_new_model(
    tmp_path: Path,
) -> None:
    build(tmp_path, "first")
    with running(tmp_path, "--model", "own", "--workers", "2") as server:
        build(tmp_path, "second")
        by_signal(server)
        until(lambda: name_of(server) == {"second"}, "the new model", seconds=60)
        before = workers(server)
        os.kill(before[-1], signal.SIGKILL)
        until(lambda: len(workers(server)) >= len(before), "a new worker", seconds=60)
        until(lambda: name_of(server) == {"second"}, "its model", seconds=60)
        assert server.stop() == 0


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Server, Path, set[int]]]:
    """Two workers, and who they are."""
    build(tmp_path, "first")
    arguments = ("--model", "own", "--workers", "2", "--deadline-ms", "700")
    with running(tmp_path, *arguments) as server:
        build(tmp_path, "second")
        yield server, tmp_path, set(workers(server))


def newcomers(server: Server, known: set[int]) -> set[int]:
    """The workers that are not among the ``known``, as soon as there are any."""
    until(lambda: not known.issuperset(workers(server)), "a successor", seconds=60)
    return set(workers(server)) - known


def test_if_one_worker_cannot_change_over_none_does(pair: tuple[Server, Path, set[int]]) -> None:
    server, _, old = pair
    by_signal(server)
    first = newcomers(server, old)
    second = newcomers(server, old | first)
    os.kill(second.pop(), signal.SIGKILL)
    until(lambda: set(workers(server)) == old, "the end of the successors", seconds=60)
    assert name_of(server) == {"first"}
    # Nothing is told of those that never answered.
    until(
        lambda: (
            httpx.get(f"{server.url}/metrics", timeout=60).text.count("millisight_model_info{") == 1
        ),
        "their numbers",
    )
    assert server.stop() == 0


def test_a_worker_that_dies_while_others_load_is_replaced(
    pair: tuple[Server, Path, set[int]],
) -> None:
    server, _, old = pair
    by_signal(server)
    stuck = newcomers(server, old).pop()
    os.kill(stuck, signal.SIGSTOP)
    last = max(old)
    os.kill(last, signal.SIGKILL)
    assert newcomers(server, old | {stuck})
    os.kill(stuck, signal.SIGCONT)
    until(lambda: name_of(server) == {"second"}, "the new model", seconds=60)
    assert server.stop() == 0


def test_it_stops_at_once_while_a_worker_loads(pair: tuple[Server, Path, set[int]]) -> None:
    server, _, old = pair
    by_signal(server)
    os.kill(newcomers(server, old).pop(), signal.SIGSTOP)
    began = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - began < 15


def test_who_does_not_read_holds_up_no_exchange(pair: tuple[Server, Path, set[int]]) -> None:
    server, _, old = pair
    with contextlib.ExitStack() as stuck:
        for _ in range(6):
            stuck.enter_context(who_does_not_read(server))
        by_signal(server)
        until(lambda: old.isdisjoint(workers(server)), "the end of the old ones", seconds=60)
    assert name_of(server) == {"second"}
    assert server.stop() == 0


@pytest.mark.parametrize("count", ["1", "2"])
def test_the_end_of_its_terminal_ends_the_server(tmp_path: Path, count: str) -> None:
    child, terminal = pty.fork()
    if child == 0:
        arguments = ["-m", "millisight", "serve", "--port", "0", "--workers", count]
        os.environ["MILLISIGHT_HOME"] = str(tmp_path)
        os.execv(sys.executable, [sys.executable, *arguments])  # noqa: S606
    printed = b""
    while b"Ready" not in printed:
        printed += os.read(terminal, 1000)
    os.close(terminal)
    for _ in range(300):
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            break
        time.sleep(0.1)
    else:
        os.kill(child, signal.SIGKILL)
        pytest.fail("it went on without its terminal")
    assert os.waitstatus_to_exitcode(status) in {0, -signal.SIGHUP}
