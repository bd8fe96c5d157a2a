"""Bytes to predictions: the stages strung together for Python users and for the server."""

import os
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from millisight import predictions
from millisight.bundle import Bundle, find_bundle, read_bundle
from millisight.cpu import available_cores
from millisight.engine import Dispatcher, Engine, Inferred, OpenVINOEngine, check_deadline
from millisight.errors import BadImage, MillisightError, NotReady
from millisight.image import Decoded, Limits, decode, from_array, from_pillow
from millisight.predictions import Prediction
from millisight.settings import Settings, load_settings

Picture = str | os.PathLike[str] | bytes | Image.Image | NDArray[np.uint8] | NDArray[np.uint16]
"""What can be classified: a path, the bytes of a file, a Pillow image, or pixels
(uint8 ``(h, w)``, ``(h, w, 3)``, ``(h, w, 4)`` or uint16 ``(h, w)``)."""


# Measured with tracemalloc: an answer without its predictions but with its place in a cache, and
# one prediction without its label.
_RESULT_BYTES = 800
_PREDICTION_BYTES = 120


@dataclass(frozen=True, slots=True)
class Timings:
    """Where the time of one answer went, in milliseconds."""

    decode: float
    queue: float
    inference: float
    total: float


@dataclass(frozen=True, slots=True)
class Result:
    """The answer for one picture."""

    predictions: list[Prediction]
    """Best first."""
    model: str
    timings_ms: Timings
    warnings: tuple[str, ...]
    """What was done to the picture, such as ``exif_rotated`` or ``alpha_on_white``."""

    @property
    def inference_time_ms(self) -> float:
        """Time of the network alone."""
        return self.timings_ms.inference

    def size_bytes(self) -> int:
        """Memory that this result takes, its strings counted as if they were its own."""
        texts = [self.model, *self.warnings, *(one.label for one in self.predictions)]
        return (
            _RESULT_BYTES
            + sum(map(sys.getsizeof, texts))
            + _PREDICTION_BYTES * len(self.predictions)
        )


