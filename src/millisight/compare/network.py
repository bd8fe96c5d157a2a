"""The network that all engines get: from pixels as they come to logits."""

import torch
from torch import Tensor, nn

from millisight.manifest import Preprocess


class Network(nn.Module):  # type: ignore[misc,unused-ignore]
    """A classifier with its normalisation before it.

    Takes uint8 pixels ``(n, crop, crop, 3)``, RGB; gives float32 logits ``(n, classes)``.
    """

    def __init__(
        self, module: nn.Module, preprocess: Preprocess, *, channels_last: bool = False
    ) -> None:
        super().__init__()
        self.module = module
        if channels_last:
            self.module.to(memory_format=torch.channels_last)
        self.channels_last = channels_last
        for name, values in (("mean", preprocess.mean), ("std", preprocess.std)):
            scaled = torch.tensor([255 * value for value in values]).view(1, 3, 1, 1)
            self.register_buffer(name, scaled, persistent=True)
        self.eval()

    def forward(self, pixels: Tensor) -> Tensor:
        """Logits of ``pixels``."""
        planes = pixels.permute(0, 3, 1, 2).to(torch.float32)
        if not self.channels_last:
            # Moved axes alone would leave the bytes in the order of channels last.
            planes = planes.contiguous()
        logits: Tensor = self.module((planes - self.mean) / self.std)
        return logits
