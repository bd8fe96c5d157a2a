"""The client for event loops."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable
from functools import partial
from itertools import islice
from types import TracebackType
from typing import Literal, Self, overload

from millisight.answers import Embedding, ServedModel, ServedResult
from millisight.client import calls
from millisight.client.calls import Call
from millisight.client.sending import Sendable, bytes_of
from millisight.errors import MillisightError


class AsyncClient:
    """``Client`` for asyncio: each method does and raises what the one of its name does there.

    ```python
    async with millisight.AsyncClient("http://127.0.0.1:8000") as client:
        print((await client.predict("photo.jpg")).predictions[0].label)
    ```
    """

    def __init__(
        self, url: str, *, api_key: str = "", timeout: float = 30.0, retry: bool = True
    ) -> None:
        """See ``Client``."""
        try:
            from millisight.client.wire import AsyncWire
        except ImportError as error:
            raise calls.missing(error) from error
        self._wire = AsyncWire(url, api_key, timeout, retry=retry)

    async def predict(
        self,
        picture: Sendable,
        top_k: int = 3,
        *,
        model: str | None = None,
        deadline_ms: int | None = None,
        request_id: str | None = None,
    ) -> ServedResult:
        """The ``top_k`` best classes of one picture; see ``Client.predict``."""
        data = await asyncio.to_thread(bytes_of, picture)
        call = calls.predict(data, top_k, model, deadline_ms, request_id)
        return calls.result_of(await self._wire.send(call))

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
    ) -> AsyncGenerator[ServedResult, None]: ...

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
    ) -> AsyncGenerator[ServedResult | MillisightError | OSError, None]: ...

    def predict_many(
        self,
        pictures: Iterable[Sendable],
        top_k: int = 3,
        *,
        model: str | None = None,
        deadline_ms: int | None = None,
        concurrency: int = 8,
        return_errors: bool = False,
    ) -> AsyncGenerator[ServedResult | MillisightError | OSError, None]:
        """Results in the order of ``pictures``, for ``async for``; see ``Client.predict_many``."""
        ask = partial(self.predict, top_k=top_k, model=model, deadline_ms=deadline_ms)
        calls.check_concurrency(concurrency)
        return _in_order(ask, pictures, concurrency, return_errors=return_errors)

    async def embed(
        self,
        picture: Sendable,
        *,
        normalize: bool = False,
        model: str | None = None,
        deadline_ms: int | None = None,
        request_id: str | None = None,
    ) -> Embedding:
        """What the network knows of ``picture``; see ``Client.embed``."""
        data = await asyncio.to_thread(bytes_of, picture)
        call = calls.embed(data, normalize, model, deadline_ms, request_id)
        return calls.embedding_of(await self._wire.send(call))

    async def explain(
        self,
        picture: Sendable,
        class_index: int | None = None,
        *,
        model: str | None = None,
        deadline_ms: int | None = None,
        request_id: str | None = None,
    ) -> bytes:
        """A PNG of which parts speak for a class; see ``Client.explain``."""
        data = await asyncio.to_thread(bytes_of, picture)
        call = calls.explain(data, class_index, model, deadline_ms, request_id)
        return calls.file_of(await self._wire.send(call))

    async def models(self) -> list[ServedModel]:
        """What ``model=`` takes; the first answers who names none."""
        return calls.models_of(await self._wire.send(calls.MODELS))

    async def ready(self) -> bool:
        """Whether the server takes pictures now; asked once."""
        return await self._is_well(calls.READY)

    async def live(self) -> bool:
        """Whether the server's process works; ``False`` means that it should be restarted."""
        return await self._is_well(calls.LIVE)

    async def _is_well(self, call: Call) -> bool:
        try:
            calls.file_of(await self._wire.send(call, retry=False))
        except calls.UNWELL:
            return False
        return True

    async def close(self) -> None:
        """Give up the connections."""
        await self._wire.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()


async def _in_order(
    ask: Callable[[Sendable], Coroutine[None, None, ServedResult]],
    pictures: Iterable[Sendable],
    concurrency: int,
    *,
    return_errors: bool,
) -> AsyncGenerator[ServedResult | MillisightError | OSError, None]:
    iterator = iter(pictures)
    pending = deque(asyncio.create_task(ask(one)) for one in islice(iterator, concurrency))
    try:
        while pending:
            try:
                yield await pending[0]
            except (MillisightError, OSError) as error:
                if not return_errors:
                    raise
                yield error
            pending.popleft()
            pending.extend(asyncio.create_task(ask(one)) for one in islice(iterator, 1))
    finally:
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
