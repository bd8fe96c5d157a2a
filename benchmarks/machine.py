"""Which machine this is, in the words that stand beside every figure."""

import os
import platform
import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Machine:
    """What the figures depend on."""

    cpu: str
    instructions: str
    """What multiplies INT8: without VNNI a network takes some three times as long."""
    cores: int
    memory_gb: int
    kernel: str

    def describe(self) -> str:
        """One line."""
        cpu = f"{self.cores} cores of {self.cpu} ({self.instructions})"
        return f"{cpu}, {self.memory_gb} GB, Linux {self.kernel}"

    def slug(self) -> str:
        """For the name of a folder."""
        name = f"{self.cpu} {self.cores} cores {self.instructions}"
        return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


_INSTRUCTIONS = (
    ("avx512_vnni", "AVX-512, VNNI"),
    ("avx_vnni", "AVX-VNNI"),
    ("avx512bw", "AVX-512"),
    ("avx2", "AVX2"),
    ("asimddp", "NEON, dot product"),
)
"""Linux's names and those in use, the best first."""


def this_machine() -> Machine:
    """Read from the system; cores are those this process may use."""
    about = Path("/proc/cpuinfo").read_text()
    found = re.search(r"model name\s*: (.*)", about)
    flags = set(about.split())
    memory = re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text())
    return Machine(
        cpu=found[1].strip() if found else platform.machine(),
        instructions=next(
            (name for flag, name in _INSTRUCTIONS if flag in flags), "no SIMD it knows of"
        ),
        cores=len(os.sched_getaffinity(0)),
        memory_gb=round(int(memory[1]) / 1e6) if memory else 0,
        kernel=platform.release().split("-")[0],
    )
