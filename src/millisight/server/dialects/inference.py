"""What the Open Inference Protocol asks for, answered: the same over HTTP and gRPC."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from millisight.server.dialects.aside import NUMBER_BYTES, aside
from millisight.server.dialects.batch import scores_of
from millisight.server.dialects.tensors import Asked, Tensor, answer
from millisight.server.served import Served
from millisight.server.service import Service


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model says."""

    model: str
    tensor: Tensor
    """Its one output, as it was asked for."""


async def infer(
    service: Service, find: Callable[[], Served], asked: Asked, *, deadline: float
) -> Answer:
    """The answer of the model that ``find`` gives, by ``deadline`` in ``time.monotonic`` seconds.

    Raises what ``find`` does and what ``Service.answer`` does.
    """
    if asked.timeout is not None:
        deadline = min(deadline, time.monotonic() + asked.timeout)
    served, scores = await scores_of(service, find, asked.pictures, deadline=deadline)
    labels = served.bundle.labels
    # To find the best, all are sorted.
    numbers = len(labels) * len(scores) if asked.output.classes else 0
    tensor = await aside(numbers * NUMBER_BYTES, lambda: answer(scores, labels, asked.output))
    return Answer(served.name, tensor)
