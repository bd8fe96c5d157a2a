"""The real command, as a shell would run it."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

COMMAND = (sys.executable, "-m", "millisight")

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """``millisight …`` with a store of its own and no other setting from outside."""
    outside = {name: value for name, value in os.environ.items() if "MILLISIGHT_" not in name}

    def command(*arguments: object, **environ: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*COMMAND, *map(str, arguments)],
            env=outside | {"MILLISIGHT_HOME": str(tmp_path / "home")} | environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    return command
