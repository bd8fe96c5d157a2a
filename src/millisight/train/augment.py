"""Batches of network input from decoded pictures: varied for training, plain for measuring."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode, v2

from millisight.build.calibrate import Pixels
from millisight.manifest import Preprocess

_JITTER = 0.2


@dataclass(frozen=True, slots=True)
class Crops:
    """What pictures are cut to for training."""

    size: int
    """Pixels of each side, as the network is given them."""
    area: tuple[float, float]
    """Least and largest part of the picture that is shown."""


class Batches:
    """Pictures and their classes, to be gone through in batches again and again."""

    def __init__(self, pixels: Pixels, classes: Sequence[int], preprocess: Preprocess) -> None:
        """``pixels`` is uint8 ``(n, side, side, 3)``."""
        self.pixels = pixels
        self.upside_down = False
        """Whether half of them are turned so when they are varied."""
        self.classes = torch.tensor(classes)
        self._preprocess = preprocess
        self._mean = torch.tensor(preprocess.mean).view(3, 1, 1) * 255
        self._std = torch.tensor(preprocess.std).view(3, 1, 1) * 255

    def __len__(self) -> int:
        return len(self.classes)

    def some(self, count: int) -> "Batches":
        """At most ``count`` of the pictures: every so many-th."""
        chosen = slice(None, None, -(-len(self) // count))
        return Batches(self.pixels[chosen], self.classes[chosen].tolist(), self._preprocess)

    @property
    def middle(self) -> Pixels:
        """All pictures as serving cuts them: uint8 ``(n, crop, crop, 3)``."""
        crop = self._preprocess.crop
        # torchvision's CenterCrop rounds the same way.
        start = round((self._preprocess.resize - crop) / 2.0)
        return self.pixels[:, start : start + crop, start : start + crop]

    def plain(self, batch: int) -> Iterator[Tensor]:
        """Inputs ``(b, 3, crop, crop)`` in order, cut as serving cuts them."""
        for first in range(0, len(self), batch):
            # A copy: torch warns of memory that may not be written.
            cut = np.array(self.middle[first : first + batch])
            yield self._normalise(torch.from_numpy(cut).permute(0, 3, 1, 2))

    def varied(self, batch: int, crops: Crops, order: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Inputs ``(b, 3, size, size)`` of the pictures in ``order``, and which ``(b,)`` they are.

        Variations follow from torch's own generator.
        """
        vary = v2.Compose(
            [
                v2.RandomResizedCrop(
                    crops.size,
                    scale=crops.area,
                    interpolation=InterpolationMode(self._preprocess.interpolation),
                    antialias=True,
                ),
                v2.RandomHorizontalFlip(),
                v2.RandomVerticalFlip(0.5 if self.upside_down else 0.0),
                v2.ColorJitter(_JITTER, _JITTER, _JITTER),
            ]
        )
        # The last few would be a batch too small for batch normalisation.
        for chosen in order.split(batch)[: max(1, len(order) // batch)]:
            pictures = [
                vary(torch.from_numpy(np.array(self.pixels[index])).permute(2, 0, 1))
                for index in chosen.tolist()
            ]
            yield self._normalise(torch.stack(pictures)), chosen

    def _normalise(self, pixels: Tensor) -> Tensor:
        scaled = (pixels.float() - self._mean) / self._std
        return scaled.to(memory_format=torch.channels_last)
