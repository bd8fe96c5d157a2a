"""Which pictures an epoch goes through, and how often: those the network finds hard more often."""

import torch
from torch import Tensor

_SMOOTHING = 0.5
"""Weight of the newest loss of a picture: it is of one variation of it."""


class Attention:
    """What each picture cost lately, in nats, and so how often it is drawn.

    A network that knows nothing is right about most pictures long before it is about all; going on
    with those it is right about teaches it little (Katharopoulos and Fleuret 2018, "Not All Samples
    Are Created Equal"; Jiang et al. 2019, "Accelerating Deep Learning by Focusing on the Biggest
    Losers").
    """

    def __init__(self, count: int, focus: float) -> None:
        """The hardest of ``count`` pictures are drawn ``focus`` times as often as the easiest."""
        self.losses = torch.full((count,), torch.inf)
        """Of each picture; infinite where it has not been seen."""
        self._focus = focus

    def note(self, chosen: Tensor, losses: Tensor) -> None:
        """Pictures ``chosen``, shape ``(b,)``, have just cost ``losses``, ``(b,)``."""
        known = self.losses[chosen]
        mixed = known + _SMOOTHING * (losses - known)
        self.losses[chosen] = torch.where(known.isinf(), losses, mixed)

    def draw(self, generator: torch.Generator) -> Tensor:
        """As many pictures as there are, shape ``(count,)``, in random order."""
        count = len(self.losses)
        order = torch.randperm(count, generator=generator)
        if self._focus == 1 or self.losses.isinf().all():
            return order
        # By rank: losses themselves would leave all to a few that are labelled wrong.
        ranks = torch.empty(count, dtype=torch.float64)
        ranks[self.losses.argsort()] = torch.linspace(0, 1, count, dtype=torch.float64)
        often = 1 + (self._focus - 1) * ranks
        # Systematic resampling: each as often as it should be, rounded up or down by chance.
        ends = count * often.cumsum(0) / often.sum()
        ends[-1] = count
        ends += torch.rand(1, generator=generator, dtype=torch.float64)
        times = ends.floor().long().diff(prepend=torch.zeros(1, dtype=torch.long))
        return torch.arange(count).repeat_interleave(times)[order]
