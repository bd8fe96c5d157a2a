"""Several workers on one port: alike, apart, replaced when they die, gone when told to go."""

import contextlib
import fcntl
import http.client
import json
import multiprocessing
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import httpx
import pytest

from millisight.bundle import (
    FILES,
    GRAPH,
    new_bundle,
    read_bundle,
    starter_path,
    write_manifest,
)
from millisight.bundlefiles import describe_file
from millisight.server.workers import _watch
from tests.e2e.conftest import Server, running
from tests.e2e.test_stopping import wait_until_refused
from tests.support import encode, texture

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/task").exists(), reason="looks at processes through /proc"
)

JPEG = encode(texture(300, 300), "JPEG")


def until(condition: Callable[[], bool], what: str, *, seconds: float = 30) -> None:
    """Return once ``condition`` holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)


def name_of(server: Server) -> set[str]:
    """What answers; of several workers, on many connections."""
    answers = [httpx.get(f"{server.url}/model", timeout=60).json() for _ in range(12)]
    names = {answer["manifest"]["name"] for answer in answers}
    return {str(name) for name in names}


def workers(server: Server) -> list[int]:
    """Process ids of the workers, leaving out multiprocessing's own helper."""
    pid = server.process.pid
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [int(child) for child in children if b"spawn_main" in command(int(child))]


def command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def running_still(pid: int) -> bool:
    """Whether the process exists and is not merely waiting for its status to be read."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def mask(pid: int) -> frozenset[int]:
    """The cores of the worker's own threads; those from before it took its share do not count."""
    return frozenset(os.sched_getaffinity(pid))


def sockets(pid: int) -> set[str]:
    """The inodes of a process's open sockets."""
    found = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            name = entry.readlink().name
            if name.startswith("socket:["):
                found.add(name.removeprefix("socket:[").removesuffix("]"))
    return found


