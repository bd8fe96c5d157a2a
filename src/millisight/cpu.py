"""How many cores this process may really use: its affinity mask and its cgroup's quota."""

import math
import os
from pathlib import Path

CGROUP_ROOT = Path("/sys/fs/cgroup")
PROCESS_CGROUPS = Path("/proc/self/cgroup")


def available_cores() -> int:
    """Cores by affinity, cut down to the CPU quota of the container; at least 1."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return cores_within(affinity or 1, cgroup_quota())


def cores_within(affinity: int, quota: float | None) -> int:
    """The number of threads that ``affinity`` cores and ``quota`` cores of time are good for.

    A quota of 1.5 cores gives 2 threads: the second is used half of the time, which is what the
    quota allows, while one thread would leave a third of it unused.
    """
    return max(1, affinity if quota is None else min(affinity, math.ceil(quota)))


def cgroup_quota(root: Path = CGROUP_ROOT, process: Path = PROCESS_CGROUPS) -> float | None:
    """The least CPU quota, in cores, of this process's cgroup and those above it.

    Reads ``cpu.max`` (cgroup v2) or ``cpu.cfs_quota_us`` (v1); ``None`` where none is set.
    """
    try:
        lines = process.read_text().splitlines()
    except OSError:
        return None
    quotas = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        base = root / "cpu" if controllers else root
        group = base / path.lstrip("/")
        # In a container the path may name the host's view; then its root is what counts.
        for folder in [group, *group.parents] if group.is_dir() else [base]:
            quotas.append(_v1_quota(folder) if controllers else _v2_quota(folder))
            if folder == base:
                break
    return min((quota for quota in quotas if quota is not None), default=None)


def _v2_quota(folder: Path) -> float | None:
    try:
        quota, period = (folder / "cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        return None


def _v1_quota(folder: Path) -> float | None:
    try:
        quota = int((folder / "cpu.cfs_quota_us").read_text())
        period = int((folder / "cpu.cfs_period_us").read_text())
    except (OSError, ValueError):
        return None
    return quota / period if quota > 0 else None
