"""What training starts from: published weights, a file of one's own, or nothing."""

from dataclasses import dataclass
from pathlib import Path

from torch import nn

from millisight.build.checkpoint import read_checkpoint, transfer
from millisight.build.steps import Step
from millisight.build.zoo import EFFICIENTNET_LITE0, find_entry
from millisight.errors import ModelNotFound, WeightsUnavailable
from millisight.manifest import Preprocess

NONE = "none"
"""Names the base that has no weights."""

_NOTHING = "random numbers"

_CROP = 160
"""Side that a network from nothing is given, where published ones take 224: in half the time it
sees twice as many pictures, and what it then serves takes half the time, too."""

_FIRST_LAYERS = 0.1
"""Part of the weights: about half of the blocks of EfficientNet-Lite0 and of ResNet-18."""


@dataclass(frozen=True, slots=True)
class Base:
    """A network for the wanted number of classes, whose last layer nobody has trained yet."""

    architecture: str
    module: nn.Module
    preprocess: Preprocess
    source: str
    """Where its weights come from, in words."""

    @property
    def pretrained(self) -> bool:
        """Whether it knows something, as opposed to starting from random numbers."""
        return self.source != _NOTHING


def make_base(base: str, architecture: str, class_count: int, *, mirror: str, step: Step) -> Base:
    """The network named by ``base``: a model that ``build`` knows, a weights file, or ``none``.

    ``architecture`` says of what a file's weights are, or what starts from nothing. Raises
    ``ModelNotFound``, ``WeightsUnavailable`` or ``BadWeights``.
    """
    if base == NONE:
        entry = find_entry(architecture)
        module = entry.create(class_count)
        crop = entry.preprocess.crop if takes_one_size(module) else _CROP
        return Base(architecture, module, _whole(entry.preprocess, crop), _NOTHING)
    file = Path(base)
    if file.is_file():
        entry = find_entry(architecture)
        module = entry.create(class_count)
        checkpoint = read_checkpoint(file)
        transfer(checkpoint.state, module)
        preprocess = _whole(checkpoint.preprocess or entry.preprocess)
        return Base(architecture, module, preprocess, f"the file {file.name}")
    try:
        entry = find_entry(base)
    except ModelNotFound as error:
        raise ModelNotFound(
            f"There is no file and no model {base!r} to start from.", hint=error.hint
        ) from error
    try:
        official, weights = entry.official(step, mirror)
    except WeightsUnavailable as error:
        raise WeightsUnavailable(error.message, hint=_other_bases(error.hint)) from error
    module = entry.create(class_count)
    transfer(official.state_dict(), module)
    return Base(base, module, _whole(entry.preprocess), weights.source)


def keep_first_layers(module: nn.Module) -> None:
    """Leave the first layers of ``module`` as published weights have them.

    They see edges and colours, which are everyone's (Yosinski et al. 2014, "How transferable are
    features in deep neural networks?"), on the largest activations: ``_FIRST_LAYERS`` of the
    weights, yet almost half of EfficientNet-Lite0's training time. Modules are taken to stand in
    the order in which they are run.
    """
    left = _FIRST_LAYERS * sum(one.numel() for one in module.parameters())
    for part in module.modules():
        own = list(part.parameters(recurse=False))
        left -= sum(one.numel() for one in own)
        if left < 0:
            return
        for one in own:
            one.requires_grad = False


def takes_one_size(module: nn.Module) -> bool:
    """Whether pictures of another size are refused: vision transformers have a position for every
    patch."""
    return hasattr(module, "image_size")


def _whole(preprocess: Preprocess, crop: int | None = None) -> Preprocess:
    """As ``preprocess``, but up to the rim of the shorter side, where ImageNet's geometry cuts off
    an eighth: who takes pictures of one thing fills them with it."""
    crop = crop or preprocess.crop
    return preprocess.model_copy(update={"resize": crop, "crop": crop})


def _other_bases(hint: str) -> str:
    return (
        f"{hint.replace('--weights FILE', '--base FILE')} Without network: "
        f"--base {EFFICIENTNET_LITE0}, whose weights are installed here, or --base {NONE}."
    )