def listening(pid: int) -> set[str]:
    """The inodes of the sockets on which a process listens."""
    rows = [line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    return {row[9] for row in rows if row[3] == "0A"} & sockets(pid)


def numbers_folder(server: Server) -> Path:
    """Where its workers write what they count."""
    environ = Path(f"/proc/{workers(server)[0]}/environ").read_bytes().split(b"\0")
    (name,) = [line for line in environ if line.startswith(b"PROMETHEUS_MULTIPROC_DIR=")]
    return Path(os.fsdecode(name.partition(b"=")[2]))


def address(server: Server) -> tuple[str, int]:
    url = urlsplit(server.url)
    assert url.hostname is not None
    assert url.port is not None
    return url.hostname, url.port


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Two workers, for tests that leave them as they were."""
    with running(tmp_path_factory.mktemp("home"), "--workers", "2") as one:
        yield one


def test_it_says_how_the_cores_are_shared_and_when_all_are_ready(pair: Server) -> None:
    text = "\n".join(pair.printed)
    cores = len(os.sched_getaffinity(0))
    assert f"\n  cores    {cores} of this machine's {os.cpu_count()}" in text
    assert re.search(r"\n  workers  2, each with \d+( or \d+)? threads? for the network\n", text)
    assert re.search(r"Ready after \d+\.\d s: 2 workers\.$", text)


def test_both_give_the_same_answers(pair: Server) -> None:
    answers = set()
    # Each request on a connection of its own: all of them at one worker happens once in 10^9.
    for _ in range(30):
        body = httpx.post(f"{pair.url}/predict", content=JPEG, timeout=30).json()
        answers.add(json.dumps(body["predictions"]))
        assert httpx.get(f"{pair.url}/health/ready").status_code == 200
    assert len(answers) == 1


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")
def test_each_has_cores_of_its_own(pair: Server) -> None:
    first, second = (mask(pid) for pid in workers(pair))
    assert not first & second
    assert first | second == os.sched_getaffinity(0)


def test_each_listens_on_a_socket_of_its_own(pair: Server) -> None:
    first, second = (listening(pid) for pid in workers(pair))
    assert len(first) == len(second) == 1
    assert first != second


def test_connections_are_spread_over_the_workers(pair: Server) -> None:
    before = [sockets(pid) for pid in workers(pair)]
    with contextlib.ExitStack() as stack:
        clients = [
            stack.enter_context(socket.create_connection(address(pair), timeout=30))
            for _ in range(128)
        ]
        for client in clients:
            client.sendall(b"GET /health/live HTTP/1.1\r\nHost: here\r\n\r\n")
        for client in clients:
            assert client.recv(100).startswith(b"HTTP/1.1 200")
        after = [sockets(pid) for pid in workers(pair)]
    taken = [len(now - then) for now, then in zip(after, before, strict=True)]
    # The kernel draws lots: less than a quarter for one of two happens once in 10^8.
    assert sum(taken) == 128
    assert min(taken) >= 32


def posted(server: Server) -> float:
    """How many requests to ``/predict`` were answered with 200, as any one worker tells it."""
    text = httpx.get(f"{server.url}/metrics", timeout=30).text
    found = re.search(r'requests_total\{route="/predict",status="200"\} (\S+)', text)
    return float(found[1]) if found else 0


def test_the_numbers_of_all_workers_are_added_up(pair: Server) -> None:
    before = posted(pair)
    for _ in range(20):
        httpx.post(f"{pair.url}/predict", content=JPEG, timeout=30)
    assert [posted(pair) - before for _ in range(10)] == [20] * 10


@pytest.mark.parametrize("count", ["1", "2"])
def test_their_port_is_not_shared_with_another_server(pair: Server, count: str) -> None:
    port = str(address(pair)[1])
    done = subprocess.run(
        [sys.executable, "-m", "millisight", "serve", "--port", port, "--workers", count],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert f"Cannot listen on 127.0.0.1 port {port}" in done.stderr


def test_a_killed_worker_costs_only_its_own_requests_and_is_replaced(tmp_path: Path) -> None:
    outcomes: list[int | str] = []
    enough = threading.Event()
    clients = 4

    def post(url: str) -> None:
        while not enough.is_set():
            try:
                answer = httpx.post(f"{url}/predict", content=JPEG, timeout=30)
                outcomes.append(answer.status_code)
            except httpx.TransportError as error:
                outcomes.append(type(error).__name__)

    with running(tmp_path, "--workers", "2") as server:
        victim, other = workers(server)
        share = mask(victim)
        threads = [threading.Thread(target=post, args=(server.url,)) for _ in range(clients)]
        for thread in threads:
            thread.start()
        until(lambda: len(outcomes) > 20, "answers")
        os.kill(victim, signal.SIGKILL)
        until(lambda: len(set(workers(server)) - {victim, other}) == 1, "a new worker")
        (successor,) = set(workers(server)) - {victim, other}
        until(lambda: mask(successor) == share or not running_still(successor), "its share")
        until(lambda: len(listening(successor)) == 1, "the new worker's socket")
        seen = len(outcomes)
        until(lambda: len(outcomes) > seen + 40, "answers after the replacement")
        enough.set()
        for thread in threads:
            thread.join()
        assert other in workers(server)
        counted = posted(server)
        assert server.stop() == 0
    lost = [outcome for outcome in outcomes if outcome != 200]
    assert set(lost) <= {"ReadError", "RemoteProtocolError", "WriteError"}
    assert len(lost) <= clients
    # What the dead worker has counted is not forgotten; it may have answered who did not hear it.
    answered = outcomes.count(200)
    assert answered - clients <= counted <= answered + clients


def test_what_waits_at_a_killed_workers_socket_is_answered_by_the_next_one(tmp_path: Path) -> None:
    with running(tmp_path, "--workers", "2") as server, contextlib.ExitStack() as stack:
        victim, _ = workers(server)
        # From now on it accepts no connection, but the kernel does so for it.
        os.kill(victim, signal.SIGSTOP)
        clients = [
            stack.enter_context(socket.create_connection(address(server), timeout=30))
            for _ in range(64)
        ]
        for client in clients:
            client.sendall(b"GET /health/ready HTTP/1.1\r\nHost: here\r\n\r\n")
        os.kill(victim, signal.SIGKILL)
        # Whoever is answered at all is told the truth: the next one answers once it is ready.
        for client in clients:
            assert client.recv(100).startswith(b"HTTP/1.1 200 ")
        assert server.stop() == 0


def test_workers_that_die_while_they_start_end_the_server(tmp_path: Path) -> None:
    killed: set[int] = set()
    with starting(tmp_path) as server:
        while server.process.poll() is None:
            for pid in set(workers(server)) - killed:
                os.kill(pid, signal.SIGKILL)
                killed.add(pid)
            assert len(killed) < 50
        _, errors = server.process.communicate(timeout=30)
    assert server.process.returncode == 1
    assert "3 workers in a row died while they were starting, the last with status -9." in errors
    assert "--workers" in errors
    assert "Traceback" not in errors


def test_a_worker_that_dies_once_while_it_starts_is_replaced(tmp_path: Path) -> None:
    with starting(tmp_path) as server:
        os.kill(workers(server)[0], signal.SIGKILL)
        assert server.process.stdout is not None
        assert next(server.process.stdout).startswith("This is the starter model")
        assert next(server.process.stdout).endswith(": 2 workers.\n")
        assert server.stop() == 0


def test_the_folder_they_share_is_locked_against_cleaners_and_removed(tmp_path: Path) -> None:
    with running(tmp_path, "--workers", "2") as server:
        folder = numbers_folder(server)
        held = os.open(folder, os.O_RDONLY)
        with pytest.raises(BlockingIOError):
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(held)
        assert server.stop() == 0
    assert not folder.exists()


@pytest.mark.skipif(shutil.which("nohup") is None, reason="needs nohup")
def test_nohup_is_obeyed(tmp_path: Path) -> None:
    with running(tmp_path, "--workers", "2", prefix=("nohup",)) as server:
        pids = workers(server)
        for pid in (server.process.pid, *pids):
            os.kill(pid, signal.SIGHUP)
        for _ in range(20):
            assert httpx.get(f"{server.url}/health/ready", timeout=30).status_code == 200
        assert workers(server) == pids
        assert server.stop() == 0


@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_every_worker_finish(tmp_path: Path, kind: signal.Signals) -> None:
    with running(tmp_path, "--workers", "2") as server:
        pids = workers(server)
        with socket.create_connection(address(server), timeout=30) as client:
            head = (
                "POST /predict HTTP/1.1\r\nHost: here\r\nExpect: 100-continue\r\n"
                f"Content-Length: {len(JPEG)}\r\n\r\n"
            )
            client.sendall(head.encode())
            # The app is reading this body now, so the request is in flight.
            assert client.recv(100).startswith(b"HTTP/1.1 100 ")
            server.process.send_signal(kind)
            wait_until_refused(address(server))
            client.sendall(JPEG)
            answer = http.client.HTTPResponse(client)
            answer.begin()
            assert len(json.loads(answer.read())["predictions"]) == 3
        assert server.process.wait(30) == 0
    until(lambda: not any(running_still(pid) for pid in pids), "the end of the workers")


@contextlib.contextmanager
def starting(home: Path) -> Iterator[Server]:
    """A server whose two workers are there but do not answer yet, in a process group of its own."""
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "millisight", "serve", "--port", "0", "--workers", "2"],
        env=os.environ | {"MILLISIGHT_HOME": str(home)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    server = Server(process, "")
    try:
        next(line for line in process.stdout if "API" in line)
        until(lambda: len(workers(server)) == 2, "two workers")
        yield server
    finally:
        if process.poll() is None:
            server.stop()


# As a terminal does it, and a service manager: to the supervisor and its workers alike.
@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_all_while_they_start_ends_quietly(
    tmp_path: Path, kind: signal.Signals
) -> None:
    with starting(tmp_path) as server:
        os.killpg(server.process.pid, kind)
        _, errors = server.process.communicate(timeout=30)
    assert server.process.returncode == 0
    assert [line for line in errors.splitlines() if " INFO millisight." not in line] == []


def test_no_worker_outlives_its_supervisor(tmp_path: Path) -> None:
    with running(tmp_path, "--workers", "2") as server:
        pids = workers(server)
        assert len(pids) == 2
        server.process.kill()
        server.process.wait(30)
        until(lambda: not any(running_still(pid) for pid in pids), "the end of the workers")


def test_a_worker_that_cannot_answer_ends_to_be_replaced() -> None:
    stuck = SimpleNamespace(alive=False)
    process = multiprocessing.get_context("spawn").Process(target=_watch, args=(stuck,))
    process.start()
    process.join(30)
    assert process.exitcode == 1


def copy_of_starter(target: Path, *, name: str = "copy", graph: bytes = b"") -> Path:
    """A bundle whose manifest fits its files; ``graph`` replaces the network."""
    starter = read_bundle(starter_path())
    with new_bundle(target) as draft:
        for file in FILES:
            shutil.copy(starter.path / file, draft)
        if graph:
            (draft / GRAPH).write_bytes(graph)
        files = {file: describe_file(draft / file) for file in FILES}
        changes = {"name": name, "files": files}
        write_manifest(draft, starter.manifest.model_copy(update=changes))
    return target


@pytest.mark.parametrize("count", ["1", "2"])
def test_a_model_that_cannot_be_loaded_stops_the_server(tmp_path: Path, count: str) -> None:
    bundle = copy_of_starter(tmp_path / "bundle", graph=b"<net/>")
    done = subprocess.run(
        [sys.executable, "-m", "millisight", "serve", "--port", "0", "--workers", count,
         "--model", str(bundle)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 5
    assert "OpenVINO cannot load" in done.stderr
    assert "Ready" not in done.stdout


def test_a_worker_that_dies_is_replaced_by_one_with_its_model_whatever_the_folder_holds(
    tmp_path: Path,
) -> None:
    bundle = copy_of_starter(tmp_path / "bundle", name="first")
    with running(tmp_path, "--workers", "2", "--model", str(bundle)) as server:
        before = workers(server)
        copy_of_starter(bundle, name="second")
        os.kill(before[0], signal.SIGKILL)
        until(lambda: len(set(workers(server)) - {before[0]}) == 2, "a successor")
        shutil.rmtree(bundle)
        os.kill(before[1], signal.SIGKILL)
        until(lambda: not set(workers(server)) & set(before), "another")
        assert name_of(server) == {"first"}
        answers = [httpx.post(f"{server.url}/predict", content=JPEG, timeout=60) for _ in range(20)]
        assert {answer.json()["model"] for answer in answers} == {"first"}
        assert server.stop() == 0
