"""One environment a contestant, made once from a pinned list and kept.

python environments.py NAME     makes one
"""

import hashlib
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
HOME = HERE / ".environments"
TORCH_INDEX = "https://download.pytorch.org/whl/cpu"
"""Builds of torch without the parts for graphics cards, where it can be reached."""


def environment(name: str) -> Path:
    """The folder of programs of environment ``name``, installed first where that is needed.

    Raises ``subprocess.CalledProcessError`` when something cannot be installed; pip's last words
    are in the file ``<name>.log`` beside the environment.
    """
    requirements = HERE / "environments" / f"{name}.txt"
    folder = HOME / name
    stamp = folder / ".installed"
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text() != digest:
        print(f"Installing {name} …", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        with (HOME / f"{name}.log").open("w") as log:
            _install(folder / "bin" / "pip", requirements, log)
        stamp.write_text(digest)
    return folder / "bin"


def versions(programs: Path) -> dict[str, str]:
    """Package, in lower case -> version of everything installed there."""
    listed = subprocess.run(
        [programs / "python", "-m", "pip", "list", "--format=freeze"],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    return dict(line.lower().split("==", 1) for line in listed.splitlines() if "==" in line)


def _install(pip: Path, requirements: Path, log: object) -> None:
    pinned = requirements.read_text().split()
    torch = [one for one in pinned if one.startswith("torch")][:2]
    if torch and torch[0].startswith("torch=="):
        from_index = [
            pip,
            "install",
            "--index-url",
            TORCH_INDEX,
            "--retries",
            "0",
            "--timeout",
            "5",
        ]
        subprocess.run([*from_index, *torch], check=False, stdout=log, stderr=log)
    subprocess.run([pip, "install", "-r", requirements], check=True, stdout=log, stderr=log)


if __name__ == "__main__":
    environment(sys.argv[1])
