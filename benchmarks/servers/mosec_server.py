"""mosec: a stage that decodes, with a process a core, and a stage that infers in batches.

python mosec_server.py --address 127.0.0.1 --port PORT
"""

from typing import Any

import numpy as np
from mosec import Server, Worker
from mosec.mixin import NumBinIPCMixin
from network import CORES, Labels, Network, decode
from numpy.typing import NDArray

MAX_BATCH = 8


class Decode(NumBinIPCMixin, Worker):
    """Bytes to pixels; numbin is mosec's own fast way to hand arrays to the next stage."""

    def deserialize(self, data: bytes) -> bytes:
        """The body as it came, instead of JSON."""
        return data

    def forward(self, data: bytes) -> NDArray[np.uint8]:
        """One picture."""
        return decode(data)


class Infer(NumBinIPCMixin, Worker):
    """Pixels to answers, what waits together."""

    def __init__(self) -> None:
        super().__init__()
        self._labels = Labels()
        self._network = Network(CORES, max_batch=MAX_BATCH)

    def forward(self, data: list[NDArray[np.uint8]]) -> list[dict[str, Any]]:
        """One batch."""
        return [self._labels.answer(row) for row in self._network.infer(np.stack(data))]


if __name__ == "__main__":
    server = Server()
    server.append_worker(Decode, num=CORES)
    # By default it waits 10 ms for company; 1 ms is the least it takes.
    server.append_worker(Infer, num=1, max_batch_size=MAX_BATCH, max_wait_time=1)
    server.run()
