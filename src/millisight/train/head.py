"""The last layer alone: features of the frozen body computed once, then logistic regression."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedShuffleSplit
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from millisight.build.checkpoint import last_layer
from millisight.build.steps import Bar, Step
from millisight.train.augment import Batches

_BATCH = 32
_STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1)

Features = NDArray[np.float32]
