"""Whether pictures have a top: surfaces seen by a camera from above often have none."""

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_score

from millisight.build.calibrate import Pixels

_SIDE = 8
"""Of the thumbnails; light from above and what stands on the ground show in so few pixels."""
_MOST = 200
"""Pictures of a class that are looked at."""
_LEAST = 20
"""Fewer of a class show nothing."""
_FOLDS = 5
_STRENGTH = 0.01
_GUESSING = 0.58
"""Up to this part told right is taken for guessing. Seen: 0.50 for six classes of steel defects,
0.71 for ten classes of clothing, 1.0 for arrows."""
_KNOWING = 0.75
"""More than this in any one class is no chance, even with ``_LEAST`` pictures."""


def have_no_top(pixels: Pixels, classes: NDArray[np.int64]) -> bool:
    """Whether pictures may be turned upside down, class by class, without anyone telling.

    ``pixels`` is uint8 ``(n, side, side, 3)``, ``classes`` is ``(n,)``. Logistic regression on
    thumbnails is to tell pictures from the same upside down, on pictures it was not fitted to.
    In each class by itself: where up and down arrows are classes, all pictures together have no
    top. False where a class has too few pictures to know.
    """
    shares = []
    for index in np.unique(classes):
        chosen = np.flatnonzero(classes == index)
        if len(chosen) < _LEAST:
            return False
        step = max(1, len(chosen) // _MOST)
        shares.append(_told_right(_thumbnails(pixels, chosen[::step])))
    return float(np.mean(shares)) <= _GUESSING and max(shares) <= _KNOWING


def _thumbnails(pixels: Pixels, chosen: NDArray[np.int64]) -> NDArray[np.float32]:
    """Brightness of ``_SIDE`` × ``_SIDE`` parts, each picture with mean 0 and deviation 1."""
    part = pixels.shape[1] // _SIDE
    side = part * _SIDE
    rows = []
    for index in chosen:
        grey = pixels[index, :side, :side].mean(axis=2, dtype=np.float32)
        rows.append(grey.reshape(_SIDE, part, _SIDE, part).mean(axis=(1, 3)))
    found = np.stack(rows)
    found -= found.mean(axis=(1, 2), keepdims=True)
    scaled: NDArray[np.float32] = found / (found.std(axis=(1, 2), keepdims=True) + 1)
    return scaled


def _told_right(thumbnails: NDArray[np.float32]) -> float:
    count = len(thumbnails)
    both = np.concatenate([thumbnails, thumbnails[:, ::-1]]).reshape(2 * count, -1)
    # A picture and its likeness upside down are never on different sides.
    scores = cross_val_score(
        LogisticRegression(C=_STRENGTH, max_iter=300),
        both,
        np.repeat([0, 1], count),
        groups=np.tile(np.arange(count), 2),
        cv=GroupKFold(_FOLDS),
    )
    return float(scores.mean())
