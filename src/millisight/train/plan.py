"""How to train what: recipes, how much a class counts, and how many epochs fit into a budget."""

import math
from collections.abc import Sequence

from millisight.train.base import Base
from millisight.train.loop import Recipe

MAX_EPOCHS = {True: 30, False: 120}
"""Epochs after which more of them help little, for networks that were trained before or not."""

BUILD_SECONDS = 60.0
"""What is kept back for calibrating, measuring and the report."""

# Sides of crops as parts of what serving sees: small ones take a fraction of the work, and what
# random crops show is enlarged, which fits (Touvron et al. 2019, "Fixing the train-test resolution
# discrepancy"). The last epochs come nearer to the scale of serving.
_PARTS = {True: (4 / 7, 5 / 7), False: (1 / 2, 5 / 7)}
_LARGE_FROM = 0.7
_STRIDE = 16


def recipe_for(base: Base) -> Recipe:
    """The recipe for a network that knows something already, or for one that knows nothing."""
    small, large = (_size(base, part) for part in _PARTS[base.pretrained])
    sizes = ((_LARGE_FROM, small), (math.inf, large))
    if base.pretrained:
        return Recipe(
            optimizer="adamw",
            learning_rate=5e-4,
            weight_decay=0.05,
            batch=32,
            min_area=0.35,
            sizes=sizes,
        )
    return Recipe(
        optimizer="sgd",
        learning_rate=0.05,
        weight_decay=5e-4,
        batch=32,
        min_area=0.2,
        sizes=sizes,
    )


def _size(base: Base, part: float) -> int:
    crop = base.preprocess.crop
    # Vision transformers have a position for every patch, and so take one size only.
    if hasattr(base.module, "image_size"):
        return crop
    return max(_STRIDE, round(crop * part / _STRIDE) * _STRIDE)


def class_weights(counts: Sequence[int]) -> list[float]:
    """How much a picture of each class counts, from the number of pictures of each.

    The inverse square root of the number, 1 on average over all pictures: half way between
    leaving rare classes to be overlooked and having them weigh as much as common ones.
    """
    raw = [1 / math.sqrt(count) for count in counts]
    mean = sum(weight * count for weight, count in zip(raw, counts, strict=True)) / sum(counts)
    return [weight / mean for weight in raw]


def epochs_within(
    seconds: float, recipe: Recipe, epoch_seconds: dict[int, float], progress: float
) -> int:
    """How many whole epochs fit into ``seconds`` from ``progress``, 0…1, on.

    ``epoch_seconds`` says how long one takes at each size of crops.
    """
    mean, before = 0.0, progress
    for until, size in recipe.sizes:
        part = max(0.0, min(until, 1.0) - before)
        mean += part / (1 - progress) * epoch_seconds[size]
        before += part
    return max(0, int(seconds / mean))
