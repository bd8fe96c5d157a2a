"""The cores this process may really use: its affinity mask and its cgroup's quota of time."""

import contextlib
import math
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROCESS = Path("/proc/self")

_NICER = 3
"""Of 19. With more, lanes get hardly anything beside other busy programs: see decision 37."""


@dataclass(frozen=True, slots=True)
class Cores:
    """What the machine gives to this process, or to one of several workers."""

    mask: tuple[int, ...]
    """The numbers of the cores that the affinity mask allows."""
    of: int
    """Cores of the whole machine."""
    quota: float | None
    """Cores' worth of time that the cgroup allows; ``None`` where it sets no limit."""

    @property
    def count(self) -> int:
        """The number of threads these cores are good for; at least 1.

        A quota of 1.5 cores gives 2 threads: the second is used half of the time, which is what
        the quota allows, while one thread would leave a third of it unused.
        """
        cores = len(self.mask)
        return max(1, cores if self.quota is None else min(cores, math.ceil(self.quota)))

    def share(self, index: int, shares: int) -> "Cores":
        """Share ``index`` of ``shares``: cores of its own, and an equal part of the quota.

        Where there are more shares than cores, each has one core, which it shares with others.
        """
        cores = len(self.mask)
        if shares > cores:
            mask: tuple[int, ...] = (self.mask[index % cores],)
        else:
            mask = self.mask[index * cores // shares : (index + 1) * cores // shares]
        return Cores(mask, self.of, None if self.quota is None else self.quota / shares)

    def take(self) -> None:
        """Keep to these cores: this thread, and all that are started from it from now on."""
        # Not every system has affinity masks.
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, self.mask)

    def describe(self) -> str:
        """One line for people: how many cores, and what limits them."""
        affinity = " (affinity)" if len(self.mask) < self.of else ""
        quota = "" if self.quota is None else f", quota {self.quota:g}"
        return f"{len(self.mask)} of this machine's {self.of}{affinity}{quota}"


def find_cores() -> Cores:
    """The cores of this process as they are now."""
    machine = os.cpu_count() or 1
    # Not every system has affinity masks.
    mask = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(machine)
    return Cores(tuple(sorted(mask)), max(machine, len(mask)), cgroup_quota())


def available_cores() -> int:
    """Cores by affinity, cut down to the CPU quota of the container; at least 1."""
    return find_cores().count


def cgroup_quota(process: Path = PROCESS) -> float | None:
    """The least CPU quota, in cores, of this process's cgroup and those above it.

    Reads ``cpu.max`` (cgroup v2) or ``cpu.cfs_quota_us`` (v1), where ``process``, a folder of
    ``/proc``, says that the cgroups are mounted; ``None`` where no quota is set.
    """
    try:
        groups, mounts = _lines(process / "cgroup"), _lines(process / "mountinfo")
    except OSError:
        return None
    # "5:cpu,cpuacct:/path" in v1, "0::/path" in v2; a machine may have both.
    paths = {
        "cgroup" if controllers else "cgroup2": path
        for _, controllers, path in (line.split(":", 2) for line in groups)
        if not controllers or "cpu" in controllers.split(",")
    }
    quotas = [
        _quota(folder)
        for kind, root, mount in _cgroup_mounts(mounts)
        if kind in paths
        for folder in _upwards(Path(paths[kind]), Path(root), Path(mount))
    ]
    return min((quota for quota in quotas if quota is not None), default=None)


def _lines(path: Path) -> list[str]:
    """Not ``read_text``: the name of a mount may be any bytes."""
    return [os.fsdecode(line) for line in path.read_bytes().splitlines()]


def _cgroup_mounts(mountinfo: list[str]) -> Iterator[tuple[str, str, str]]:
    """Kind, root within the cgroup tree, and mount point of all that can hold CPU quotas."""
    for line in mountinfo:
        mount, _, system = line.partition(" - ")
        kind, *_, options = system.split(" ")
        if kind == "cgroup2" or (kind == "cgroup" and "cpu" in options.split(",")):
            _, _, _, root, point, *_ = mount.split(" ")
            yield kind, root, point


def _upwards(group: Path, root: Path, mount: Path) -> Iterator[Path]:
    """Folders of ``group`` and of those above it, as far as they can be seen."""
    # In a container the path may name the host's view; then its root is what counts.
    inside = mount / group.relative_to(root) if group.is_relative_to(root) else mount
    if not inside.is_dir():
        inside = mount
    yield inside
    while inside != mount:
        inside = inside.parent
        yield inside


def _quota(folder: Path) -> float | None:
    for read in (_v2_quota, _v1_quota):
        try:
            return read(folder)
        except (OSError, ValueError):
            continue
    return None


def _v2_quota(folder: Path) -> float | None:
    quota, period = (folder / "cpu.max").read_text().split()
    return None if quota == "max" else int(quota) / int(period)


def _v1_quota(folder: Path) -> float | None:
    quota = int((folder / "cpu.cfs_quota_us").read_text())
    period = int((folder / "cpu.cfs_period_us").read_text())
    return quota / period if quota > 0 else None


def give_way() -> None:
    """Let other threads go before the one that calls, on Linux: who is refused, or asks for health,
    is not to wait for the pictures of others.

    Not where there is one core: who only asks, often enough, would have nearly all of it.
    """
    # Elsewhere a thread has no priority of its own.
    if sys.platform == "linux" and len(os.sched_getaffinity(0)) > 1:
        # Some sandboxes forbid it; it is not worth more than a try.
        with contextlib.suppress(OSError):
            nice = os.getpriority(os.PRIO_PROCESS, 0)
            os.setpriority(os.PRIO_PROCESS, 0, nice + _NICER)
