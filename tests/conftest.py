"""Fixtures that several test modules use."""

from pathlib import Path

import hypothesis
import pytest

hypothesis.settings.register_profile("millisight", deadline=None)
hypothesis.settings.load_profile("millisight")

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def samples() -> Path:
    """Folder of ImageNet photographs named ``<class index>_…``; they may not be shipped."""
    folder = SHARED_DATA / "imagenet-samples"
    if not folder.is_dir():
        pytest.skip("the ImageNet samples are not beside this checkout")
    return folder
