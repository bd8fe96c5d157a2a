"""The client for threads."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import TracebackType
from typing import Literal, Self, overload

from millisight.ahead import in_order
from millisight.answers import Embedding, ServedModel, ServedResult
from millisight.client import calls
from millisight.client.calls import Call
from millisight.client.sending import Sendable, bytes_of
from millisight.errors import MillisightError


class Client:
    """Asks one server, with connections that stay open. Thread-safe; a context manager.

    ```python
    with millisight.Client("http://127.0.0.1:8000") as client:
        print(client.predict("photo.jpg").predictions[0].label)
    ```

    Every method raises what the server answers as the class of ``millisight.errors`` that it is
    there, with ``request_id`` and ``hint``; ``Unreachable`` where there is no server,
    ``DeadlineExceeded`` where it does not answer in time, and ``UnexpectedAnswer`` where something
    else answers. What the server had not begun is tried again: 429 and 503, after the time that
    ``Retry-After`` names, and what never reached it or lost its connection.
    """

    def __init__(
        self, url: str, *, api_key: str = "", timeout: float = 30.0, retry: bool = True
    ) -> None:
        """``timeout`` is what one call may take in seconds, with all its attempts and pauses; an
        answer that trickles in may take longer. Without ``retry`` there is one attempt.

        Raises ``BadParameter``, and ``ExtraMissing`` where httpx2 and tenacity are not installed.
        """
        try:
            from millisight.client.wire import Wire
        except ImportError as error:
            raise calls.missing(error) from error
        self._wire = Wire(url, api_key, timeout, retry=retry)

    def predict(
        self,
        picture: Sendable,
        top_k: int = 3,
        *,
        model: str | None = None,
        deadline_ms: int | None = None,
        request_id: str | None = None,
    ) -> ServedResult:
        """The ``top_k`` best classes of one picture, by the server's first model or ``model``.

        ``deadline_ms`` is how long the server may take over one attempt, if that is less than its
        own limit. Raises an ``ImageError`` for what is not a usable picture, ``Overloaded``,
        ``ModelNotFound``, ``BadParameter``, and ``OSError`` for a file that cannot be read.
        """
        call = calls.predict(bytes_of(picture), top_k, model, deadline_ms, request_id)
        return calls.result_of(self._wire.send(call))

    @overload
    def predict_many(
        self,
        pictures: Iterable[Sendable],
        top_k: int = 3,
        *,
        model: str | None = None,
        deadline_ms: int | None = None,
        concurrency: int = 8,
        return_errors: Literal[False] = False,
    ) -> Iterator[ServedResult]: ...

    @overload
    def predict_many(
        self,
        pictures: Iterable[Sendable],
        top_k: int = 3,
        *,
        model: str | None = None,
        deadline_ms: int | None = None,
        concurrency: int = 8,
        return_errors: Literal[True],
    ) -> Iterator[ServedResult | MillisightError | OSError]: ...

    def predict_many(
        self,
        pictures: Iterable[Sendable],
        top_k: int = 3,
        *,
        model: str | None = None,
        deadline_ms: int | None = None,
        concurrency: int = 8,
        return_errors: bool = False,
    ) -> Iterator[ServedResult | MillisightError | OSError]:
        """Results in the order of ``pictures``, of which ``concurrency`` are under way and no
        more are read.

        The first that fails ends the iteration with its error; with ``return_errors`` the error
        stands in the place of its result and the rest goes on. Raises what ``predict`` does.
        """
        ask = partial(self.predict, top_k=top_k, model=model, deadline_ms=deadline_ms)
        calls.check_concurrency(concurrency)
        return _in_order(ask, pictures, concurrency, return_errors=return_errors)

    def embed(
        self,
        picture: Sendable,
        *,
        normalize: bool = False,
        model: str | None = None,
        deadline_ms: int | None = None,
        request_id: str | None = None,
    ) -> Embedding:
        """What the network knows of ``picture``, scaled to length 1 if ``normalize``. Needs NumPy.

        Raises ``NotEmbeddable`` where the model has none, and what ``predict`` does.
        """
        call = calls.embed(bytes_of(picture), normalize, model, deadline_ms, request_id)
        return calls.embedding_of(self._wire.send(call))

    def explain(
        self,
        picture: Sendable,
        class_index: int | None = None,
        *,
        model: str | None = None,
        deadline_ms: int | None = None,
        request_id: str | None = None,
    ) -> bytes:
        """A PNG of what the network saw, with the parts lit up that speak for the best class or
        for that of ``class_index``.

        Raises ``NotExplainable`` where the model has no maps, and what ``predict`` does.
        """
        call = calls.explain(bytes_of(picture), class_index, model, deadline_ms, request_id)
        return calls.file_of(self._wire.send(call))

    def models(self) -> list[ServedModel]:
        """What ``model=`` takes; the first answers who names none."""
        return calls.models_of(self._wire.send(calls.MODELS))

    def ready(self) -> bool:
        """Whether the server takes pictures now; asked once."""
        return self._is_well(calls.READY)

    def live(self) -> bool:
        """Whether the server's process works; ``False`` means that it should be restarted."""
        return self._is_well(calls.LIVE)

    def _is_well(self, call: Call) -> bool:
        try:
            calls.file_of(self._wire.send(call, retry=False))
        except calls.UNWELL:
            return False
        return True

    def close(self) -> None:
        """Give up the connections."""
        self._wire.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _in_order(
    ask: Callable[[Sendable], ServedResult],
    pictures: Iterable[Sendable],
    concurrency: int,
    *,
    return_errors: bool,
) -> Iterator[ServedResult | MillisightError | OSError]:
    pool = ThreadPoolExecutor(concurrency)
    try:
        yield from in_order(
            lambda picture: pool.submit(ask, picture),
            pictures,
            concurrency,
            return_errors=return_errors,
        )
    finally:
        # Who stops early does not wait for what is under way: it may be tried again for long.
        pool.shutdown(wait=False, cancel_futures=True)
