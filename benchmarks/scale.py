"""What Ray costs: the same photographs to plain millisight and to Ray Serve on this machine.

sh tests/scale/alone .venv-ray/bin/python benchmarks/scale.py [--images DIR] [--rounds N]

Contestants take turns. Core-milliseconds are those of each process, by what it is.
"""

import argparse
import json
import os
import re
import statistics
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from load import generate
from photographs import photographs
from processes import Server, running

BIN = Path(sys.executable).parent
CORES = os.cpu_count() or 1
_TICKS = os.sysconf("SC_CLK_TCK")

_CONFIG = """
proxy_location: HeadOnly
http_options: {{host: 127.0.0.1, port: {port}}}
applications:
  - name: millisight
    route_prefix: /
    import_path: millisight.scale.ray_serve:app
    args: {{cores: {cores}, min_replicas: {replicas}, max_replicas: {replicas}}}
"""

_START = """
import subprocess
import ray
context = ray.init(num_cpus={cores}, include_dashboard=False, object_store_memory=80_000_000)
address = "--address=" + context.address_info["gcs_address"]
sys.exit(subprocess.call([{serve!r}, "run", address, {config!r}]))
"""


@contextmanager
def plain(folder: Path, first: tuple[bytes, str]) -> Iterator[Server]:
    """``millisight serve`` with all cores."""
    command = [str(BIN / "millisight"), "serve", "--port", "{port}", "--cache-entries", "0"]
    with running(command, "/predict", {}, folder, first) as server:
        yield server


@contextmanager
def on_ray(
    folder: Path, first: tuple[bytes, str], cores: int, *, haproxy: bool
) -> Iterator[Server]:
    """Ray Serve with replicas of ``cores`` on all cores there are."""
    script = folder / f"start-{cores}-{haproxy}.py"
    config = folder / f"serve-{cores}-{haproxy}.yaml"
    script.write_text(
        "import pathlib, sys\n"
        f"pathlib.Path({str(config)!r}).write_text({_CONFIG!r}.format("
        f"port=sys.argv[1], cores={cores}, replicas={CORES // cores}))\n"
        + _START.format(cores=CORES, serve=str(BIN / "serve"), config=str(config))
    )
    environ = {"RAY_USAGE_STATS_ENABLED": "0", "MILLISIGHT_CACHE_ENTRIES": "0"}
    environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64}
    if haproxy:
        environ["RAY_SERVE_ENABLE_HA_PROXY"] = "1"
    command = [sys.executable, str(script), "{port}"]
    with running(command, "/predict", environ, folder, first) as server:
        yield server


def used(server: Server) -> Counter[str]:
    """Seconds of processor time so far, by the kind of process."""
    found: Counter[str] = Counter()
    for process in server.processes():
        try:
            stat = (process / "stat").read_text().rpartition(")")[2].split()
            title = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        found[_kind(title)] += sum(map(int, stat[11:13])) / _TICKS
    return found


def _kind(title: str) -> str:
    for kind, pattern in (
        ("replica", "ServeReplica|millisight serve"),
        ("proxy", "ProxyActor|haproxy|HAProxy"),
        ("controller", "ServeController"),
    ):
        if re.search(pattern, title):
            return kind
    return "the rest of Ray"


def measure(server: Server, listing: Path, clients: int, seconds: int) -> dict[str, Any]:
    """One turn."""
    before = used(server)
    load = generate(server.url, listing, clients=clients, seconds=seconds)
    after = used(server)
    server.weigh()
    spent = {kind: (after[kind] - before[kind]) * 1e3 / load.requests for kind in after}
    return {
        "rate": load.rate,
        "p50_ms": load.p50_ms,
        "p99_ms": load.p99_ms,
        "errors": load.errors,
        "core_ms": spent,
        "pss_mb": server.peak_pss_mb,
    }


def main() -> None:
    """Print a table and JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=8)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pictures = photographs(folder, asked.images)
        listing = folder / "list"
        listing.write_text("".join(f"{path}\n" for path in pictures))
        first = (pictures[0].read_bytes(), "image/jpeg")
        ways: dict[str, Any] = {"plain": partial(plain, folder, first)}
        for cores in sorted({1, CORES}):
            for haproxy in (False, True):
                title = f"Ray, {CORES // cores} replicas" + ", HAProxy" * haproxy
                ways[title] = partial(on_ray, folder, first, cores, haproxy=haproxy)
        found: dict[str, list[dict[str, Any]]] = {}
        for turn in range(asked.rounds):
            for title in sorted(ways, reverse=bool(turn % 2)):
                with ways[title]() as server:
                    for clients in (1, 8):
                        one = measure(server, listing, clients, asked.seconds)
                        found.setdefault(f"{title}; {clients} clients", []).append(one)
                        print(f"{title}; {clients} clients", json.dumps(one), flush=True)
    for title, turns in found.items():
        middle = {
            key: statistics.median(turn[key] for turn in turns)
            for key in ("rate", "p50_ms", "p99_ms", "pss_mb", "errors")
        }
        kinds = {kind for turn in turns for kind in turn["core_ms"]}
        middle |= {
            kind: statistics.median(turn["core_ms"].get(kind, 0) for turn in turns)
            for kind in sorted(kinds)
        }
        print(title, {key: round(value, 2) for key, value in middle.items()})
    print(json.dumps(found))


if __name__ == "__main__":
    main()
