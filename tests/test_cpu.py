"""Cores by affinity and by the container's quota, and how workers share them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millisight.cpu import Cores, available_cores, cgroup_quota, find_cores


def group(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("_", ".", 1)).write_text(content)


def process(folder: Path, cgroup: str, *mounts: str) -> Path:
    """A folder as ``/proc`` has it; a mount is given as ``root point - kind - options``."""
    lines = ["23 1 0:1 / / rw shared:1 - overlay overlay rw", "24 23 0:2 / /x rw - tmpfs tmpfs rw"]
    for number, mount in enumerate(mounts, start=30):
        place, kind, options = mount.split(" - ")
        lines.append(f"{number} 23 0:3 {place} rw,relatime shared:9 - {kind} cgroup {options}")
    proc = folder / "proc"
    proc.mkdir()
    (proc / "cgroup").write_text(cgroup)
    (proc / "mountinfo").write_text("\n".join(lines) + "\n")
    return proc


def test_the_least_quota_on_the_way_up_counts(tmp_path: Path) -> None:
    mount = tmp_path / "mount"
    group(mount / "outer", cpu_max="150000 100000\n")
    group(mount / "outer/inner", cpu_max="max 100000\n")
    proc = process(tmp_path, "0::/outer/inner\n", f"/ {mount} - cgroup2 - rw")
    assert cgroup_quota(proc) == 1.5


@pytest.mark.parametrize("options", ["rw,cpu", "rw,cpu,cpuacct"])
def test_the_older_cgroups_are_found_wherever_they_are_mounted(
    tmp_path: Path, options: str
) -> None:
    mount = tmp_path / "somewhere"
    group(mount / "box", cpu_cfs_quota_us="50000", cpu_cfs_period_us="100000")
    proc = process(
        tmp_path,
        "5:cpu,cpuacct:/box\n4:memory:/box\n3:cpuset:/box\n",
        f"/ {tmp_path}/memory - cgroup - rw,memory",
        f"/ {tmp_path}/cpuset - cgroup - rw,cpuset",
        f"/ {mount} - cgroup - {options}",
    )
    assert cgroup_quota(proc) == 0.5


def test_both_kinds_side_by_side_are_read(tmp_path: Path) -> None:
    group(tmp_path / "old" / "box", cpu_cfs_quota_us="300000", cpu_cfs_period_us="100000")
    group(tmp_path / "unified" / "other")
    proc = process(
        tmp_path,
        "1:cpu:/box\n0::/other\n",
        f"/ {tmp_path}/old - cgroup - rw,cpu",
        f"/ {tmp_path}/unified - cgroup2 - rw",
    )
    assert cgroup_quota(proc) == 3


def test_a_path_of_the_hosts_view_is_followed_into_the_containers_mount(tmp_path: Path) -> None:
    mount = tmp_path / "mount"
    group(mount, cpu_cfs_quota_us="250000", cpu_cfs_period_us="100000")
    group(mount / "inner", cpu_cfs_quota_us="200000", cpu_cfs_period_us="100000")
    proc = process(tmp_path, "2:cpu:/docker/abc/inner\n", f"/docker/abc {mount} - cgroup - rw,cpu")
    assert cgroup_quota(proc) == 2


@pytest.mark.parametrize("path", ["/docker/abc", "/../other"])
def test_a_path_that_cannot_be_seen_falls_back_to_the_containers_root(
    tmp_path: Path, path: str
) -> None:
    mount = tmp_path / "mount"
    group(mount, cpu_max="200000 100000")
    proc = process(tmp_path, f"0::{path}\n", f"/ {mount} - cgroup2 - rw")
    assert cgroup_quota(proc) == 2


def test_no_quota_is_none(tmp_path: Path) -> None:
    assert cgroup_quota(tmp_path / "missing") is None
    mount = tmp_path / "mount"
    group(mount / "box", cpu_cfs_quota_us="-1", cpu_cfs_period_us="100000")
    proc = process(tmp_path, "5:cpu:/box\n0::/\n", f"/ {mount} - cgroup - rw,cpu")
    assert cgroup_quota(proc) is None


@pytest.mark.parametrize("content", ["", "150000", "nonsense 100000"])
def test_a_quota_that_is_not_understood_is_none(tmp_path: Path, content: str) -> None:
    group(tmp_path / "mount", cpu_max=content)
    proc = process(tmp_path, "0::/\n", f"/ {tmp_path}/mount - cgroup2 - rw")
    assert cgroup_quota(proc) is None


def test_a_mount_whose_name_is_not_text_does_no_harm(tmp_path: Path) -> None:
    group(tmp_path / "mount", cpu_max="200000 100000")
    proc = process(tmp_path, "0::/\n", f"/ {tmp_path}/mount - cgroup2 - rw")
    mountinfo = proc / "mountinfo"
    mountinfo.write_bytes(b"25 23 0:9 / /m\xfcll rw - ext4 /dev/vda rw\n" + mountinfo.read_bytes())
    assert cgroup_quota(proc) == 2


def test_a_quota_above_the_mount_is_not_looked_for(tmp_path: Path) -> None:
    group(tmp_path, cpu_max="100000 100000")
    group(tmp_path / "mount" / "box", cpu_max="300000 100000")
    proc = process(tmp_path, "0::/box\n", f"/ {tmp_path}/mount - cgroup2 - rw")
    assert cgroup_quota(proc) == 3


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs affinity masks")
def test_an_affinity_mask_is_obeyed() -> None:
    code = (
        "import os; os.sched_setaffinity(0, {max(os.sched_getaffinity(0))});"
        "from millisight.cpu import available_cores, find_cores;"
        "print(available_cores(), find_cores().mask == (max(os.sched_getaffinity(0)),))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "1 True\n"


@pytest.mark.parametrize(
    ("affinity", "quota", "cores"),
    [(8, None, 8), (8, 1.5, 2), (8, 2.0, 2), (8, 0.1, 1), (2, 16.0, 2), (1, 1.5, 1)],
)
def test_a_part_of_a_core_in_the_quota_is_worth_a_thread(
    affinity: int, quota: float | None, cores: int
) -> None:
    assert Cores(tuple(range(affinity)), affinity, quota).count == cores


@pytest.mark.parametrize(
    ("cores", "line"),
    [
        (Cores((0, 1), 2, None), "2 of this machine's 2"),
        (Cores((4, 6), 8, None), "2 of this machine's 8 (affinity)"),
        (Cores((0, 1), 2, 0.5), "2 of this machine's 2, quota 0.5"),
        (Cores((4, 6), 8, 1.5), "2 of this machine's 8 (affinity), quota 1.5"),
    ],
)
def test_what_limits_the_cores_is_said(cores: Cores, line: str) -> None:
    assert cores.describe() == line


@given(
    mask=st.sets(st.integers(0, 200), min_size=1, max_size=70),
    shares=st.integers(1, 100),
    quota=st.none() | st.integers(1, 70),
)
def test_shares_take_every_core_and_divide_them_fairly(
    mask: set[int], shares: int, quota: int | None
) -> None:
    cores = Cores(tuple(sorted(mask)), 201, quota)
    taken = [cores.share(number, shares) for number in range(shares)]
    sizes = [len(share.mask) for share in taken]
    everyone = [core for share in taken for core in share.mask]
    assert set(everyone) == mask
    assert max(sizes) - min(sizes) <= 1
    times = [everyone.count(core) for core in mask]
    assert max(times) - min(times) <= 1
    if shares <= len(mask):
        assert len(everyone) == len(mask)
    if quota is not None:
        assert all(share.quota == quota / shares for share in taken)
    assert all(1 <= share.count <= len(share.mask) for share in taken)


def test_one_share_is_everything() -> None:
    cores = find_cores()
    assert cores.share(0, 1) == cores


def test_there_is_always_a_core() -> None:
    assert 1 <= available_cores() <= (os.cpu_count() or 1)
