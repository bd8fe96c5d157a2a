"""What the Open Inference Protocol asks for, answered: the same over HTTP and gRPC."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from millisight.server.dialects.batch import check_count, scores_of
from millisight.server.dialects.tensors import Asked, Tensor, answer
from millisight.server.served import Served
from millisight.server.service import Service


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model says."""

    model: str
    tensors: list[Tensor]
    """One for each output that was asked for, in their order."""


async def infer(
    service: Service, find: Callable[[], Served], asked: Asked, *, deadline: float
) -> Answer:
    """The answer of the model that ``find`` gives, by ``deadline`` in ``time.monotonic`` seconds.

    Raises what ``find`` does and what ``Service.answer`` does.
    """
    check_count(len(asked.pictures), service.settings)
    if asked.timeout is not None:
        deadline = min(deadline, time.monotonic() + asked.timeout)
    served = find()
    scores = await scores_of(service, served, asked.pictures, deadline=deadline)
    labels = served.bundle.labels
    return Answer(served.name, [answer(scores, labels, output) for output in asked.outputs])
