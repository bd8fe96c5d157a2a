"""The one model that everybody serves, and its weights for those who serve it with torch."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from environments import HERE, HOME

BUILD = HERE.parent / ".venv-build" / "bin"
OFFICIAL = "torchvision's official weights"
SEEDED = (
    "seeded random weights, since the official ones could not be had: "
    "speed does not depend on them, and their answers mean nothing"
)

_SAVE = """
import sys, torch, torchvision
torch.manual_seed(0)
weights = torchvision.models.get_model_weights("resnet18").DEFAULT if sys.argv[2] else None
torch.save(torchvision.models.resnet18(weights=weights).state_dict(), sys.argv[1])
"""


@dataclass(frozen=True, slots=True)
class Model:
    """ResNet-18, twice."""

    bundle: Path
    """A millisight bundle: INT8 for OpenVINO."""
    weights: Path
    """The state dict it was made from."""
    origin: str
    """A phrase about the weights, for the report."""


def resnet18() -> Model:
    """Built once with the official weights, else with random ones, and kept."""
    for official, origin in ((True, OFFICIAL), (False, SEEDED)):
        folder = HOME / ("official" if official else "seeded")
        model = Model(folder / "bundle", folder / "resnet18.pth", origin)
        if model.bundle.exists() or _build(model, official=official):
            return model
    raise SystemExit("ResNet-18 could not be built; see the messages above.")


def _build(model: Model, *, official: bool) -> bool:
    model.weights.parent.mkdir(parents=True, exist_ok=True)
    save = [BUILD / "python", "-c", _SAVE, model.weights, "yes" if official else ""]
    quiet = subprocess.DEVNULL if official else None
    if subprocess.run(save, check=False, stderr=quiet).returncode:
        return False
    build = [BUILD / "millisight", "build", "resnet18", "--weights", model.weights,
             "--output", model.bundle]  # fmt: skip
    # Random weights have no accuracy to lose.
    gate = [] if official else ["--max-drop", "100"]
    environ = {**os.environ, "MILLISIGHT_HOME": str(HOME / "store")}
    return subprocess.run([*build, *gate], check=False, env=environ).returncode == 0
