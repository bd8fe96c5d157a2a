"""One training from the last layer to the whole network, within a budget, and resumable."""

import copy
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import openvino as ov
import torch
from torch import Tensor

from millisight.build.calibrate import FEW_SAMPLES, SAMPLES
from millisight.build.steps import Bar, Step
from millisight.manifest import Epoch
from millisight.train.augment import Batches, Crops
from millisight.train.base import Base, keep_first_layers
from millisight.train.loop import Loop, Score, measure
from millisight.train.plan import BUILD_SECONDS, MAX_EPOCHS, epochs_within, recipe_for
from millisight.train.saved import Saved

Say = Callable[[str], None]
"""Tells the user one line."""

_PATIENCE = 1 / 3
"""Part of the planned epochs without a better one after which training stops."""
_LEAST_PATIENCE = 10

_LATE = 10.0
"""Seconds by which a training may take longer without the bundle being made in a hurry."""

_LEAST_PART = 0.2
"""Of a last epoch. The learning rate ends low in it, however short it is: that pays."""


@dataclass(slots=True)
class Reached:
    """How far a training has come."""

    weights: dict[str, Tensor]
    """The best state dict so far."""
    score: Score
    """Of those weights, on the validation pictures."""
    curves: list[Epoch] = field(default_factory=list)
    since_best: int = 0
    progress: float = 0.0
    """Part of the whole network's training that is done, 0…1."""
    seconds: float = 0.0
    """Time taken, by the runs before as well."""
    loop: dict[str, Any] = field(default_factory=dict)

    def better(self, score: Score) -> bool:
        """Whether ``score`` beats the best one: by the loss, which also says how far answers are
        from being others, as some are after rounding to INT8. Of a few hundred pictures one more
        or less is right by chance."""
        return score.loss < self.score.loss

    def state(self) -> dict[str, Any]:
        """As plain values and tensors."""
        return {
            **{name: getattr(self, name) for name in ("since_best", "progress", "seconds", "loop")},
            "weights": self.weights,
            "score": asdict(self.score),
            "curves": [epoch.model_dump() for epoch in self.curves],
        }

    @classmethod
    def of(cls, state: dict[str, Any]) -> "Reached":
        """The inverse of ``state``."""
        return cls(
            **state
            | {
                "score": Score(**state["score"]),
                "curves": [Epoch(**epoch) for epoch in state["curves"]],
            }
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How long to train: a number of epochs where that is given, else by the clock."""

    seconds: float
    epochs: int | None

    def left(self, spent: float) -> float:
        """Seconds to train that remain after ``spent`` of them: without end by epochs."""
        return math.inf if self.epochs is not None else self.seconds - spent - BUILD_SECONDS

    def samples(self, spent: float) -> int:
        """How many pictures to calibrate with after ``spent``: few where time is short."""
        return SAMPLES if self.left(spent) > -_LATE else FEW_SAMPLES


class Session:
    """The whole network's training."""

    def __init__(
        self,
        base: Base,
        train: Batches,
        validation: Batches,
        weights: list[float],
        *,
        saved: Saved,
        reached: Reached,
        seed: int,
        say: Say,
    ) -> None:
        """``weights`` says how much each class counts; ``reached`` is where to go on from."""
        self.reached = reached
        self._pretrained = base.pretrained
        self._train = train
        self._validation = validation
        self._crop = base.preprocess.crop
        self._saved = saved
        self._seed = seed
        self._say = say
        if base.pretrained:
            keep_first_layers(base.module)
        bf16 = "BF16" in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        self._loop = Loop(base.module, recipe_for(base), train, torch.tensor(weights), bf16=bf16)
        if reached.loop:
            self._loop.restore(reached.loop)

    def run(self, budget: Budget, spent: Callable[[], float], step: Step) -> None:
        """Train until ``budget`` is used up, nothing gets better, or enough is done.

        ``spent`` gives the seconds taken so far. What is reached is kept after every epoch.
        """
        pace = self._measure_pace(step)
        left = self._affordable(budget, spent(), pace)
        if not left:
            if self.reached.progress == 0.0:
                self._say("There is no time left to train the whole network.")
            return
        self._say(f"{math.ceil(left)} epochs {'fit' if budget.epochs is None else 'to go'}.")
        with step("Training the whole network", total=1.0 - self.reached.progress) as bar:
            while left and not self._is_idle(left):
                began = time.monotonic()
                trained = self._loop.recipe.crops_at(self.reached.progress)
                expected = pace[trained]
                self._epoch(left, spent, bar)
                slower = (time.monotonic() - began) / expected
                pace = {
                    # What is faster for small crops need not be so for large ones.
                    crops: seconds * (slower if crops == trained else max(1.0, slower))
                    for crops, seconds in pace.items()
                }
                left = self._affordable(budget, spent(), pace)

    def _epoch(self, left: float, spent: Callable[[], float], bar: Bar) -> None:
        reached, number = self.reached, len(self.reached.curves)
        start = reached.progress
        end = start + (1 - start) / max(1.0, left)
        loss = self._loop.epoch(
            self._seed + number,
            start,
            end,
            lambda part: bar.advance(part * (end - start)),
            part=min(1.0, left),
        )
        score = measure(self._loop.averaged, self._validation)
        reached.since_best += 1
        if reached.better(score):
            reached.score, reached.since_best = score, 0
            reached.weights = copy.deepcopy(self._loop.averaged.module.state_dict())
        reached.curves.append(
            Epoch(
                phase="whole network",
                epoch=number + 1,
                train_loss=loss,
                validation_loss=score.loss,
                validation_top1=score.top1,
            )
        )
        reached.progress = end if left > 1 else 1.0
        reached.loop, reached.seconds = self._loop.state(), spent()
        self._saved.write(reached.state())
        self._say(
            f"  epoch {number + 1} of {number + math.ceil(left)}: loss {loss:.3f}, "
            f"validation top-1 {score.top1:.2f} %, {spent() / 60:.1f} minutes in"
        )

    def _is_idle(self, left: float) -> bool:
        """Whether nothing has become better for so long that nothing will."""
        patience = max(_LEAST_PATIENCE, (len(self.reached.curves) + left) * _PATIENCE)
        if self.reached.since_best >= patience:
            self._say(f"Stopped: nothing better for {self.reached.since_best} epochs.")
            return True
        return False

    def _measure_pace(self, step: Step) -> dict[Crops, float]:
        """Seconds of an epoch at each stage, the validation after it included."""
        with step("Measuring how fast this machine trains"):
            return {
                crops: self._loop.epoch_seconds(crops) * (1 + self._validating(crops))
                for _, crops in self._loop.recipe.stages
            }

    def _validating(self, crops: Crops) -> float:
        """How much longer than training validating takes: it is the first third of the work, on
        larger pictures."""
        larger = (self._crop / crops.size) ** 2
        return len(self._validation) / len(self._train) * larger / 3

    def _affordable(self, budget: Budget, spent: float, pace: dict[Crops, float]) -> float:
        """Epochs that are still to come: whole ones, or a part of one where that is the last."""
        done = len(self.reached.curves)
        if budget.epochs is not None:
            return max(0, budget.epochs - done)
        if self.reached.progress >= 1.0:
            return 0
        fitting = epochs_within(budget.left(spent), self._loop.recipe, pace, self.reached.progress)
        if done and fitting < 1:
            # However little is gone through, all is validated.
            validating = self._validating(self._loop.recipe.crops_at(self.reached.progress))
            part = fitting * (1 + validating) - validating
            return part if part >= _LEAST_PART else 0
        least = 0 if self._pretrained else 1
        return min(max(int(fitting), least), MAX_EPOCHS[self._pretrained] - done)
