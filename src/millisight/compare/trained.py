"""Bundles that ``millisight train`` has made: their weights and pictures are found by name."""

from pathlib import Path

from millisight.build.checkpoint import build_with, read_checkpoint
from millisight.build.kept import WEIGHTS, Sides, read_sides, training_folder
from millisight.build.zoo import LoadedModel, find_entry, model_names
from millisight.bundle import list_bundles, open_bundle
from millisight.bundlefiles import describe_file
from millisight.errors import ModelNotFound


def find_trained(name: str, home: Path) -> tuple[LoadedModel, Sides] | None:
    """The torch model that the bundle ``name`` was made of, and the pictures of its training;
    ``None`` where no bundle has that name, or it is one of a model that ``build`` knows.

    Raises ``BundleError``, and ``ModelNotFound`` where the bundle's weights are not at hand.
    """
    if name not in dict(list_bundles(home)):
        return None
    bundle = open_bundle(name, home)
    architecture = bundle.manifest.architecture
    if bundle.manifest.training is None:
        if name in model_names():
            return None
        raise ModelNotFound(
            f"The bundle {name} does not hold the torch model that it was built from.",
            hint=f"Give {architecture} as MODEL, and with --weights the file, if it was one.",
        )
    folder = training_folder(home, name)
    weights = folder / WEIGHTS
    if not weights.is_file() or describe_file(weights).sha256 != bundle.manifest.weights.sha256:
        raise ModelNotFound(
            f"The weights that the bundle {name} was made of are not in {folder} any more.",
            hint="Train it again, or give the architecture as MODEL and a file with --weights.",
        )
    module, _ = build_with(read_checkpoint(weights).state, find_entry(architecture).create)
    model = LoadedModel(
        architecture=architecture,
        module=module.eval(),
        labels=bundle.labels,
        translations=dict(bundle.translations),
        preprocess=bundle.manifest.preprocess,
        weights=bundle.manifest.weights,
    )
    return model, read_sides(folder)
