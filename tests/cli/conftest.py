"""The real command, as a shell would run it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command import Run
from tests.command import run as run_forked

COMMAND = (sys.executable, "-m", "millisight")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """``millisight …`` with a store of its own and no other setting from outside."""
    outside = {name: value for name, value in os.environ.items() if "MILLISIGHT_" not in name}

    def command(*arguments: object, **environ: str) -> "subprocess.CompletedProcess[str]":
        own = outside | {"MILLISIGHT_HOME": str(tmp_path / "home")} | environ
        if "PYTHONPATH" not in environ:
            return run_forked(own, *arguments)
        # What is imported is to be seen, so a fork of what has imported all would not do.
        line = [*COMMAND, *map(str, arguments)]
        return subprocess.run(line, env=own, capture_output=True, text=True, check=False)

    return command
