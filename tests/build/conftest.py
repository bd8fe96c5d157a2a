"""Small real weights, and the building command, for tests that need torch."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torchvision import models

from tests.command import Run, command

SHARED = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An empty store."""
    return tmp_path / "home"


@pytest.fixture
def millisight(home: Path) -> Run:
    """``command`` with an empty store."""
    return command(home)


@pytest.fixture(scope="session")
def weights_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """A file with seeded random weights of a torchvision model."""
    folder = tmp_path_factory.mktemp("weights")

    def make(model: str, classes: int = 1000) -> Path:
        file = folder / f"{model}-{classes}.pth"
        if not file.exists():
            torch.manual_seed(1)
            torch.save(
                models.get_model(model, weights=None, num_classes=classes).state_dict(), file
            )
        return file

    return make


def resnet18(weights: Path) -> torch.nn.Module:
    """torch's own ResNet-18 with ``weights``, ready to be asked."""
    module = models.resnet18()
    module.load_state_dict(torch.load(weights, weights_only=True))
    return module.eval()


def normalised(pixels: NDArray[np.uint8]) -> torch.Tensor:
    """``pixels``, ``(h, w, 3)``, as torchvision's ImageNet models take them."""
    mean = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
    std = torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    return (torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None] / 255 - mean) / std


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real photographs that are not part of the project."""
    if not SHARED.is_dir():
        pytest.skip("needs the photographs in ../shared/data")
    return SHARED
