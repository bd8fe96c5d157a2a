"""An image that runs as a container engine would run it, without one: root and Linux are enough."""

import json
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RUN = Path(__file__).parent / "run-as-engine"
NAMESPACES = ["--mount", "--net", "--pid", "--ipc", "--uts"]


def printed(*command: str | Path) -> str:
    """What ``command`` prints; it must succeed."""
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@dataclass(frozen=True)
class Image:
    """A built image: what it says of itself, and its files."""

    config: dict[str, Any]
    root: Path

    @property
    def user(self) -> str:
        return str(self.config["User"])

    def environment(self, *more: str) -> list[str]:
        """Start of a command line that gives a program the image's variables and no others."""
        return ["env", "--ignore-environment", *self.config["Env"], *more]


@contextmanager
def mounted(name: str) -> Iterator[Image]:
    """The files of image ``name``, in a working container that vanishes afterwards."""
    about = json.loads(printed("buildah", "inspect", "--type", "image", name))
    container = printed("buildah", "from", name)
    try:
        yield Image(about["Docker"]["config"], Path(printed("buildah", "mount", container)))
    finally:
        printed("buildah", "rm", container)


@dataclass
class Container:
    """A running image."""

    image: Image
    process: "subprocess.Popen[str]"
    log: Path

    @property
    def pid(self) -> int:
        """Process 1 of the container, as it is numbered outside."""
        outer = self.process.pid
        return int(Path(f"/proc/{outer}/task/{outer}/children").read_text(encoding="ascii"))

    def enter(self, command: Sequence[str], *, user: bool = True) -> "subprocess.Popen[str]":
        """Start ``command`` inside; without ``user``, a program of this machine in its network."""
        enter = ["nsenter", "--target", str(self.pid), "--net"]
        if user:
            uid, gid = self.image.user.split(":")
            enter += ["--mount", "--pid", "--ipc", "--uts", "--root", "--wd"]
            enter += ["--setuid", uid, "--setgid", gid, *self.image.environment()]
        return subprocess.Popen(
            [*enter, *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def inside(self, *command: str) -> tuple[int, str]:
        """Exit status and output of ``command``, run inside as the image's user."""
        process = self.enter(command)
        output, _ = process.communicate(timeout=60)
        return process.returncode, output

    def curl(self, path: str, *options: str) -> str:
        """What the server answers, in the network that has nothing but it."""
        return finish(self.start_curl(path, *options))

    def start_curl(self, path: str, *options: str) -> "subprocess.Popen[str]":
        """The same, while it goes on."""
        url = f"http://127.0.0.1:8000{path}"
        return self.enter(["curl", "--silent", "--show-error", *options, url], user=False)

    def healthy(self) -> tuple[int, str]:
        """What the image's own health check says, run as the image has it."""
        kind, *command = self.image.config["Healthcheck"]["Test"]
        assert kind == "CMD"
        return self.inside(*command)

    def printed(self) -> str:
        """What the server has printed."""
        return self.log.read_text(encoding="utf-8")


def finish(process: "subprocess.Popen[str]") -> str:
    """What ``process`` prints until its end."""
    output, _ = process.communicate(timeout=60)
    return output


@contextmanager
def running(image: Image, log: Path, *variables: str, tmpfs: bool = False) -> Iterator[Container]:
    """``image`` with its own command, ready to answer; killed at the end if it is still there."""
    start = ["unshare", *NAMESPACES, "--fork", "--kill-child", "env", f"TMPFS={1 if tmpfs else ''}"]
    start += ["sh", str(RUN), str(image.root), image.user, *image.environment(*variables)]
    start += [*image.config["Entrypoint"], *image.config["Cmd"]]
    with log.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(start, stdout=file, stderr=subprocess.STDOUT, text=True)
        try:
            container = Container(image, process, log)
            _wait_until_ready(container)
            yield container
        finally:
            process.kill()
            process.wait()


def _wait_until_ready(container: Container) -> None:
    give_up = time.monotonic() + 60
    while "\nReady" not in container.printed():
        assert container.process.poll() is None, container.printed()
        assert time.monotonic() < give_up, container.printed()
        time.sleep(0.05)
