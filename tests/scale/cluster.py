"""Ray on this machine: nodes as processes that can be killed, and applications of Ray Serve."""

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

BIN = Path(sys.executable).parent
LOCAL = "127.0.0.1"
_MARK = "TESTED_NODE"
OBJECT_STORE = str(80_000_000)
ENVIRON = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # Else it depends on whether this user has a token already.
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": "0" * 64,
    # Those who wait for a sign of life that does not come are to know it soon.
    "RAY_health_check_initial_delay_ms": "2000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_failure_threshold": "3",
    # Numbers that replicas are added and removed by.
    "RAY_SERVE_REPLICA_AUTOSCALING_METRIC_PUSH_INTERVAL_S": "1",
    "RAY_SERVE_HANDLE_AUTOSCALING_METRIC_PUSH_INTERVAL_S": "1",
}


def free_port() -> int:
    with socket.socket() as one:
        one.bind((LOCAL, 0))
        port: int = one.getsockname()[1]
        return port


class Tree:
    """A process and all that comes of it: its mark is in their environment."""

    def __init__(self, mark: str, command: list[Any], environ: dict[str, str], log: Path) -> None:
        self.mark = f"{_MARK}={mark}".encode()
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                command,
                env=environ | {_MARK: mark},
                stdout=file,
                stderr=file,
                start_new_session=True,
            )

    def pids(self) -> list[int]:
        """All that are there now."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal():
                try:
                    if self.mark in (entry / "environ").read_bytes().split(b"\0"):
                        found.append(int(entry.name))
                except OSError:
                    continue
        return found

    def end(self, how: int = signal.SIGTERM) -> None:
        """Have it end, and end what is left of it."""
        if self.process.poll() is None:
            self.process.send_signal(how)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(20)
        self.kill()

    def kill(self) -> None:
        """As if the plug was pulled."""
        while pids := self.pids():
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.process.poll()
            time.sleep(0.05)
        self.process.wait(30)


@dataclass
class Cluster:
    """A head and perhaps other nodes."""

    environ: dict[str, str]
    folder: Path
    address: str = ""
    nodes: list[Tree] = field(default_factory=list)
    metrics: list[int] = field(default_factory=list)
    """Ports at which Prometheus would ask the nodes."""
    dashboard: int = 0
    """Port of what ``serve deploy`` talks to; 0 where it is not wanted."""

    def add(self, cores: int) -> Tree:
        """A node with ``cores``; the first is the head."""
        if self.nodes:
            where = [f"--address={self.address}"]
        else:
            port = free_port()
            self.address = f"{LOCAL}:{port}"
            where = ["--head", f"--port={port}", f"--temp-dir={self.folder}"]
            where += [f"--include-dashboard={bool(self.dashboard)}"]
            where += [f"--dashboard-host={LOCAL}", f"--dashboard-port={self.dashboard}"]
        command = [BIN / "ray", "start", "--block", "--disable-usage-stats", *where]
        command += [f"--num-cpus={cores}", f"--object-store-memory={OBJECT_STORE}"]
        command += [f"--node-ip-address={LOCAL}", "--log-style=record"]
        self.metrics.append(free_port())
        command += [f"--metrics-export-port={self.metrics[-1]}"]
        name = f"node-{len(self.nodes)}"
        log = self.folder / f"{name}.log"
        node = Tree(f"{self.folder}/{name}", command, self.environ, log)
        self.nodes.append(node)

        def started() -> bool:
            assert node.process.poll() is None, log.read_text()[-5000:]
            return "Ray runtime started" in log.read_text()

        self.wait_for(started, "the node")
        return node

    def exported(self) -> str:
        """What Prometheus would read of all nodes."""
        found = ""
        for port in self.metrics:
            with suppress(httpx.TransportError):
                found += httpx.get(f"http://{LOCAL}:{port}/metrics").text
        return found

    def replicas(self) -> dict[str, int]:
        """Process ids of the replicas that run, by their names."""
        found: dict[str, int] = {}
        for node in self.nodes:
            for pid in node.pids():
                title = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
                if match := re.match(r"ray::ServeReplica:(\S+)", title):
                    found[f"{match[1]}-{pid}"] = pid
        return found

    @staticmethod
    def wait_for(condition: Any, what: str, seconds: float = 120) -> None:
        until = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < until, f"{what} does not come"
            time.sleep(0.2)


@contextmanager
def cluster(
    *cores: int, environ: dict[str, str] | None = None, dashboard: bool = False
) -> Iterator[Cluster]:
    """Nodes with ``cores`` each. Skips the test where they could be reached from elsewhere."""
    if [name for _, name in socket.if_nameindex()] != ["lo"]:
        pytest.skip("Ray listens on every address: `make scale-test` has none but loopback")
    # Ray's sockets have long names, and a socket's name is short.
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp") as folder:
        one = Cluster(os.environ | ENVIRON | (environ or {}), Path(folder))
        one.dashboard = free_port() if dashboard else 0
        try:
            for count in cores:
                one.add(count)
            yield one
        finally:
            for node in reversed(one.nodes):
                node.end()


@dataclass
class Served:
    """An application of Ray Serve."""

    url: str
    cluster: Cluster
    config: Path


@contextmanager
def served(one: Cluster, folder: Path, **application: Any) -> Iterator[Served]:
    """``millisight.scale.ray_serve:app`` by a Serve config file, until it answers."""
    port = free_port()
    config = folder / f"serve-{port}.yaml"
    content = {
        "proxy_location": "HeadOnly",
        "http_options": {"host": LOCAL, "port": port},
        "applications": [
            {
                "name": "millisight",
                "route_prefix": "/",
                "import_path": "millisight.scale.ray_serve:app",
                **application,
            }
        ],
    }
    config.write_text(yaml.safe_dump(content), encoding="utf-8")
    log = folder / f"serve-{port}.log"
    command = [BIN / "serve", "run", f"--address={one.address}", config]
    driver = Tree(f"{one.folder}/serve-{port}", command, one.environ, log)
    url = f"http://{LOCAL}:{port}"

    def answers() -> bool:
        assert driver.process.poll() is None, log.read_text()[-5000:]
        try:
            return httpx.get(f"{url}/health/ready").status_code == 200
        except httpx.TransportError:
            return False

    try:
        one.wait_for(answers, "the application", 90)
        yield Served(url, one, config)
    finally:
        driver.end(signal.SIGINT)
