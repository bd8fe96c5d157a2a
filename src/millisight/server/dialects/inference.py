"""What the Open Inference Protocol asks for, answered: the same over HTTP and gRPC."""

import time
from collections.abc import Callable
from dataclasses import dataclass

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
    return Answer(served.name, answer(scores, served.bundle.labels, asked.output))
