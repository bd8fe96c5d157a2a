"""A real server process on a free port."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest


@dataclass
class Server:
    """A running ``millisight serve``."""

    process: "subprocess.Popen[str]"
    url: str
    printed: list[str] = field(default_factory=list)

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=30)
        return self.process.returncode


@contextmanager
def running(home: Path, *arguments: str, prefix: tuple[str, ...] = ()) -> Iterator[Server]:
    process = subprocess.Popen(
        [*prefix, sys.executable, "-u", "-m", "millisight", "serve", "--port", "0", *arguments],
        env=os.environ | {"MILLISIGHT_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    server = Server(process, "")
    try:
        for line in process.stdout:
            server.printed.append(line.rstrip())
            if found := re.search(r"page\s+(http://\S+?)/$", line.rstrip()):
                server.url = found[1]
            if line.startswith("Ready"):
                break
        yield server
    finally:
        if process.poll() is None:
            server.stop()
        process.stdout.close()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server with an empty store, for tests that leave it as it was."""
    with running(tmp_path_factory.mktemp("home")) as one:
        yield one


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=30) as one:
        yield one
