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
        return Base(architecture, module, _smaller(module, entry.preprocess), _NOTHING)
    file = Path(base)
    if file.is_file():
        entry = find_entry(architecture)
        module = entry.create(class_count)
        transfer(read_checkpoint(file), module)
        return Base(architecture, module, entry.preprocess, f"the file {file.name}")
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
    return Base(base, module, entry.preprocess, weights.source)


def takes_one_size(module: nn.Module) -> bool:
    """Whether pictures of another size are refused: vision transformers have a position for every
    patch."""
    return hasattr(module, "image_size")


def _smaller(module: nn.Module, preprocess: Preprocess) -> Preprocess:
    """The same geometry at ``_CROP``, unless the network takes one size only."""
    if takes_one_size(module):
        return preprocess
    resize = round(_CROP * preprocess.resize / preprocess.crop)
    return preprocess.model_copy(update={"resize": resize, "crop": _CROP})


def _other_bases(hint: str) -> str:
    return (
        f"{hint.replace('--weights FILE', '--base FILE')} Without network: "
        f"--base {EFFICIENTNET_LITE0}, whose weights are installed here, or --base {NONE}."
    )
