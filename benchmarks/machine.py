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
    cores: int
    memory_gb: int
    kernel: str

    def describe(self) -> str:
        """One line."""
        return f"{self.cores} cores of {self.cpu}, {self.memory_gb} GB, Linux {self.kernel}"

    def slug(self) -> str:
        """For the name of a folder."""
        return re.sub(r"[^a-z0-9]+", "-", f"{self.cpu} {self.cores} cores".lower()).strip("-")


def this_machine() -> Machine:
    """Read from the system; cores are those this process may use."""
    found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory = re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text())
    return Machine(
        cpu=found[1].strip() if found else platform.machine(),
        cores=len(os.sched_getaffinity(0)),
        memory_gb=round(int(memory[1]) / 1e6) if memory else 0,
        kernel=platform.release().split("-")[0],
    )
