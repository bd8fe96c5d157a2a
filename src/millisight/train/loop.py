"""The training of a whole network: one cycle of the learning rate, with averaged weights."""

import copy
import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from millisight.build.confidence import fit_temperature
from millisight.train.attention import Attention
from millisight.train.augment import Batches, Crops

LABEL_SMOOTHING = 0.1
"""As in Szegedy et al. 2016 and torchvision's own recipes."""

_WARM_UP = 0.2
_FIRST, _LAST = 1 / 20, 1 / 1000
"""Learning rate at the start and at the end, as a part of the highest."""

_MEASURE_BATCH = 32
_TIMED_STEPS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What differs between networks that know something and such that know nothing."""

    optimizer: Literal["sgd", "adamw"]
    learning_rate: float
    """The highest of the cycle."""
    weight_decay: float
    batch: int
    keep_statistics: bool
    """Whether batch normalisation goes on with the means and deviations it knows."""
    focus: float
    """How much more often the hardest pictures are gone through than the easiest."""
    stages: tuple[tuple[float, Crops], ...]
    """What pictures are cut to, each with the part of the epochs up to which it holds."""

    def crops_at(self, progress: float) -> Crops:
        """What pictures are cut to when ``progress``, 0…1, of the training is done."""
        return next(crops for until, crops in self.stages if progress < until)


@dataclass(frozen=True, slots=True)
class Score:
    """How well a network does on pictures with known classes."""

    loss: float
    """Mean cross-entropy in nats, at the temperature that makes confidences true. Without it the
    label smoothing of a training would count for more than what it has learnt."""
    top1: float
    """Percent answered right."""


def one_cycle(progress: float) -> float:
    """Learning rate as a part of the highest, when ``progress``, 0…1, of the steps are done.

    Linear up, then a half cosine down (Smith and Topin 2018, in the form of fast.ai).
    torch's ``OneCycleLR`` must know the number of steps from the start; here it changes when
    the machine turns out slower or faster than it was measured to be.
    """
    if progress < _WARM_UP:
        return _FIRST + (1 - _FIRST) * progress / _WARM_UP
    down = (progress - _WARM_UP) / (1 - _WARM_UP)
    return _LAST + (1 - _LAST) * (1 + math.cos(math.pi * down)) / 2


def score_of(logits: Tensor, classes: Tensor) -> Score:
    """What ``logits``, shape ``(n, classes)``, are worth where ``classes``, ``(n,)``, is right."""
    loss = cross_entropy(logits / fit_temperature(logits.numpy(), classes.numpy()), classes).item()
    right = (logits.argmax(1) == classes).float().mean().item()
    return Score(round(loss, 4), round(100 * right, 2))


def measure(module: nn.Module, batches: Batches) -> Score:
    """Loss and accuracy of ``module`` on all pictures of ``batches``, cut as serving cuts them."""
    module.eval()
    with torch.inference_mode():
        logits = torch.cat([module(inputs) for inputs in batches.plain(_MEASURE_BATCH)])
    return score_of(logits, batches.classes)


class Loop:
    """A network, its optimizer and the average of its weights, an epoch at a time."""

    def __init__(
        self, module: nn.Module, recipe: Recipe, train: Batches, weights: Tensor, *, bf16: bool
    ) -> None:
        """``weights``, shape ``(classes,)``, says how much each class counts."""
        self.module = module.to(memory_format=torch.channels_last)
        self.recipe = recipe
        self.steps = max(1, len(train) // recipe.batch)
        """Steps of an epoch."""
        self._train = train
        self._bf16 = bf16
        self._attention = Attention(len(train), recipe.focus)
        self._loss = nn.CrossEntropyLoss(weights, label_smoothing=LABEL_SMOOTHING)
        self._optimizer = _optimizer(module, recipe)
        # The average reaches back about one epoch.
        decay = min(max(1 - 1 / self.steps, 0.9), 0.999)
        self.averaged = AveragedModel(
            module, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True
        )

    def epoch(
        self,
        seed: int,
        start: float,
        end: float,
        advance: Callable[[float], None],
        part: float = 1.0,
    ) -> float:
        """Go through ``part`` of as many pictures as there are, from ``start`` to ``end`` of the
        whole training.

        Everything random follows from ``seed``. ``advance`` is told of each step's part of this.
        Returns the mean loss.
        """
        steps = max(1, int(self.steps * part))
        torch.manual_seed(seed)
        generator = torch.Generator().manual_seed(seed)
        crops = self.recipe.crops_at(start)
        self._learn(self.module)
        total = 0.0
        order = self._attention.draw(generator)
        batches = islice(self._train.varied(self.recipe.batch, crops, order), steps)
        for number, (inputs, chosen) in enumerate(batches):
            progress = start + (end - start) * number / steps
            for group in self._optimizer.param_groups:
                group["lr"] = self.recipe.learning_rate * one_cycle(progress)
            logits, classes = self._logits_of(self.module, inputs), self._train.classes[chosen]
            self._attention.note(chosen, cross_entropy(logits.detach(), classes, reduction="none"))
            loss = self._loss(logits, classes)
            self._optimizer.zero_grad()
            loss.backward()
            self._optimizer.step()
            self.averaged.update_parameters(self.module)
            total += loss.item()
            advance(1 / steps)
        return round(total / steps, 4)

    def epoch_seconds(self, crops: Crops) -> float:
        """How long an epoch of ``crops`` takes here, from a few steps of a copy."""
        twin = copy.deepcopy(self.module)
        self._learn(twin)
        batches = self._train.varied(self.recipe.batch, crops, torch.randperm(len(self._train)))
        times, began = [], time.perf_counter()
        for inputs, chosen in islice(batches, _TIMED_STEPS):
            self._loss(self._logits_of(twin, inputs), self._train.classes[chosen]).backward()
            times.append(time.perf_counter() - began)
            began = time.perf_counter()
        return min(times) * self.steps

    def _learn(self, module: nn.Module) -> None:
        """Put ``module``, with layers like ours, into training mode."""
        module.train()
        if self.recipe.keep_statistics:
            for part in module.modules():
                if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
                    part.eval()

    def _logits_of(self, module: nn.Module, inputs: Tensor) -> Tensor:
        with self._precision():
            logits: Tensor = module(inputs)
        return logits.float()

    def _precision(self) -> AbstractContextManager[Any]:
        return torch.autocast("cpu", torch.bfloat16) if self._bf16 else nullcontext()

    def state(self) -> dict[str, Any]:
        """All that ``restore`` needs to go on as if nothing had happened between two epochs."""
        return {
            "module": self.module.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "losses": self._attention.losses,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what ``state`` gave."""
        self.module.load_state_dict(state["module"])
        self.averaged.load_state_dict(state["averaged"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._attention.losses = state["losses"]


def _optimizer(module: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    groups = [
        {"params": list(_parameters(module, decayed=True)), "weight_decay": recipe.weight_decay},
        {"params": list(_parameters(module, decayed=False)), "weight_decay": 0.0},
    ]
    # Fused: one pass over weights that no cache holds, where there are several else.
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(
            groups, lr=recipe.learning_rate, momentum=0.9, nesterov=True, fused=True
        )
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, fused=True)


def _parameters(module: nn.Module, *, decayed: bool) -> Iterator[nn.Parameter]:
    """Weights of layers are decayed; biases and scales of normalisation are not."""
    return (
        parameter
        for parameter in module.parameters()
        if parameter.requires_grad and (parameter.ndim > 1) is decayed
    )
