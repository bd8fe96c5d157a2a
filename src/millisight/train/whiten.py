"""First filters that tell pictures apart, for a network that starts from nothing."""

from itertools import islice

import torch
from torch import nn

from millisight.train.augment import Batches

_PICTURES = 100
"""That are looked at; each has hundreds of patches."""
_BATCH = 32
_NOTHING = 1e-8
"""Directions that hold less than this part of the variance of the first are rounding errors: all
but a third of them, where pictures are grey."""


def whiten_first_layer(module: nn.Module, train: Batches) -> None:
    """Have the first convolution of ``module`` see what its patches of pictures differ in.

    Only where batch normalisation follows, which makes all that it sees equally strong; what has
    none, as VGG and vision transformers, is left as it is.

    Neighbouring pixels are much alike, so random filters all see the brightness of a patch, and
    hardly anything else (99 % of the variance, on grey pictures of steel). The eigenvectors of the
    patches' covariance, each with its negative since a ReLU follows, give channels that are not
    correlated (Page 2019, "How to Train Your ResNet"; Jordan 2024, "94% on CIFAR-10 in 3.29
    Seconds"). Filters stay as long as random ones are; what is left over of them stays random.
    """
    layers = (part for part in module.modules() if not list(part.children()))
    layer, following = islice(layers, 2)
    if not isinstance(layer, nn.Conv2d) or not isinstance(following, nn.BatchNorm2d):
        return
    directions = _directions(train, layer)
    count = min(layer.out_channels // 2, len(directions))
    shape = (-1, *layer.weight.shape[1:])
    with torch.no_grad():
        pairs = torch.cat([directions[:count], -directions[:count]]).view(shape)
        layer.weight[: 2 * count] = pairs * layer.weight.flatten(1).norm(dim=1).mean()


def _directions(train: Batches, layer: nn.Conv2d) -> torch.Tensor:
    """Unit vectors along which the patches that ``layer`` sees vary, the strongest first."""
    patches = []
    for inputs in train.some(_PICTURES).plain(_BATCH):
        found = nn.functional.unfold(inputs, layer.kernel_size, stride=layer.kernel_size)
        patches.append(found.transpose(1, 2).flatten(0, 1))
    variances, vectors = torch.linalg.eigh(torch.cat(patches).T.double().cov())
    return vectors[:, variances > _NOTHING * variances[-1]].flip(1).T.float()
