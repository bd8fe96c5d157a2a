"""The Open Inference Protocol over gRPC: the same answers as over HTTP, in protobuf's messages."""

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from functools import partial
from typing import Any
from urllib.parse import unquote

import grpc
import grpc.aio

from millisight.budget import Share
from millisight.errors import BadRequest, DeadlineExceeded, MillisightError, Overloaded
from millisight.server.access import CLIENT_LEFT, log_request
from millisight.server.boundary import HEADER, RequestIds
from millisight.server.dialects import messages_pb2 as messages
from millisight.server.dialects import model
from millisight.server.dialects.aside import NUMBER_BYTES, aside
from millisight.server.dialects.batch import most_pictures
from millisight.server.dialects.inference import infer
from millisight.server.dialects.wire import parse, read_inference, slow_bytes
from millisight.server.door import check_key
from millisight.server.problems import told
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


class _Call:
    """What the access log tells of a call."""

    def __init__(self, name: str, request_id: str, peer: str, reads: bool) -> None:
        """``peer`` is as gRPC has it, such as ``ipv4:127.0.0.1:4711``."""
        self.reads = reads
        self.bytes_in = 0
        self.began = time.monotonic()
        self.name = name
        self.path = f"/{SERVICE}/{name}"
        self.request_id = request_id
        address = unquote(peer).partition(":")[2].rpartition(":")[0]
        self.client = address.strip("[]") or None


class Rpc:
    """The methods of the protocol's service.

    Each takes one message and gives one. To gRPC they are methods that take a stream, which is the
    same on the wire: so a message is not read before it is known who sends it, nor for ever.
    """

    def __init__(
        self, service: Service, keys: Collection[bytes], *, most: int, arriving: int
    ) -> None:
        """``keys`` are digests of ``read_keys``; with none, everybody may ask. ``most`` is how
        many messages are waited for and answered at one time, ``arriving`` how many of them may be
        on the way; the others stay with their clients meanwhile."""
        self._service = service
        self._keys = keys
        self._ids = RequestIds()
        self._places = most
        self._arriving = asyncio.Semaphore(arriving)

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
                    partial(self._traced, name, answer, reads),
                    response_serializer=lambda message: message.SerializeToString(),
                )
                for name, (answer, reads) in methods.items()
            },
        )

    async def _traced(
        self, name: str, answer: Answer, reads: bool, _stream: Any, context: Any
    ) -> Any:
        """What ``answer`` gives, with a span for it unless it is a question that comes every few
        seconds. Only if it ``reads`` is there anything in the message."""
        sent = dict(context.invocation_metadata())
        call = _Call(name, self._ids.of(str(sent.get(HEADER.decode(), ""))), context.peer(), reads)
        if name in _OPEN:
            return await self._guarded(call, answer, sent, context)
        with self._service.observer.tracing.call(SERVICE, name, context.invocation_metadata()):
            return await self._guarded(call, answer, sent, context)

    async def _guarded(
        self, call: "_Call", answer: Answer, sent: Mapping[str, Any], context: Any
    ) -> Any:
        """What ``answer`` gives, or its error as gRPC tells errors."""
        observer = self._service.observer
        observer.tracing.note("millisight.request_id", call.request_id)
        context.set_trailing_metadata(((HEADER.decode(), call.request_id),))
        count = partial(self._count, call)
        try:
            if self._keys and call.name not in _OPEN:
                check_key(sent, self._keys)
            answered = await self._within_deadline(answer, call, context)
        except MillisightError as error:
            count(error.status, error=error.code)
            observer.rejected(error.code)
            status = _STATUS.get(error.status, grpc.StatusCode.INVALID_ARGUMENT)
            sentence = " ".join(told(error, call.request_id)).strip()
        except asyncio.CancelledError:
            count(CLIENT_LEFT)
            raise
        except Exception:
            logger.exception("gRPC %s failed", call.name, extra={"request_id": call.request_id})
            count(MillisightError.status, error=MillisightError.code)
            status = grpc.StatusCode.INTERNAL
            sentence = "Something went wrong inside the server; see its log."
        else:
            model_name = getattr(answered, "model_name", "")
            count(200, **({"model": model_name} if model_name else {}))
            return answered
        # Not above: the error holds the message, and who is refused may be slow to hear of it.
        await context.abort(status, sentence)
        return None

    def _count(self, call: "_Call", status: int, **fields: Any) -> None:
        """One answer, for the numbers and for the access log."""
        seconds = time.monotonic() - call.began
        self._service.observer.metrics.count_at(call.path, status, seconds)
        if not self._service.settings.access_log:
            return
        log_request(
            f"gRPC {call.path}",
            status,
            seconds,
            quiet=call.name in _OPEN,
            request_id=call.request_id,
            client=call.client,
            method="gRPC",
            path=call.path,
            bytes_in=call.bytes_in,
            **fields,
        )

    async def _within_deadline(self, answer: Answer, call: "_Call", context: Any) -> Any:
        seconds = self._service.settings.deadline_ms / 1e3
        if (own := context.time_remaining()) is not None:
            seconds = min(seconds, own)
        deadline = time.monotonic() + seconds
        try:
            async with asyncio.timeout(seconds):
                if not call.reads:
                    return await answer(b"", deadline)
                with self._place(), self._service.bodies.share() as share:
                    return await answer(await self._message(call, share, context), deadline)
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

    async def _message(self, call: _Call, share: Share, context: Any) -> bytes:
        """The one message of ``call``, of which ``share`` then has the bytes. Raises ``BadRequest``
        if there is none, and ``Overloaded``."""
        # Its length is not told before all of it is there: until then it counts as the longest.
        async with self._arriving:
            raw = await context.read()
            if raw is grpc.aio.EOF:
                raise BadRequest("The request has no message.")
            message: bytes = raw
            share.take(len(message))
        call.bytes_in = len(message)
        return message

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
        packed = await aside(math.prod(tensor.shape) * NUMBER_BYTES, tensor.packed)
        return messages.ModelInferResponse(
            model_name=answer.model,
            model_version=model.VERSION,
            id=asked.id,
            outputs=[
                messages.Tensor(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
            ],
            raw_output_contents=[packed],
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
