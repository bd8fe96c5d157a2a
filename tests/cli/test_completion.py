"""The Tab key, in the shells themselves."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from millisight.bundle import starter_path
from millisight.cli.completion import SHELLS
from millisight.cli.main import COMMANDS
from tests.cli.conftest import Run

# What a shell would offer after a line, one word a line.
BASH = """
source "$HOME/bash"
COMP_WORDS=({line} "{begun}") COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
compopt() {{ echo "$2"; }}
_millisight_completion millisight
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
ZSH = """
autoload -U compinit && compinit -u -D
source "$HOME/zsh"
words=({line} "{begun}") CURRENT=${{#words}}
compadd() {{ print -l -- ${{(P)5}}; }}
_describe() {{ print -l -- ${{${{(P)3}}%%:*}}; }}
_path_files() {{ echo "paths $*"; }}
_millisight_completion
"""
FISH = """
source "$HOME/fish"
complete --do-complete "{line} {begun}"
"""


@pytest.fixture
def environ(tmp_path: Path, run: Run) -> dict[str, str]:
    """``millisight`` on the path, the shells' scripts at home, and a store with one model."""
    for shell in SHELLS:
        (tmp_path / shell).write_text(run("completion", shell).stdout)
    folder = tmp_path / "bin"
    folder.mkdir()
    script = folder / "millisight"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m millisight "$@"\n')
    script.chmod(0o755)
    shutil.copytree(starter_path(), tmp_path / "home" / "bundles" / "steel")
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    own = {"PATH": path, "MILLISIGHT_HOME": str(tmp_path / "home"), "HOME": str(tmp_path)}
    return dict(os.environ) | own


def offered(environ: dict[str, str], shell: str, *words: str) -> list[str]:
    """What ``shell`` offers for the last of ``words``, without what it says of each."""
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    *before, begun = words
    line = " ".join(["millisight", *before])
    script = {"bash": BASH, "zsh": ZSH, "fish": FISH}[shell].format(line=line, begun=begun)
    done = subprocess.run(
        [program, "-c", script], env=environ, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    return sorted(one.split("\t")[0] for one in done.stdout.splitlines() if one)


@pytest.mark.parametrize("shell", SHELLS)
def test_commands_options_words_and_models_are_completed(
    shell: str, environ: dict[str, str]
) -> None:
    assert offered(environ, shell, "c") == sorted(name for name in COMMANDS if name[0] == "c")
    assert offered(environ, shell, "serve", "--max-ba") == ["--max-batch"]
    assert offered(environ, shell, "serve", "--log-format", "") == ["json", "text"]
    assert offered(environ, shell, "serve", "--model", "st") == ["starter", "steel"]


def test_pictures_are_completed_as_paths(environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"")
    assert offered(environ, "bash", "classify", "ph") == ["default"]
    assert offered(environ, "bash", "models", "--home", "ph") == ["dirnames"]


def test_what_cannot_be_known_is_completed_in_silence(environ: dict[str, str]) -> None:
    environ["MILLISIGHT_PROT"] = "1"
    assert offered(environ, "bash", "serve", "--model", "st") == ["default"]


def test_the_commands_are_completed_without_what_they_need() -> None:
    ask = {"_MILLISIGHT_COMPLETE": "bash_complete", "COMP_WORDS": "millisight ", "COMP_CWORD": "1"}
    code = (
        "import sys, atexit; from millisight.cli import main; atexit.register(lambda: print("
        "sorted({'numpy', 'PIL', 'openvino', 'fastapi', 'rich'} & set(sys.modules)))); main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | ask,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "[]"
    assert "plain,serve" in done.stdout.splitlines()


def test_another_shell_is_refused_by_name(run: Run) -> None:
    done = run("completion", "tcsh")
    assert done.returncode == 2
    assert "'bash', 'zsh', 'fish'" in done.stderr
