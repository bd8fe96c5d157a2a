"""Bytes to predictions: the stages strung together for Python users and for the server."""

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from millisight import predictions
from millisight.ahead import in_order
from millisight.bundle import Bundle, open_bundle
from millisight.crew import Crew
from millisight.embedder import Embedder, Embedding
from millisight.engine import Engine, Logits, OpenVINOEngine
from millisight.errors import BadImage, MillisightError
from millisight.explainer import Explainer, Explanation
from millisight.image import Decoded, decode, from_array, from_pillow
from millisight.predictions import Prediction, Scores
from millisight.settings import Settings, load_settings
from millisight.work import Timings, Work

Picture = (
    str | os.PathLike[str] | bytes | Image.Image | NDArray[np.uint8] | NDArray[np.uint16] | Decoded
)
"""What can be classified: a path, the bytes of a file, a Pillow image, pixels (uint8 ``(h, w)``,
``(h, w, 3)``, ``(h, w, 4)`` or uint16 ``(h, w)``), or what ``Classifier.decode`` gave."""


# Measured with tracemalloc: an answer without its predictions but with its place in a cache, and
# one prediction without its label.
_RESULT_BYTES = 800
_PREDICTION_BYTES = 120


@dataclass(frozen=True, slots=True)
class Result:
    """The answer for one picture."""

    predictions: list[Prediction]
    """Best first."""
    model: str
    timings_ms: Timings
    warnings: tuple[str, ...]
    """What was done to the picture, such as ``exif_rotated`` or ``alpha_on_white``."""
    uncertain: bool | None = None
    """Whether the best confidence is below the bundle's threshold; ``None`` where it has none."""

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


def compile_bundle(bundle: Bundle, settings: Settings) -> OpenVINOEngine:
    """The engine of ``bundle``, warmed up. Raises ``BundleError`` if OpenVINO cannot read it."""
    return OpenVINOEngine(
        bundle.graph,
        precision=bundle.manifest.precision,
        threads=settings.threads,
        max_batch=settings.max_batch,
        device=settings.device,
    )


