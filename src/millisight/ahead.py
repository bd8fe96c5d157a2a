"""Many answers in order, with a few of the next ones already under way."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from itertools import islice
from typing import TypeVar

from millisight.errors import MillisightError

Question = TypeVar("Question")
Answer = TypeVar("Answer")


def in_order(
    submit: Callable[[Question], "Future[Answer]"],
    questions: Iterable[Question],
    ahead: int,
    *,
    return_errors: bool,
) -> Iterator[Answer | MillisightError | OSError]:
    """What ``submit`` answers to ``questions``, in their order; ``ahead`` of them are under way.

    With ``return_errors`` an error of this package, or of a file, stands in the place of its
    answer; without, it is raised. What is under way when the iteration ends is cancelled.
    """
    iterator = iter(questions)
    pending = deque(submit(question) for question in islice(iterator, ahead))
    try:
        while pending:
            try:
                yield pending.popleft().result()
            except (MillisightError, OSError) as error:
                if not return_errors:
                    raise
                yield error
            pending.extend(submit(question) for question in islice(iterator, 1))
    finally:
        for future in pending:
            future.cancel()
