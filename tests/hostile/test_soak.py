"""The short form of the soak; the long one is run by hand."""

import subprocess
import sys


def test_nothing_is_lost_or_kept() -> None:
    command = [sys.executable, "-m", "tests.hostile.soak", "--requests", "1500"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    print(ended.stdout, ended.stderr)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    [line] = ended.stdout.splitlines()
    assert line.startswith("soak: 1500 tried, ")
    assert " 0 lost, 0 wrong, memory " in line
