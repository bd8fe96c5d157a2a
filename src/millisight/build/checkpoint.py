"""A user's own weights file into a model: safely, and with the first mismatch named."""

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from millisight.errors import BadWeights
from millisight.manifest import Preprocess

# Where training scripts put the state dict, and what DataParallel puts before each name.
_WRAPPERS = ("state_dict", "model_state_dict", "model")
_PREFIX = "module."
_PREPROCESS = "millisight_preprocess"

State = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a file of weights says."""

    state: State
    preprocess: Preprocess | None = None
    """What the network was trained to be given, where ``train`` has written the file."""

    def content(self) -> dict[str, Any]:
        """What to save, for PyTorch and for ``read_checkpoint``."""
        told = {} if self.preprocess is None else {_PREPROCESS: self.preprocess.model_dump()}
        return {_WRAPPERS[0]: self.state, **told}


def read_checkpoint(path: Path) -> Checkpoint:
    """The state dict in ``path``, loaded without executing anything (``weights_only=True``).

    Raises ``BadWeights`` when it is not one.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise BadWeights(f"There is no file {path}.") from error
    # torch reports files that are not checkpoints through whatever its unpickler trips over.
    except (pickle.UnpicklingError, OSError, RuntimeError, ValueError, EOFError, KeyError) as error:
        raise _not_a_checkpoint(path) from error
    preprocess = _preprocess_in(content, path)
    for wrapper in _WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    if not isinstance(content, dict) or not content:
        raise _not_a_checkpoint(path)
    if not all(isinstance(value, Tensor) for value in content.values()):
        raise _not_a_checkpoint(path)
    state = cast("State", content)
    named = {name.removeprefix(_PREFIX): value for name, value in state.items()}
    return Checkpoint(named, preprocess)


def _preprocess_in(content: object, path: Path) -> Preprocess | None:
    if not isinstance(content, dict) or _PREPROCESS not in content:
        return None
    try:
        return Preprocess.model_validate(content[_PREPROCESS])
    except ValidationError as error:
        raise _not_a_checkpoint(path) from error


def build_with(state: State, create: Callable[[int], nn.Module]) -> tuple[nn.Module, int]:
    """The model that ``create(class_count)`` makes, with ``state`` loaded, and its class count.

    The class count is read from the last layer in ``state``. Raises ``BadWeights`` naming the
    first parameter that does not fit.
    """
    last = f"{last_layer(create(1000))}.weight"
    if last not in state or not state[last].ndim:
        raise BadWeights(
            f"The weights file does not fit this model: it has no {last}.",
            hint=f"It begins with {next(iter(state))}. Is it of another architecture?",
        )
    class_count = state[last].shape[0]
    model = create(class_count)
    _check_fit(state, model.state_dict())
    model.load_state_dict(state)
    return model, class_count


def transfer(state: State, model: nn.Module) -> None:
    """Load all of ``state`` into ``model`` but its last layer, which may be for other classes.

    Raises ``BadWeights`` naming the first parameter that does not fit.
    """
    last = f"{last_layer(model)}."
    own = model.state_dict()
    body = {name: value for name, value in state.items() if not name.startswith(last)}
    mixed = body | {name: value for name, value in own.items() if name.startswith(last)}
    _check_fit(mixed, own)
    model.load_state_dict(mixed)


def last_layer(model: nn.Module) -> str:
    """Name of the layer that makes the logits: the last linear or convolution layer."""
    names: list[str] = [
        name for name, module in model.named_modules() if isinstance(module, nn.Linear | nn.Conv2d)
    ]
    return names[-1]


def _check_fit(state: State, wanted: State) -> None:
    for name, value in wanted.items():
        if name not in state:
            raise BadWeights(f"The weights file does not fit this model: it has no {name}.")
        if state[name].shape != value.shape:
            raise BadWeights(
                f"The weights file does not fit this model: {name} has shape "
                f"{tuple(state[name].shape)} where {tuple(value.shape)} is needed."
            )
    extra = next((name for name in state if name not in wanted), None)
    if extra is not None:
        raise BadWeights(
            f"The weights file does not fit this model: it has {extra}, which the model has not."
        )


def _not_a_checkpoint(path: Path) -> BadWeights:
    return BadWeights(
        f"{path} is not a weights file.",
        hint="Give a state dict saved with torch.save(model.state_dict(), …).",
    )
