"""What a build measures before it lets a bundle out."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from millisight.build.agreement import BATCH
from millisight.build.calibrate import Pixels
from millisight.build.steps import Step
from millisight.engine import Engine, Logits
from millisight.errors import AccuracyLoss, DataError, ImageError
from millisight.evaluation import accuracy
from millisight.image import Limits, decode
from millisight.manifest import Accuracy, Measured, Preprocess
from millisight.predictions import top_indices


def eager_logits(module: nn.Module, pictures: list[Pixels], preprocess: Preprocess) -> Logits:
    """Logits ``(n, classes)`` of torch itself, normalised as torchvision's transform does."""
    pixels = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255
    mean = torch.tensor(preprocess.mean).view(3, 1, 1)
    std = torch.tensor(preprocess.std).view(3, 1, 1)
    with torch.inference_mode():
        logits: Logits = module((pixels - mean) / std).numpy()
    return logits


@dataclass(frozen=True, slots=True)
class Answered:
    """Labelled pictures that can be read, and what is said of them."""

    paths: list[Path]
    truth: NDArray[np.int64]
    """Shape ``(n,)``: their class indices."""
    float32: Logits
    bundle: Logits
    """Shape ``(n, classes)``, each."""

    def accuracy(self, logits: Logits) -> Accuracy:
        """Top-1 and top-5 of one of them."""
        best = [top_indices(row, 5).tolist() for row in logits]
        return accuracy(best, self.truth.tolist())


def ask(
    engines: list[Engine], labelled: list[tuple[Path, int]], preprocess: Preprocess, step: Step
) -> Answered:
    """What ``engines`` say of pictures and their class indices: the first in float32, the last as
    the bundle; where there is one, it is both.

    Pictures that cannot be read are left out. Raises ``DataError`` when none can.
    """
    known: list[tuple[Path, int]] = []
    parts: list[list[Logits]] = []
    some = [labelled[start : start + BATCH] for start in range(0, len(labelled), BATCH)]
    with (
        step("Measuring accuracy", total=len(labelled)) as bar,
        ThreadPoolExecutor(min(engine.lanes for engine in engines)) as pool,
    ):
        asked = pool.map(lambda part: _ask_some(engines, part, preprocess), some)
        for part, (read, said) in zip(some, asked, strict=True):
            bar.advance(len(part))
            if read:
                known += read
                parts.append(said)
    if not known:
        raise DataError("None of the labelled pictures can be read.")
    logits = [np.concatenate(said) for said in zip(*parts, strict=True)]
    return Answered(
        paths=[path for path, _ in known],
        truth=np.array([index for _, index in known], np.int64),
        float32=logits[0],
        bundle=logits[-1],
    )


def _ask_some(
    engines: Sequence[Engine], labelled: Sequence[tuple[Path, int]], preprocess: Preprocess
) -> tuple[list[tuple[Path, int]], list[Logits]]:
    """Those of ``labelled`` that can be read, and what each engine says of them, in one batch."""
    pixels: list[Pixels] = []
    known: list[tuple[Path, int]] = []
    for path, index in labelled:
        try:
            pixels.append(decode(path.read_bytes(), preprocess, Limits()).pixels)
        except (ImageError, OSError):
            continue
        known.append((path, index))
    if not known:
        return [], []
    batch = np.stack(pixels)
    return known, [engine.infer(batch) for engine in engines]


def check_loss(measured: Measured, max_drop: float) -> None:
    """Raise ``AccuracyLoss`` when the bundle lost more than ``max_drop`` points.

    Measured on labelled pictures where there were any; else by what the disagreements with
    float32 are expected to cost.
    """
    if measured.float32 is not None and measured.bundle is not None:
        drop = measured.float32.top1 - measured.bundle.top1
        seen = f"top-1 fell from {measured.float32.top1} % to {measured.bundle.top1} %"
    else:
        drop = measured.expected_drop
        seen = (
            f"its first answer agrees with float32 on {measured.agreement} % of the pictures, "
            f"which is expected to cost {drop} points of top-1"
        )
    if drop > max_drop:
        raise AccuracyLoss(
            f"The bundle lost too much accuracy: {seen}; {max_drop:g} points are allowed.",
            hint="Calibrate on pictures like those to come (--calibration), allow more "
            "(--max-drop), or use --precision bf16.",
        )
