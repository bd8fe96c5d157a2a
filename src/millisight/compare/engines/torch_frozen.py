"""TorchScript, frozen: weights become constants and batch norm is folded."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from millisight.compare import with_torch
from millisight.compare.protocol import Infer, Place

if TYPE_CHECKING:
    from millisight.compare.source import Source


class Frozen:
    """See ``Engine``."""

    title = "traced, frozen"
    precision = "float32"
    packages: tuple[str, ...] = ()

    def prepare(self, source: "Source", folder: Path) -> None:
        """See ``Engine``."""
        with_torch.save_script(with_torch.trace(source), folder)

    def load(self, folder: Path, place: Place) -> Infer:
        """See ``Engine``."""
        import torch

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            frozen = torch.jit.freeze(with_torch.load_script(folder).eval())
            return with_torch.runner(torch.jit.optimize_for_inference(frozen), place.threads)


ENGINE = Frozen()
