"""The Open Inference Protocol over gRPC: the same answers as over HTTP, in protobuf's messages."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Iterator
from functools import partial
from typing import Any

import grpc
import grpc.aio

from millisight.errors import BadRequest, DeadlineExceeded, MillisightError, Overloaded
from millisight.server.dialects import messages_pb2 as messages
from millisight.server.dialects import model
from millisight.server.dialects.batch import most_pictures
from millisight.server.dialects.envelope import aside
from millisight.server.dialects.inference import infer
from millisight.server.dialects.wire import parse, read_inference, slow_bytes
from millisight.server.door import check_key
from millisight.server.served import Served
from millisight.server.service import Service

logger = logging.getLogger(__name__)

SERVICE = "inference.GRPCInferenceService"

_OPEN = {"ServerLive", "ServerReady"}
"""What may be asked without a key."""

_STATUS = {
    401: grpc.StatusCode.UNAUTHENTICATED,
    404: grpc.StatusCode.NOT_FOUND,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    500: grpc.StatusCode.INTERNAL,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}
"""By HTTP status; all others are the request's fault."""

Answer = Callable[[bytes, float], Awaitable[Any]]
"""The bytes of a message, and the deadline in ``time.monotonic`` seconds, to the answer's
message."""


class Rpc:
    """The methods of the protocol's service.

    Each takes one message and gives one. To gRPC they are methods that take a stream, which is the
    same on the wire: so a message is not read before it is known who sends it, nor for ever.
    """

    def __init__(self, service: Service, keys: Collection[bytes], *, most: int) -> None:
        """``keys`` are digests of ``read_keys``; with none, everybody may ask. ``most`` is how
        many messages are read and answered at one time."""
        self._service = service
        self._keys = keys
        self._places = most

    def handler(self) -> grpc.GenericRpcHandler:
        """What a gRPC server needs to answer them."""
        methods: dict[str, tuple[Answer, bool]] = {
            "ServerLive": (self._live, False),
            "ServerReady": (self._ready, False),
            "ServerMetadata": (self._server, False),
            "RepositoryIndex": (self._index, False),
            "ModelReady": (self._model_ready, True),
            "ModelMetadata": (self._metadata, True),
            "ModelConfig": (self._config, True),
            "ModelInfer": (self._infer, True),
        }
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                name: grpc.stream_unary_rpc_method_handler(
                    partial(self._guarded, name, answer, reads),
                    response_serializer=lambda message: message.SerializeToString(),
                )
                for name, (answer, reads) in methods.items()
            },
        )

    async def _guarded(
        self, name: str, answer: Answer, reads: bool, _stream: Any, context: Any
    ) -> Any:
        """What ``answer`` gives, or its error as gRPC tells errors. Only if it ``reads`` it is
        there anything in the message."""
        count = partial(self._service.metrics.count_at, f"/{SERVICE}/{name}")
        try:
            if self._keys and name not in _OPEN:
                check_key(dict(context.invocation_metadata()), self._keys)
            answered = await self._within_deadline(answer, reads, context)
        except MillisightError as error:
            count(error.status)
            status = _STATUS.get(error.status, grpc.StatusCode.INVALID_ARGUMENT)
            await context.abort(status, f"{error.message} {error.hint}".strip())
        except Exception:
            logger.exception("gRPC %s failed", name)
            count(MillisightError.status)
            await context.abort(
                grpc.StatusCode.INTERNAL, "Something went wrong inside the server; see its log."
            )
        count(200)
        return answered

    async def _within_deadline(self, answer: Answer, reads: bool, context: Any) -> Any:
        seconds = self._service.settings.deadline_ms / 1e3
        if (own := context.time_remaining()) is not None:
            seconds = min(seconds, own)
        deadline = time.monotonic() + seconds
        try:
            async with asyncio.timeout(seconds):
                if not reads:
                    return await answer(b"", deadline)
                with self._place():
                    return await answer(await _message(context), deadline)
        except TimeoutError as error:
            raise DeadlineExceeded(
                "The answer was not ready before the deadline.",
                hint="Try again when the server is less busy, or allow more time.",
            ) from error

    @contextlib.contextmanager
    def _place(self) -> Iterator[None]:
        """One of so many, for as long as the block takes. Raises ``Overloaded``."""
        if not self._places:
            raise Overloaded("Too many requests are under way.", hint="Try again in a moment.")
        self._places -= 1
        try:
            yield
        finally:
            self._places += 1

    async def _live(self, _raw: bytes, _deadline: float) -> Any:
        return messages.ServerLiveResponse(live=self._service.alive)

    async def _ready(self, _raw: bytes, _deadline: float) -> Any:
        return messages.ServerReadyResponse(ready=self._service.is_ready)

    async def _server(self, _raw: bytes, _deadline: float) -> Any:
        return messages.ServerMetadataResponse(**model.server())

    async def _index(self, _raw: bytes, _deadline: float) -> Any:
        models = [model.index_entry(served) for served in self._service.models.values()]
        return messages.RepositoryIndexResponse(models=models)

    async def _model_ready(self, raw: bytes, _deadline: float) -> Any:
        return messages.ModelReadyResponse(ready=self._asked_of(raw).answers)

    async def _metadata(self, raw: bytes, _deadline: float) -> Any:
        return messages.ModelMetadataResponse(**model.metadata(self._asked_of(raw)))

    async def _config(self, raw: bytes, _deadline: float) -> Any:
        config = model.config(self._asked_of(raw), self._service.settings)
        return messages.ModelConfigResponse(config=config)

    async def _infer(self, raw: bytes, deadline: float) -> Any:
        slow = slow_bytes(raw, messages.ModelInferRequest)
        most = most_pictures(self._service.settings)
        inference = await aside(slow, partial(read_inference, raw, most=most))
        # The pictures are enough to keep.
        del raw
        asked = inference.asked
        find = partial(self._ready_one, inference.model, inference.version)
        answer = await infer(self._service, find, asked, deadline=deadline)
        tensor = answer.tensor
        return messages.ModelInferResponse(
            model_name=answer.model,
            model_version=model.VERSION,
            id=asked.id,
            outputs=[
                messages.Tensor(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
            ],
            raw_output_contents=[tensor.packed()],
        )

    def _asked_of(self, raw: bytes) -> Served:
        """The model that a ``ModelRequest`` names. Raises ``BadRequest`` and ``ModelNotFound``."""
        slow_bytes(raw, messages.ModelRequest)
        request = parse(messages.ModelRequest, raw)
        return self._found(request.name, request.version)

    def _found(self, name: str, version: str) -> Served:
        model.check_version(version)
        return self._service.find(name)

    def _ready_one(self, name: str, version: str) -> Served:
        return self._service.ready_one(self._found(name, version).name)


async def _message(context: Any) -> bytes:
    """The one message of a request. Raises ``BadRequest`` if there is none."""
    raw = await context.read()
    if raw is grpc.aio.EOF:
        raise BadRequest("The request has no message.")
    message: bytes = raw
    return message
