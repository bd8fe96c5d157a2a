"""A server under test: started, awaited, weighed and stopped, with everything it starts."""

import http.client
import os
import signal
import socket
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

MARK = "BENCHMARK_SERVER"
"""Environment variable that every process of a server inherits, daemons too."""

_TICKS = os.sysconf("SC_CLK_TCK")


class DidNotStart(Exception):
    """The server gave no answer in time, or ended."""


@dataclass(slots=True)
class Server:
    """What runs and what was seen of it."""

    port: int
    path: str
    mark: str
    startup_s: float = 0.0
    """From the start of the process to its first answer."""
    peak_pss_mb: float = 0.0
    """All processes together, memory that they share counted once."""
    peak_rss_mb: float = 0.0
    """The largest process alone."""
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        """Where pictures go."""
        return f"http://127.0.0.1:{self.port}{self.path}"

    def processes(self) -> list[Path]:
        """``/proc`` folders of all processes of this server."""
        return [one for one in Path("/proc").glob("[0-9]*") if self._is_mine(one)]

    def cpu_seconds(self) -> float:
        """Time that the processes have used so far."""
        total = 0
        for process in self.processes():
            stat = _read(process / "stat").rpartition(")")[2].split()
            total += sum(map(int, stat[11:13])) if stat else 0
        return total / _TICKS

    def weigh(self) -> None:
        """Note the memory of now, if it is more than before."""
        rolled = [_memory(one) for one in self.processes()]
        self.peak_pss_mb = max(self.peak_pss_mb, sum(pss for _, pss in rolled) / 1024)
        self.peak_rss_mb = max([self.peak_rss_mb, *(rss / 1024 for rss, _ in rolled)])

    def answers(self, body: bytes, kind: str) -> bool:
        """Whether a request with ``body`` of the type ``kind`` is answered with 200 and a body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("POST", self.path, body, {"Content-Type": kind})
            response = connection.getresponse()
            return bool(response.read()) and response.status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _is_mine(self, process: Path) -> bool:
        return f"{MARK}={self.mark}\0" in _read(process / "environ")

    def watch(self) -> None:
        """Weigh twice a second until stopped."""
        while not self.stop.wait(0.5):
            self.weigh()


@contextmanager
def running(
    command: list[str],
    path: str,
    environ: Mapping[str, str],
    folder: Path,
    first: tuple[bytes, str],
) -> Iterator[Server]:
    """The server of ``command`` (``{port}`` is filled in), answering; all of it ends at the end.

    Raises ``DidNotStart`` after two minutes without an answer to ``first``, a body and its type.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = Server(port, path, uuid.uuid4().hex)
    started = time.monotonic()
    log = folder / f"server-{port}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [word.replace("{port}", str(port)) for word in command],
            stdout=output, stderr=subprocess.STDOUT, cwd=Path(__file__).parent / "servers",
            env={**os.environ, **environ, MARK: server.mark}, start_new_session=True,
        )  # fmt: skip
    watcher = threading.Thread(target=server.watch)
    try:
        while not server.answers(*first):
            if process.poll() is not None or time.monotonic() - started > 120:
                raise DidNotStart(f"{command[0]}: {_read(log)[-2000:]}")
            time.sleep(0.005)
        server.startup_s = time.monotonic() - started
        server.weigh()
        watcher.start()
        yield server
    finally:
        server.stop.set()
        if watcher.ident:
            watcher.join()
        _end(server, process)


def _end(server: Server, process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for one in server.processes():
        os.kill(int(one.name), signal.SIGKILL)


def _memory(process: Path) -> tuple[int, int]:
    """Resident and proportional set size, in kilobytes; zeros for a process that is gone."""
    values = dict.fromkeys(("Rss", "Pss"), 0)
    for line in _read(process / "smaps_rollup").splitlines():
        name, _, rest = line.partition(":")
        if name in values:
            values[name] = int(rest.split()[0])
    return values["Rss"], values["Pss"]


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
