"""How to train what: recipes, how much a class counts, and how many epochs fit into a budget."""

import math
from collections.abc import Callable, Sequence

from millisight.train.augment import Crops
from millisight.train.base import Base, takes_one_size
from millisight.train.loop import Recipe

MAX_EPOCHS = {True: 30, False: 120}
"""Epochs after which more of them help little, for networks that were trained before or not."""

BUILD_SECONDS = 80.0
"""What is kept back for calibrating, measuring and the report."""

_STRIDE = 16


def recipe_for(base: Base) -> Recipe:
    """The recipe for a network that knows something already, or for one that knows nothing."""
    if base.pretrained:
        # Known statistics: with those of small batches of other pictures, at another size, all that
        # the network knows would begin out of tune (87 % fell to 78 % within three epochs).
        return Recipe(
            optimizer="adamw",
            learning_rate=2e-4,
            weight_decay=0.05,
            batch=32,
            keep_statistics=True,
            focus=1,
            stages=((0.6, _crops(base, 5 / 7, _most)), (math.inf, _crops(base, 1, _most))),
        )
    small, large = (_crops(base, part, _as_large_as_served) for part in (3 / 5, 4 / 5))
    # Small batches: where all begins at random, many steps count for more than smooth ones.
    return Recipe(
        optimizer="sgd",
        learning_rate=0.02,
        weight_decay=5e-4,
        batch=16,
        keep_statistics=False,
        focus=5,
        stages=((0.7, small), (math.inf, large)),
    )


def _crops(base: Base, part: float, area: Callable[[float], tuple[float, float]]) -> Crops:
    """Crops of ``part`` of the side that serving sees; ``area`` gives what they show from the part
    of the picture they would show at the scale of serving."""
    crop = base.preprocess.crop
    size = max(_STRIDE, round(crop * part / _STRIDE) * _STRIDE)
    if takes_one_size(base.module):
        size = crop
    return Crops(size, area((size / base.preprocess.resize) ** 2))


def _most(_served: float) -> tuple[float, float]:
    """Most of the picture. torchvision's references show 0.08 of it and more, with over a million
    pictures; where there are some hundreds, so little often lacks what names the class."""
    return 0.35, 1.0


def _as_large_as_served(served: float) -> tuple[float, float]:
    """About as enlarged as serving shows pictures: what begins with nothing has yet to learn how
    large things are (Touvron et al. 2019, "Fixing the train-test resolution discrepancy")."""
    return 0.65 * served, min(1.0, 1.8 * served)


def class_weights(counts: Sequence[int]) -> list[float]:
    """How much a picture of each class counts, from the number of pictures of each.

    The inverse square root of the number, 1 on average over all pictures: half way between
    leaving rare classes to be overlooked and having them weigh as much as common ones.
    """
    raw = [1 / math.sqrt(count) for count in counts]
    mean = sum(weight * count for weight, count in zip(raw, counts, strict=True)) / sum(counts)
    return [weight / mean for weight in raw]


def epochs_within(
    seconds: float, recipe: Recipe, pace: dict[Crops, float], progress: float
) -> float:
    """How many epochs fit into ``seconds`` from ``progress``, 0…1, on.

    ``pace`` gives the seconds of one at each stage.
    """
    mean, before = 0.0, progress
    for until, crops in recipe.stages:
        part = max(0.0, min(until, 1.0) - before)
        mean += part / (1 - progress) * pace[crops]
        before += part
    return max(0.0, seconds / mean)
