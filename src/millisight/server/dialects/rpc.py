"""The Open Inference Protocol over gRPC: the same answers as over HTTP, in protobuf's messages."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import partial
from typing import Any
from urllib.parse import unquote

import grpc

from millisight.errors import BadRequest, DeadlineExceeded, MillisightError
from millisight.server.access import log_request
from millisight.server.boundary import HEADER, RequestIds
from millisight.server.dialects import messages_pb2 as messages
from millisight.server.dialects import model
from millisight.server.dialects.batch import most_pictures
from millisight.server.dialects.envelope import aside
from millisight.server.dialects.inference import infer
from millisight.server.dialects.tensors import Asked, from_values, timeout_of, unpack, wanted
from millisight.server.door import check_key
from millisight.server.served import Served
from millisight.server.service import Service

logger = logging.getLogger(__name__)

SERVICE = "inference.GRPCInferenceService"

_OPEN = {"ServerLive", "ServerReady"}
"""What may be asked without a key."""

_LONGEST_NAME = 100
"""Of a model that is not there: it may be as long as the message."""

_STATUS = {
    401: grpc.StatusCode.UNAUTHENTICATED,
    404: grpc.StatusCode.NOT_FOUND,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    500: grpc.StatusCode.INTERNAL,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}
"""By HTTP status; all others are the request's fault."""

Answer = Callable[[Any, float], Awaitable[Any]]
"""A message, and the deadline in ``time.monotonic`` seconds, to the answer's message."""


class _Call:
    """What the access log tells of a call."""

    def __init__(self, name: str, request_id: str, peer: str) -> None:
        """``peer`` is as gRPC has it, such as ``ipv4:127.0.0.1:4711``."""
        self.began = time.monotonic()
        self.name = name
        self.path = f"/{SERVICE}/{name}"
        self.request_id = request_id
        address = unquote(peer).partition(":")[2].rpartition(":")[0]
        self.client = address.strip("[]") or None