class Classifier:
    """One bundle, ready to answer. Thread-safe; a context manager.

    Use ``millisight.load`` to make one.
    """

    def __init__(
        self,
        bundle: Bundle,
        settings: Settings,
        *,
        engine: Engine | None = None,
        crew: Crew | None = None,
    ) -> None:
        """Compile ``bundle`` and open its line; ``engine`` replaces OpenVINO in tests.

        ``crew`` is that of another classifier, made with the same settings: both then share its
        threads, and those that wait take turns.
        """
        self.bundle = bundle
        engine = engine or compile_bundle(bundle, settings)
        self.crew = crew or Crew(engine.lanes, settings)
        """What does the work."""
        self._line = self.crew.answering.open(engine)
        # Enough that full batches wait while others run, and never so many that they could fill
        # the queue.
        self._ahead = min(4 * engine.lanes * settings.max_batch, settings.max_queue)
        self.explainer = Explainer(bundle, self.crew.explaining, device=settings.device)
        """What ``explain`` is answered by; not compiled before somebody asks."""
        self.embedder = Embedder(bundle, self.crew.answering, settings)
        """What ``embed`` is answered by; not compiled before somebody asks."""

    def classify(self, picture: Picture, top_k: int = 3) -> Result:
        """The ``top_k`` best classes of one picture.

        Raises an ``ImageError`` for what is not a usable picture, ``BadParameter`` for a
        ``top_k`` outside 1…100, and ``OSError`` for a path that cannot be read.
        """
        return self.submit(picture, top_k, here=True).result()

    def submit(
        self,
        picture: Picture,
        top_k: int = 3,
        *,
        deadline: float = float("inf"),
        here: bool = False,
    ) -> "Future[Result]":
        """``classify`` in the background; ``deadline`` is in ``time.monotonic`` seconds.

        The future fails with what ``classify`` raises of the picture, or with
        ``DeadlineExceeded``. Cancel it and no further work is spent on it. ``here`` lets the
        calling thread do the work itself if a core is free, and return when it is done.
        Raises ``BadParameter``, ``Overloaded`` when too many pictures wait, and ``NotReady`` after
        ``close``.
        """
        predictions.check_top_k(top_k)
        work = Work(partial(self.decode, picture), partial(self._result, top_k))
        return self._line.submit(work.decode, deadline=deadline, here=here, finish=work.finish)

    def _result(self, top_k: int, logits: Logits, decoded: Decoded, timings: Timings) -> Result:
        manifest = self.bundle.manifest
        best = predictions.top_k(logits, self.bundle.labels, top_k, manifest.temperature)
        threshold = manifest.threshold
        return Result(
            predictions=best,
            model=manifest.name,
            timings_ms=timings,
            warnings=decoded.warnings,
            uncertain=None if threshold is None else best[0].confidence < threshold,
        )

    def submit_scores(
        self, picture: Picture, *, deadline: float = float("inf")
    ) -> "Future[Scores]":
        """What the network says of every class, in the background; see ``submit``."""
        work = Work(partial(self.decode, picture), self._scores)
        return self._line.submit(work.decode, deadline=deadline, finish=work.finish)

    def _scores(self, logits: Logits, _decoded: Decoded, _timings: Timings) -> Scores:
        confidences = predictions.softmax(logits, self.bundle.manifest.temperature)
        return Scores(confidences.astype(np.float32))

    def explain(
        self, picture: Picture, top_k: int = 3, *, classes: Sequence[int] = ()
    ) -> Explanation:
        """Class activation maps: which parts of ``picture`` speak for ``classes`` (by index) or,
        without any, for the ``top_k`` best.

        The first call compiles a graph of its own, in some tenths of a second. Raises
        ``NotExplainable`` where the model has no maps, and what ``classify`` raises.
        """
        return self.submit_explain(picture, top_k, classes=classes).result()

    def submit_explain(
        self,
        picture: Picture,
        top_k: int = 3,
        *,
        classes: Sequence[int] = (),
        deadline: float = float("inf"),
    ) -> "Future[Explanation]":
        """``explain`` in the background, but for the compiling; see ``submit``."""
        decode_it = partial(self.decode, picture)
        return self.explainer.submit(decode_it, top_k, classes, deadline=deadline)

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
        submit = partial(self.submit, top_k=top_k)
        return in_order(submit, pictures, self._ahead, return_errors=return_errors)

    def embed(self, picture: Picture, *, normalize: bool = False) -> Embedding:
        """What the network knows of ``picture`` before it decides: the input of its last layer.

        ``normalize`` scales it to length 1. The first call compiles a graph of its own, in some
        tenths of a second. Raises ``NotEmbeddable`` where the model does not end in one linear
        layer, and what ``classify`` raises.
        """
        return self.submit_embed(picture, normalize=normalize, here=True).result()

    def submit_embed(
        self,
        picture: Picture,
        *,
        normalize: bool = False,
        deadline: float = float("inf"),
        here: bool = False,
    ) -> "Future[Embedding]":
        """``embed`` in the background, but for the compiling; see ``submit``."""
        decode_it = partial(self.decode, picture)
        return self.embedder.submit(decode_it, normalize=normalize, deadline=deadline, here=here)

    def embed_many(
        self, pictures: Iterable[Picture], *, normalize: bool = False, return_errors: bool = False
    ) -> Iterator[Embedding | MillisightError | OSError]:
        """``embed`` for each of ``pictures``, in their order; see ``classify_many``."""
        submit = partial(self.submit_embed, normalize=normalize)
        return in_order(submit, pictures, self._ahead, return_errors=return_errors)

    def decode(self, picture: Picture) -> Decoded:
        """The first stage alone: network input from any kind of picture."""
        preprocess = self.bundle.manifest.preprocess
        match picture:
            case bytes():
                return decode(picture, preprocess, self.crew.limits)
            case str() | os.PathLike():
                return decode(Path(picture).read_bytes(), preprocess, self.crew.limits)
            case Image.Image():
                return from_pillow(picture, preprocess, self.crew.limits)
            case np.ndarray():
                return from_array(picture, preprocess, self.crew.limits)
            case Decoded():
                return picture
            case _:
                raise BadImage(
                    f"A {type(picture).__name__} is not a picture.",
                    hint="Give a path, bytes, a Pillow image or a numpy array.",
                )

    @property
    def alive(self) -> bool:
        """Whether it can answer."""
        return self._line.alive

    def close(self) -> None:
        """Answer what is queued, then stop."""
        self.explainer.close()
        self.embedder.close()
        self._line.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def load(model: str | os.PathLike[str] = "auto", **settings: object) -> Classifier:
    """A classifier for a bundle given by name or path; keywords are settings by name.

    ```python
    with millisight.load("resnet18", threads=2) as classifier:
        print(classifier.classify("photo.jpg").predictions[0].label)
    ```

    Raises ``ModelNotFound``, ``BundleError`` or ``SettingsError``.
    """
    name = os.fspath(model)
    chosen = load_settings({**settings, "model": [name]})
    return Classifier(open_bundle(name, chosen.home), chosen)
