"""The site of docs/, built as ``make site`` does it, and a server of plain files."""

import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.page.conftest import Open, browser, open_page

__all__ = ["Open", "browser", "open_page"]

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Site:
    """A built site and where it is served."""

    folder: Path
    url: str


class Quiet(SimpleHTTPRequestHandler):
    """Says nothing of each request."""

    def log_message(self, *_: object) -> None:
        """Nothing."""


def build(tree: Path) -> "subprocess.CompletedProcess[str]":
    """``make site`` in ``tree``."""
    command = [Path(sys.executable).with_name("zensical"), "build", "--strict", "--clean"]
    return subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)


@pytest.fixture(scope="package")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The site, served on this machine only."""
    tree = tmp_path_factory.mktemp("site")
    shutil.copy(ROOT / "zensical.toml", tree)
    shutil.copytree(ROOT / "docs", tree / "docs")
    (tree / "src").symlink_to(ROOT / "src")
    done = build(tree)
    assert done.returncode == 0, done.stdout + done.stderr
    handler = partial(Quiet, directory=str(tree / "site"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Site(tree / "site", f"http://127.0.0.1:{server.server_port}/")
        server.shutdown()
