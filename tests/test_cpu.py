"""Cores by affinity and by the container's quota."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from millisight.cpu import available_cores, cgroup_quota, cores_within


def group(root: Path, path: str, **files: str) -> None:
    folder = root / path
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("_", ".", 1)).write_text(content)


@pytest.fixture
def process(tmp_path: Path) -> Path:
    return tmp_path / "cgroup"


def test_the_least_quota_on_the_way_up_counts(tmp_path: Path, process: Path) -> None:
    process.write_text("0::/outer/inner\n")
    group(tmp_path, "outer", cpu_max="150000 100000\n")
    group(tmp_path, "outer/inner", cpu_max="max 100000\n")
    assert cgroup_quota(tmp_path, process) == 1.5


def test_the_older_cgroups_are_read_too(tmp_path: Path, process: Path) -> None:
    process.write_text("5:cpu,cpuacct:/box\n4:memory:/box\n")
    group(tmp_path, "cpu/box", cpu_cfs_quota_us="50000", cpu_cfs_period_us="100000")
    assert cgroup_quota(tmp_path, process) == 0.5


def test_a_path_of_the_hosts_view_falls_back_to_the_containers_root(
    tmp_path: Path, process: Path
) -> None:
    process.write_text("0::/docker/abc\n")
    group(tmp_path, ".", cpu_max="200000 100000")
    assert cgroup_quota(tmp_path, process) == 2


def test_no_quota_is_none(tmp_path: Path, process: Path) -> None:
    assert cgroup_quota(tmp_path, process) is None
    process.write_text("5:cpu:/box\n0::/\n")
    group(tmp_path, "cpu/box", cpu_cfs_quota_us="-1", cpu_cfs_period_us="100000")
    assert cgroup_quota(tmp_path, process) is None


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs affinity masks")
def test_an_affinity_mask_is_obeyed() -> None:
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))});"
        "from millisight.cpu import available_cores; print(available_cores())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"


@pytest.mark.parametrize(
    ("affinity", "quota", "cores"),
    [(8, None, 8), (8, 1.5, 2), (8, 2.0, 2), (8, 0.1, 1), (2, 16.0, 2), (1, 1.5, 1)],
)
def test_a_part_of_a_core_in_the_quota_is_worth_a_thread(
    affinity: int, quota: float | None, cores: int
) -> None:
    assert cores_within(affinity, quota) == cores


@pytest.mark.parametrize("content", ["", "150000", "nonsense 100000"])
def test_a_quota_that_is_not_understood_is_none(
    tmp_path: Path, process: Path, content: str
) -> None:
    process.write_text("0::/\n")
    group(tmp_path, ".", cpu_max=content)
    assert cgroup_quota(tmp_path, process) is None


def test_a_quota_above_the_groups_root_is_not_looked_for(tmp_path: Path, process: Path) -> None:
    process.write_text("0::/box\n")
    group(tmp_path, ".", cpu_max="100000 100000")
    group(tmp_path, "root/box", cpu_max="300000 100000")
    assert cgroup_quota(tmp_path / "root", process) == 3


def test_there_is_always_a_core() -> None:
    assert 1 <= available_cores() <= (os.cpu_count() or 1)
