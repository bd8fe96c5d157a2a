"""Load by wrk, an HTTP load generator that others maintain."""

import json
import os
import shutil
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

Mode = Literal["unique", "repeat", "json"]
"""What ``load.lua`` makes of the files."""

SCRIPT = Path(__file__).with_name("load.lua")
WARM_UP_S = 2


@dataclass(frozen=True, slots=True)
class Load:
    """What wrk saw, and what it cost."""

    clients: int
    requests: int
    duration_s: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    errors: int
    """Lost connections, timeouts and every status other than 2xx and 3xx."""
    generator_cpu_s: float
    """CPU time of wrk itself."""

    @property
    def rate(self) -> float:
        """Good answers a second."""
        return (self.requests - self.errors) / self.duration_s

    def as_json(self) -> dict[str, Any]:
        """For the results, with the rate."""
        return {**asdict(self), "rate": round(self.rate, 2)}


def rate_without_generator(
    rate: float, cores: int, duration_s: float, generator_cpu_s: float
) -> float:
    """``rate`` scaled to what it were if the load generator took no CPU time on this machine.

    At saturation the machine has ``cores * duration_s`` CPU seconds; the generator takes some of
    them away from the server: rate * all / (all - generator).
    """
    everything = cores * duration_s
    return rate * everything / (everything - generator_cpu_s)


def generate(
    url: str,
    photographs: Path,
    *,
    clients: int,
    seconds: int,
    mode: Mode = "unique",
) -> Load:
    """``clients`` keep-alive connections, each sending the next picture as it gets its answer.

    ``photographs`` is a file with one path a line.
    """
    wrk = shutil.which("wrk")
    if wrk is None:
        raise SystemExit("wrk is not installed. On Debian: apt-get install wrk")
    # Eight characters that no other run has used, in bytes no cache has seen.
    run = f"{time.monotonic_ns() // 1000 % 10**8:08d}"
    command = [wrk, "-t1", f"-c{clients}", f"-d{seconds}s", "--timeout", "30s", "-s", SCRIPT,
               url, "--", photographs, run, mode]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    output = process.stdout.read() if process.stdout else ""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"wrk ended with {process.returncode}: {output}")
    seen = json.loads(output.splitlines()[-1])
    return Load(clients=clients, generator_cpu_s=round(usage.ru_utime + usage.ru_stime, 3), **seen)
