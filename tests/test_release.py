"""What a release is made of: a version, a changelog, a wheel that works where nothing else is."""

import re
import runpy
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "deploy" / "release.py"
RELEASE = runpy.run_path(str(SCRIPT))
CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
KINDS = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"]
GIT = ["git", "-c", "user.name=nobody", "-c", "user.email=nobody@example.org"]


def git(folder: Path, *arguments: str) -> None:
    subprocess.run([*GIT, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A checkout that is ready to be released as 1.2.3."""
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "1.2.3"\n')
    (tmp_path / "CHANGELOG.md").write_text("## [Unreleased]\n\n## [1.2.3] - 2026-11-26\n")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "Ready")
    return tmp_path


def check(folder: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, SCRIPT, "check"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_a_tree_that_is_ready_may_be_released(tree: Path) -> None:
    done = check(tree)
    assert (done.returncode, done.stderr.strip()) == (0, "")


def test_everything_that_stands_in_the_way_is_said_at_once(tree: Path) -> None:
    git(tree, "tag", "v1.2.3")
    (tree / "CHANGELOG.md").write_text("## [Unreleased]\n\n## [1.2.30] - 2026-11-26\n")
    (tree / "forgotten.py").write_text("")
    done = check(tree)
    assert done.returncode == 1
    assert "not committed" in done.stderr
    assert "forgotten.py" in done.stderr
    assert "no section for 1.2.3;" in done.stderr
    assert "The tag v1.2.3 exists" in done.stderr


def test_the_version_is_semantic() -> None:
    assert re.fullmatch(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)", RELEASE["version"](ROOT))


def test_the_changelog_has_the_form_of_keep_a_changelog() -> None:
    assert CHANGELOG.startswith("# Changelog\n")
    unreleased, *releases = re.findall(r"^## (.*)$", CHANGELOG, re.MULTILINE)
    assert unreleased == "[Unreleased]"
    for release in releases:
        assert re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", release)
    for section in re.split(r"^## .*$", CHANGELOG, flags=re.MULTILINE)[1:]:
        kinds = re.findall(r"^### (.*)$", section, re.MULTILINE)
        assert kinds == [kind for kind in KINDS if kind in kinds]
        entries = re.sub(r"^### .*$", "", section, flags=re.MULTILINE).strip()
        assert all(line.startswith(("- ", "  ")) for line in entries.splitlines() if line)


def test_the_wheel_works_beside_nothing_but_what_serving_needs(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        source.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / "src", source / "src")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    build = ["wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", tmp_path]
    subprocess.run([*pip, *build, source], check=True)
    [wheel] = tmp_path.glob("*.whl")

    venv.create(tmp_path / "venv", with_pip=False)
    python = tmp_path / "venv" / "bin" / "python"
    install = [*pip, "--python", python, "install", "--quiet", "--no-deps", wheel]
    subprocess.run(install, check=True)
    # What is installed is not installed again, nor asked of the network. In `.venv` is what
    # serving needs; millisight itself is there by a .pth file, which counts only where it lies.
    needed = next(path for path in (ROOT / ".venv", Path(sys.prefix)) if path.is_dir())
    site = Path(sysconfig.get_path("purelib", vars={"base": str(tmp_path / "venv")}))
    others = sysconfig.get_path("purelib", vars={"base": str(needed)})
    (site / "needed.pth").write_text(others)
    RELEASE["use"](python, RELEASE["version"](ROOT))