class Classifier:
    """One bundle, ready to answer. Thread-safe; a context manager.

    Use ``millisight.load`` to make one.
    """

    def __init__(self, bundle: Bundle, settings: Settings, *, engine: Engine | None = None) -> None:
        """Compile ``bundle`` and start its dispatcher; ``engine`` replaces OpenVINO in tests."""
        self.bundle = bundle
        self._limits = Limits(max_pixels=int(settings.max_megapixels * 1e6))
        self._dispatcher = Dispatcher(
            engine
            or OpenVINOEngine(
                bundle.graph,
                precision=bundle.manifest.precision,
                threads=settings.threads,
                max_batch=settings.max_batch,
            ),
            max_batch=settings.max_batch,
            max_queue=settings.max_queue,
            max_wait=settings.max_wait_ms / 1e3,
        )
        # One more than decode: the thread that brings a picture to an idle engine runs it too.
        self._decoders = ThreadPoolExecutor(
            (settings.decode_threads or available_cores()) + 1, thread_name_prefix="decode"
        )
        # Enough that a full batch can wait while every core decodes the next one, and never so
        # many that they could fill the queue.
        self._ahead = min(2 * (settings.max_batch + available_cores()), settings.max_queue)
        self._dispatcher.start()

    def classify(self, picture: Picture, top_k: int = 3) -> Result:
        """The ``top_k`` best classes of one picture.

        Raises an ``ImageError`` for what is not a usable picture, ``BadParameter`` for a
        ``top_k`` outside 1…100, and ``OSError`` for a path that cannot be read.
        """
        answer: Future[Result] = Future()
        self._answer(picture, top_k, float("inf"), answer)
        return answer.result()

    def submit(
        self, picture: Picture, top_k: int = 3, *, deadline: float = float("inf")
    ) -> "Future[Result]":
        """``classify`` in the background; ``deadline`` is in ``time.monotonic`` seconds.

        The future fails with what ``classify`` raises, with ``DeadlineExceeded``, or with
        ``Overloaded`` when too many pictures wait. Cancel it and no further work is spent on it.
        Raises ``NotReady`` after ``close``.
        """
        answer: Future[Result] = Future()
        try:
            self._decoders.submit(self._answer, picture, top_k, deadline, answer)
        except RuntimeError as error:
            raise NotReady("The classifier has been closed.") from error
        return answer

    @overload
    def classify_many(
        self, pictures: Iterable[Picture], top_k: int = 3, *, return_errors: Literal[False] = False
    ) -> Iterator[Result]: ...

    @overload
    def classify_many(
        self, pictures: Iterable[Picture], top_k: int = 3, *, return_errors: Literal[True]
    ) -> Iterator[Result | MillisightError | OSError]: ...

    def classify_many(
        self, pictures: Iterable[Picture], top_k: int = 3, *, return_errors: bool = False
    ) -> Iterator[Result] | Iterator[Result | MillisightError | OSError]:
        """Results in the order of ``pictures``, which is read only a little ahead.

        The first picture that cannot be classified ends the iteration with its error; with
        ``return_errors`` the error stands in the place of its result and the rest goes on.
        """
        iterator = iter(pictures)
        pending = deque(self.submit(picture, top_k) for picture in islice(iterator, self._ahead))
        try:
            while pending:
                try:
                    yield pending.popleft().result()
                except (MillisightError, OSError) as error:
                    if not return_errors:
                        raise
                    yield error
                pending.extend(self.submit(picture, top_k) for picture in islice(iterator, 1))
        finally:
            for future in pending:
                future.cancel()

    def decode(self, picture: Picture) -> Decoded:
        """The first stage alone: network input from any kind of picture."""
        preprocess = self.bundle.manifest.preprocess
        match picture:
            case bytes():
                return decode(picture, preprocess, self._limits)
            case str() | os.PathLike():
                return decode(Path(picture).read_bytes(), preprocess, self._limits)
            case Image.Image():
                return from_pillow(picture, preprocess, self._limits)
            case np.ndarray():
                return from_array(picture, preprocess, self._limits)
            case _:
                raise BadImage(
                    f"A {type(picture).__name__} is not a picture.",
                    hint="Give a path, bytes, a Pillow image or a numpy array.",
                )

    def _answer(
        self, picture: Picture, top_k: int, deadline: float, answer: "Future[Result]"
    ) -> None:
        """Decode ``picture`` in this thread and see to it that ``answer`` gets its outcome."""
        started = time.monotonic()
        if answer.cancelled():
            return
        try:
            predictions.check_top_k(top_k)
            check_deadline(deadline, now=started)
            decoded = self.decode(picture)
            finish = partial(
                self._result, decoded, top_k=top_k, started=started, decoded_at=time.monotonic()
            )
            self._dispatcher.submit(
                decoded.pixels, deadline=deadline, here=True, future=answer, finish=finish
            )
        except Exception as error:  # noqa: BLE001
            if answer.set_running_or_notify_cancel():
                answer.set_exception(error)

    def _result(
        self,
        decoded: Decoded,
        inferred: Inferred,
        *,
        top_k: int,
        started: float,
        decoded_at: float,
    ) -> Result:
        """The last stage: labels and timings. The times are in ``time.monotonic`` seconds."""
        return Result(
            predictions=predictions.top_k(inferred.logits, self.bundle.labels, top_k),
            model=self.bundle.manifest.name,
            timings_ms=Timings(
                decode=_milliseconds(decoded_at - started),
                queue=_milliseconds(inferred.queued),
                inference=_milliseconds(inferred.inference),
                total=_milliseconds(time.monotonic() - started),
            ),
            warnings=decoded.warnings,
        )

    @property
    def alive(self) -> bool:
        """Whether it can answer."""
        return self._dispatcher.alive

    def close(self) -> None:
        """Answer what is queued, then stop."""
        self._decoders.shutdown()
        self._dispatcher.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1e3, 3)


def load(model: str | os.PathLike[str] = "auto", **settings: object) -> Classifier:
    """A classifier for a bundle given by name or path; keywords are settings by name.

    >>> with millisight.load("resnet18", threads=2) as classifier:
    ...     print(classifier.classify("photo.jpg").predictions[0].label)

    Raises ``ModelNotFound``, ``BundleError`` or ``SettingsError``.
    """
    chosen = load_settings({**settings, "model": os.fspath(model)})
    return Classifier(read_bundle(find_bundle(chosen.model, chosen.home)), chosen)
