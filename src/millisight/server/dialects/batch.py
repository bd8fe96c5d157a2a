"""Several pictures in one request: each goes its own way through the queue and the cache."""

import asyncio
import base64
import binascii
import copy
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from millisight.classifier import Classifier, Picture
from millisight.errors import BadRequest, ImageError, NotReady
from millisight.image import Decoded
from millisight.predictions import Scores
from millisight.server.served import Served
from millisight.server.service import Service
from millisight.settings import Settings

Sent = bytes | NDArray[np.uint8]
"""A picture as it came: the bytes of its file, or pixels of shape ``(h, w, 3)``."""

_MOST_PICTURES = 256


def most_pictures(settings: Settings) -> int:
    """How many one request may bring: no more than could ever wait at one time."""
    return min(settings.max_queue, _MOST_PICTURES)


def check_count(count: int, most: int) -> None:
    """Raise ``BadRequest`` for none and for more than ``most``, which ``most_pictures`` tells."""
    if not 1 <= count <= most:
        raise BadRequest(
            f"The request has {count} pictures; it may have 1 to {most}.",
            hint="Send them in several requests.",
        )


async def scores_of(
    service: Service, find: Callable[[], Served], pictures: Sequence[Sent], *, deadline: float
) -> tuple[Served, list[Scores]]:
    """The model that ``find`` gives, and what it says of each of ``pictures``, in their order: of
    all, or it raises.

    ``deadline`` is in ``time.monotonic`` seconds. Raises what ``find`` and ``Service.answer`` do.
    """
    while True:
        served = find()
        try:
            return served, await _of_all(service, served, pictures, deadline)
        except NotReady:
            # It may have been exchanged between its being found and its being asked.
            if find() is served:
                raise


async def _of_all(
    service: Service, served: Served, pictures: Sequence[Sent], deadline: float
) -> list[Scores]:
    tasks = [
        asyncio.ensure_future(_scores(service, served, picture, deadline)) for picture in pictures
    ]
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        for number, outcome in enumerate(outcomes, start=1):
            if isinstance(outcome, ImageError) and len(tasks) > 1:
                raise _numbered(outcome, number, len(tasks)) from outcome
        raise


async def _scores(service: Service, served: Served, picture: Sent, deadline: float) -> Scores:
    if isinstance(picture, bytes):
        key = served.key(picture, "scores")
    else:
        key = served.key(picture.tobytes(), "scores", picture.shape)
    shown = _as_shown(picture, served.bundle.manifest.preprocess.crop)
    ask = partial(Classifier.submit_scores, picture=shown, deadline=deadline)
    scores, _ = await service.answer(served, key, ask, deadline=deadline)
    return scores


def _as_shown(picture: Sent, crop: int) -> Picture:
    """Pixels of the very size that the network takes were prepared by who sent them; they would
    lose their edges if they were prepared again."""
    if isinstance(picture, bytes) or picture.shape != (crop, crop, 3):
        return picture
    return Decoded(picture, (), (0.0, 0.0, 1.0, 1.0))


def _numbered(error: ImageError, number: int, count: int) -> ImageError:
    # A copy: others may wait for the same picture.
    numbered = copy.copy(error)
    numbered.message = f"Picture {number} of {count}: {error.message}"
    return numbered


def from_base64(text: str) -> bytes:
    """The bytes of a picture that came in JSON. Raises ``BadRequest``."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadRequest(
            "A picture in JSON is not base64.", hint="In Python: base64.b64encode(data).decode()"
        ) from error
