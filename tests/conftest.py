"""Fixtures that several test modules use."""

from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

hypothesis.settings.register_profile("millisight", deadline=None)
hypothesis.settings.load_profile("millisight")

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session", autouse=True)
def no_settings_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Whoever runs the tests may have one; it is not to change what they find."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
        yield


@pytest.fixture(scope="session")
def samples() -> Path:
    """Folder of ImageNet photographs named ``<class index>_…``; they may not be shipped."""
    folder = SHARED_DATA / "imagenet-samples"
    if not folder.is_dir():
        pytest.skip("the ImageNet samples are not beside this checkout")
    return folder
