"""The image that `make image-test` has built."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.image.engine import Container, Image, mounted, running

TOOLS = ("buildah", "unshare", "nsenter", "curl", "ip")


@pytest.fixture(scope="session")
def image() -> Iterator[Image]:
    name = os.environ.get("MILLISIGHT_IMAGE")
    if not name:
        pytest.skip("no image was built: run `make image-test`")
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing or os.geteuid() != 0:
        pytest.skip(f"needs root and {', '.join(TOOLS)}; not here: {', '.join(missing) or 'root'}")
    with mounted(name) as one:
        yield one


@pytest.fixture(scope="session")
def container(image: Image, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    """One for all tests that leave it as it was."""
    with running(image, tmp_path_factory.mktemp("container") / "log") as one:
        yield one


@pytest.fixture(scope="session")
def photograph() -> Path:
    """A real one, of a cup of coffee, that ships with the page."""
    static = Path(__file__).parents[2] / "src" / "millisight" / "server" / "static"
    return static / "examples" / "coffee.avif"
