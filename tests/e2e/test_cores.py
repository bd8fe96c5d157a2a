"""Threads from what the machine really gives: affinity masks and cgroups, real ones."""

import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import running

CPUS = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []

QuotaGroup = Callable[[float], Path]


def controller() -> tuple[Path, int]:
    """Where groups with a CPU quota can be made, and the version of cgroups there."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        mount, _, system = line.partition(" - ")
        kind, _, options = system.split(" ", 2)
        point = Path(mount.split(" ")[4])
        if kind == "cgroup" and "cpu" in options.split(","):
            return point, 1
        if kind == "cgroup2" and "cpu" in (point / "cgroup.subtree_control").read_text().split():
            return point, 2
    pytest.skip("no cgroup tree with a CPU controller is mounted")


@pytest.fixture
def quota_group() -> Iterator[QuotaGroup]:
    """Makes a cgroup that is allowed so many cores' worth of time."""
    point, version = controller()
    group = point / f"millisight-test-{uuid.uuid4().hex}"

    def make(cores: float) -> Path:
        try:
            group.mkdir()
            if version == 1:
                (group / "cpu.cfs_period_us").write_text("100000")
                (group / "cpu.cfs_quota_us").write_text(f"{cores * 100_000:.0f}")
            else:
                (group / "cpu.max").write_text(f"{cores * 100_000:.0f} 100000")
        except OSError as error:
            pytest.skip(f"no cgroup can be made: {error}")
        return group

    yield make
    deadline = time.monotonic() + 30
    while group.exists():
        try:
            group.rmdir()
        except OSError:  # The last process of the server is still ending.
            assert time.monotonic() < deadline
            time.sleep(0.02)


def inside(group: Path) -> tuple[str, ...]:
    """What a command is started with to be in ``group`` from its first moment."""
    return ("sh", "-c", f'echo $$ > {group}/cgroup.procs && exec "$@"', "sh")


@pytest.mark.skipif(shutil.which("taskset") is None or len(CPUS) < 2, reason="needs two cores")
def test_an_affinity_mask_gives_as_many_threads(tmp_path: Path) -> None:
    with running(tmp_path, prefix=("taskset", "--cpu-list", str(CPUS[-1]))) as server:
        text = "\n".join(server.printed)
        assert server.stop() == 0
    assert f"\n  cores    1 of this machine's {os.cpu_count()} (affinity)\n" in text
    assert "\n  workers  1 with 1 thread for the network (auto: one for every 4 cores)\n" in text


@pytest.mark.parametrize("quota", [0.5, 1.0])
def test_a_quota_gives_as_many_threads(
    tmp_path: Path, quota_group: QuotaGroup, quota: float
) -> None:
    with running(tmp_path, prefix=inside(quota_group(quota))) as server:
        text = "\n".join(server.printed)
        assert server.stop() == 0
    cores = f"{len(CPUS)} of this machine's {os.cpu_count()}"
    assert f"\n  cores    {cores}" in text
    assert f", quota {quota:g}\n" in text
    assert "\n  workers  1 with 1 thread for the network (auto: one for every 4 cores)\n" in text


def test_workers_divide_a_quota(tmp_path: Path, quota_group: QuotaGroup) -> None:
    with running(tmp_path, "--workers", "2", prefix=inside(quota_group(1.5))) as server:
        text = "\n".join(server.printed)
        assert server.stop() == 0
    assert "\n  workers  2, each with 1 thread for the network\n" in text
    assert text.endswith(": 2 workers.")
