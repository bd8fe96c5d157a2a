"""What ``make release`` does besides building: refuse what is not ready, try what was built.

``release.py check`` says what stands in the way of a release of the tree it is started in.
``release.py try FILE…`` installs each wheel or sdist where nothing else is, and uses it.
"""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import tomllib
import venv
from pathlib import Path

PHOTOGRAPH = Path(__file__).parents[1] / "src/millisight/server/static/examples/coffee.avif"
LABEL = "espresso"
FOREIGN = ("torch", "torchvision", "nncf", "onnx")
"""Packages that serving does without."""
FIND = "import sys, importlib.util as u; print([n for n in sys.argv[1:] if u.find_spec(n)])"


def version(root: Path) -> str:
    """The one in ``pyproject.toml``, where all others come from."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return str(project["version"])


def hindrances(root: Path) -> list[str]:
    """Why ``root`` cannot be released, one sentence each; none if it can."""

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, check=True)
        return done.stdout.decode()

    number = version(root)
    found = []
    if changed := git("status", "--porcelain"):
        found.append(f"Files are not committed; commit or remove them:\n{changed.rstrip()}")
    changelog = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    if not re.search(rf"^## \[{re.escape(number)}\] - \d{{4}}-\d\d-\d\d$", changelog, re.MULTILINE):
        found.append(
            f"CHANGELOG.md has no section for {number}; write `## [{number}] - YYYY-MM-DD` "
            "below `## [Unreleased]`, above what it brings."
        )
    if git("tag", "--list", f"v{number}"):
        found.append(f"The tag v{number} exists; raise `version` in pyproject.toml.")
    return found


def install(artefact: Path, folder: Path) -> Path:
    """The Python of a new environment in ``folder`` that has ``artefact`` and what it asks for."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, artefact], check=True)
    return python


def use(python: Path, number: str) -> None:
    """Ask the millisight of ``python`` in every way; ``AssertionError`` if it disappoints."""
    with tempfile.TemporaryDirectory() as home:
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        environment = kept | {"HOME": home, "MILLISIGHT_HOME": home}

        def says(*command: str | Path) -> str:
            done = subprocess.run(
                command, cwd=home, env=environment, stdout=subprocess.PIPE, check=True
            )
            return done.stdout.decode()

        expect("packages for building", says(python, "-c", FIND, *FOREIGN), "[]\n")
        command = python.with_name("millisight")
        expect("--version", says(command, "--version").split()[-1], number)
        row = json.loads(says(command, "classify", "--json", PHOTOGRAPH))
        expect("classify", row["predictions"][0]["label"], LABEL)
        expect("serve", served(command, home, environment), LABEL)


def served(command: Path, home: str, environment: dict[str, str]) -> str:
    """What a server at a free port of this machine says of the photograph."""
    process = subprocess.Popen(
        [command, "serve", "--port", "0"],
        cwd=home, env=environment, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with process:
        try:
            port = 0
            for line in process.stdout or ():
                if found := re.search(r"page\s+http://127\.0\.0\.1:(\d+)/$", line.rstrip()):
                    port = int(found[1])
                if line.startswith("Ready"):
                    break
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            connection.request("POST", "/predict", PHOTOGRAPH.read_bytes())
            answer = json.load(connection.getresponse())
            connection.close()
        finally:
            process.send_signal(signal.SIGTERM)
    expect("exit status of serve", process.returncode, 0)
    return str(answer["predictions"][0]["label"])


def expect(what: str, seen: object, wanted: object) -> None:
    """``AssertionError`` unless both are the same."""
    if seen != wanted:
        raise AssertionError(f"{what}: {seen!r}, not {wanted!r}")


def main(arguments: list[str]) -> int:
    """The exit status."""
    match arguments:
        case ["check"]:
            found = hindrances(Path.cwd())
            print(*found, sep="\n", file=sys.stderr)
            return 1 if found else 0
        case ["try", *artefacts] if artefacts:
            for artefact in map(Path, artefacts):
                with tempfile.TemporaryDirectory() as folder:
                    use(install(artefact.resolve(), Path(folder)), version(Path.cwd()))
                print(f"{artefact.name}: installed, asked, answered.")
            return 0
        case _:
            print(__doc__, file=sys.stderr)
            return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