class Rpc:
    """The methods of the protocol's service."""

    def __init__(self, service: Service, keys: Collection[bytes]) -> None:
        """``keys`` are digests of ``read_keys``; with none, everybody may ask."""
        self._service = service
        self._keys = keys
        self._ids = RequestIds()

    def handler(self) -> grpc.GenericRpcHandler:
        """What a gRPC server needs to answer them."""
        methods: dict[str, tuple[Answer, Any]] = {
            "ServerLive": (self._live, messages.Empty),
            "ServerReady": (self._ready, messages.Empty),
            "ServerMetadata": (self._server, messages.Empty),
            "RepositoryIndex": (self._index, messages.Empty),
            "ModelReady": (self._model_ready, messages.ModelRequest),
            "ModelMetadata": (self._metadata, messages.ModelRequest),
            "ModelConfig": (self._config, messages.ModelRequest),
            "ModelInfer": (self._infer, messages.ModelInferRequest),
        }
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                name: grpc.unary_unary_rpc_method_handler(
                    partial(self._traced, name, answer),
                    request_deserializer=kind.FromString,
                    response_serializer=lambda message: message.SerializeToString(),
                )
                for name, (answer, kind) in methods.items()
            },
        )

    async def _traced(self, name: str, answer: Answer, request: Any, context: Any) -> Any:
        """What ``answer`` gives, with a span for it unless it is a question that comes every few
        seconds."""
        if name in _OPEN:
            return await self._guarded(name, answer, request, context)
        with self._service.observer.tracing.call(SERVICE, name, context.invocation_metadata()):
            return await self._guarded(name, answer, request, context)

    async def _guarded(self, name: str, answer: Answer, request: Any, context: Any) -> Any:
        """What ``answer`` gives, or its error as gRPC tells errors."""
        sent = dict(context.invocation_metadata())
        call = _Call(name, self._ids.of(str(sent.get(HEADER.decode(), ""))), context.peer())
        context.set_trailing_metadata(((HEADER.decode(), call.request_id),))
        count = partial(self._count, call, request)
        try:
            if self._keys and name not in _OPEN:
                check_key(sent, self._keys)
            answered = await self._within_deadline(answer, request, context)
        except MillisightError as error:
            count(error.status, error=error.code)
            self._service.observer.rejected(error.code)
            status = _STATUS.get(error.status, grpc.StatusCode.INVALID_ARGUMENT)
            await context.abort(status, f"{error.message} {error.hint}".strip())
        except Exception:
            logger.exception("gRPC %s failed", name, extra={"request_id": call.request_id})
            count(MillisightError.status, error=MillisightError.code)
            await context.abort(
                grpc.StatusCode.INTERNAL, "Something went wrong inside the server; see its log."
            )
        count(200)
        return answered

    def _count(self, call: "_Call", request: Any, status: int, **fields: Any) -> None:
        """One answer, for the numbers and for the access log."""
        seconds = time.monotonic() - call.began
        self._service.observer.metrics.count_at(call.path, status, seconds)
        if not self._service.settings.access_log:
            return
        if model := getattr(request, "model_name", ""):
            fields["model"] = model[:_LONGEST_NAME]
        log_request(
            f"gRPC {call.path}",
            status,
            seconds,
            quiet=call.name in _OPEN,
            request_id=call.request_id,
            client=call.client,
            method="gRPC",
            path=call.path,
            bytes_in=request.ByteSize(),
            **fields,
        )

    async def _within_deadline(self, answer: Answer, request: Any, context: Any) -> Any:
        seconds = self._service.settings.deadline_ms / 1e3
        if (own := context.time_remaining()) is not None:
            seconds = min(seconds, own)
        try:
            async with asyncio.timeout(seconds):
                return await answer(request, time.monotonic() + seconds)
        except TimeoutError as error:
            raise DeadlineExceeded(
                "The answer was not ready before the deadline.",
                hint="Try again when the server is less busy, or allow more time.",
            ) from error

    async def _live(self, _request: Any, _deadline: float) -> Any:
        return messages.ServerLiveResponse(live=self._service.alive)

    async def _ready(self, _request: Any, _deadline: float) -> Any:
        return messages.ServerReadyResponse(ready=self._service.is_ready)

    async def _server(self, _request: Any, _deadline: float) -> Any:
        return messages.ServerMetadataResponse(**model.server())

    async def _index(self, _request: Any, _deadline: float) -> Any:
        models = [model.index_entry(served) for served in self._service.models.values()]
        return messages.RepositoryIndexResponse(models=models)

    async def _model_ready(self, request: Any, _deadline: float) -> Any:
        return messages.ModelReadyResponse(ready=self._found(request.name, request.version).answers)

    async def _metadata(self, request: Any, _deadline: float) -> Any:
        served = self._found(request.name, request.version)
        return messages.ModelMetadataResponse(**model.metadata(served))

    async def _config(self, request: Any, _deadline: float) -> Any:
        served = self._found(request.name, request.version)
        config = model.config(served, self._service.settings)
        return messages.ModelConfigResponse(config=config)

    async def _infer(self, request: Any, deadline: float) -> Any:
        find = partial(self._ready_one, request.model_name, request.model_version)
        find()
        most = most_pictures(self._service.settings)
        asked = await aside(_slow_bytes(request), lambda: _asked(request, most))
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

    def _found(self, name: str, version: str) -> Served:
        model.check_version(version)
        return self._service.find(name)

    def _ready_one(self, name: str, version: str) -> Served:
        return self._service.ready_one(self._found(name, version).name)


def _slow_bytes(request: Any) -> int:
    """How much of ``request`` is slow to read: all but a raw tensor."""
    size: int = request.ByteSize()
    return size - sum(map(len, request.raw_input_contents[:1]))


def _asked(request: Any, most: int) -> Asked:
    """What ``request``, a ``ModelInferRequest``, asks for. Raises ``BadRequest``."""
    model.check_tensors(request.inputs, request.outputs)
    how = _parameters(request.outputs[0].parameters) if request.outputs else {}
    return Asked(
        pictures=_pictures(request.inputs[0], request.raw_input_contents, most),
        output=wanted(how.get("classification"), binary=True),
        id=request.id,
        timeout=timeout_of(_parameters(request.parameters).get("timeout")),
    )


def _pictures(tensor: Any, raw: Collection[bytes], most: int) -> Any:
    shape = list(tensor.shape)
    if len(raw) > 1 or (raw and tensor.HasField("contents")):
        raise BadRequest(
            f"Input {tensor.name!r} must have either contents, or one of raw_input_contents."
        )
    for one in raw:
        return unpack(tensor.datatype, shape, one, most=most)
    contents = tensor.contents
    pixels = tensor.datatype == "UINT8"
    values = contents.uint_contents if pixels else contents.bytes_contents
    return from_values(tensor.datatype, shape, values, most=most)


def _parameters(given: Mapping[str, Any]) -> dict[str, Any]:
    """Their values by name, whatever kind they are of."""
    return {
        name: getattr(one, kind)
        for name, one in given.items()
        if (kind := one.WhichOneof("parameter_choice"))
    }
