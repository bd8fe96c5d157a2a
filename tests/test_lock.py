"""What is locked for images is what the package asks for, and nothing in it is known to be bad."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "requirements.lock"


def locked() -> dict[str, tuple[str, int]]:
    """Version and number of hashes of each package."""
    entries = re.split(r"^(?=[a-z0-9])", LOCK.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    found = {}
    for entry in entries:
        requirement = Requirement(entry.split("\\", maxsplit=1)[0].strip())
        [pin] = requirement.specifier
        assert pin.operator == "=="
        found[canonicalize_name(requirement.name)] = (pin.version, entry.count("--hash=sha256:"))
    return found


def test_every_dependency_is_locked_at_a_version_that_fits() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pins = locked()
    for text in project["dependencies"]:
        wanted = Requirement(text)
        version, hashes = pins[canonicalize_name(wanted.name)]
        assert wanted.specifier.contains(version), f"run `make lock`: {text}"
        assert hashes > 0
    assert all(hashes > 0 for _, hashes in pins.values())
    assert {"torch", "nncf", "pytest"}.isdisjoint(pins)


def test_nothing_that_is_locked_has_a_known_hole() -> None:
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(LOCK), "--require-hashes"]
    command += ["--disable-pip", "--progress-spinner", "off", "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        looked_at = json.loads(done.stdout)["dependencies"]
    except ValueError:
        pytest.skip("needs the data of known vulnerabilities, which cannot be reached")
    known = [one for one in looked_at if "vulns" in one]
    if not known:
        pytest.skip("needs the data of known vulnerabilities, which does not know these packages")
    assert [(one["name"], one["vulns"]) for one in known if one["vulns"]] == []
