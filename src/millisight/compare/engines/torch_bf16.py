"""torch with autocast: float32 weights, convolutions in bf16."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from millisight.compare import with_torch
from millisight.compare.processor import has_bf16
from millisight.compare.protocol import Infer, Place
from millisight.errors import EngineUnavailable

if TYPE_CHECKING:
    from millisight.compare.source import Source


class Bf16:
    """See ``Engine``."""

    title = "torch autocast"
    precision = "bf16"
    packages: tuple[str, ...] = ()

    def prepare(self, source: "Source", folder: Path) -> None:
        """See ``Engine``."""
        if not has_bf16():
            raise EngineUnavailable(
                "this CPU has no bf16 instructions, and torch would emulate them, far slower"
            )
        with_torch.save(source.network(channels_last=True), folder)

    def load(self, folder: Path, place: Place) -> Infer:
        """See ``Engine``."""
        import torch

        cast = partial(torch.autocast, "cpu", dtype=torch.bfloat16)
        return with_torch.runner(with_torch.load(folder), place.threads, cast)


ENGINE = Bf16()
