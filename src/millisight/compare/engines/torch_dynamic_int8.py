"""torch.ao.quantization.quantize_dynamic on the linear layers, the only ones here that it knows."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from millisight.compare import with_torch
from millisight.compare.protocol import Infer, Place

if TYPE_CHECKING:
    from millisight.compare.source import Source


class DynamicInt8:
    """See ``Engine``."""

    title = "quantize_dynamic"
    precision = "int8 (linear)"
    packages: tuple[str, ...] = ()

    def prepare(self, source: "Source", folder: Path) -> None:
        """See ``Engine``."""
        import torch

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            quantized = torch.ao.quantization.quantize_dynamic(
                source.network(), {torch.nn.Linear}, dtype=torch.qint8
            )
        with_torch.save(quantized, folder)

    def load(self, folder: Path, place: Place) -> Infer:
        """See ``Engine``."""
        return with_torch.runner(with_torch.load(folder), place.threads)


ENGINE = DynamicInt8()
