"""What applications of Ray Serve are tried with."""

from pathlib import Path

import pytest

from tests import models
from tests.support import encode, texture


@pytest.fixture(scope="module")
def pictures() -> list[bytes]:
    return [encode(texture(320, 240, seed), "JPEG") for seed in range(12)]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with two bundles that are told apart by their labels."""
    folder = tmp_path_factory.mktemp("home")
    models.build(folder, "old", "old")
    models.build(folder, "new", "new")
    return folder
