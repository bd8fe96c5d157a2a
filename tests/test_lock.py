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
    # What the image has beside: it is to answer by gRPC and to be followed without another build.
    extras = [text for name in ("grpc", "otel") for text in project["optional-dependencies"][name]]
    for text in project["dependencies"] + extras:
        wanted = Requirement(text)
        version, hashes = pins[canonicalize_name(wanted.name)]
        assert wanted.specifier.contains(version), f"run `make lock`: {text}"
        assert hashes > 0
    assert all(hashes > 0 for _, hashes in pins.values())
    assert {"torch", "nncf", "pytest"}.isdisjoint(pins)


def test_no_decoder_with_known_holes_is_asked_for() -> None:
    """Pillow 13 mended its JPEG decoder (GHSA-5x8w-8jj5-q52h); ``LOAD_TRUNCATED_IMAGES`` is for
    the whole process, and nobody here sets it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    [pillow] = [one for one in map(Requirement, project["dependencies"]) if one.name == "pillow"]
    assert pillow.marker is None
    assert not any(pillow.specifier.contains(old) for old in ("12.2.0", "12.999"))
    assert pillow.specifier.contains("13.0.0")
    sources = (ROOT / "src").rglob("*.py")
    assert not [path for path in sources if "LOAD_TRUNCATED_IMAGES" in path.read_text()]


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
