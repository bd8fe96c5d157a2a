"""The port that gRPC is spoken on, beside that of HTTP, where the settings name one."""

import asyncio
import logging
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from types import FrameType
from typing import Any

from millisight.errors import ExtraMissing
from millisight.server.door import read_keys
from millisight.server.options import grpc_connections
from millisight.server.service import Service
from millisight.settings import Settings

_AROUND_PICTURES = 65_536
"""Bytes that names and shapes may add to the pictures of the largest request."""

_ON_THE_WAY = 0.5
"""The share of the budget of bodies that is for messages which have not arrived: how long one is,
gRPC tells when all of it is there."""

_UNASKED_BYTES = 262_144
"""What a request may send of its message before it is read. A prepared picture of 224 × 224 comes
in one go, and so do most photographs from the web; more waits until it is asked for."""

_BESIDE = 64
"""Requests that may be answered beside those whose message is read."""

_IDLE_MS = 60_000
"""A connection on which nobody asks for anything is closed after this; clients open it again."""

_TAKING = 0.2
"""Seconds from the signal to stop to the last request that is taken."""

_AGE_MS = 600_000
"""No connection is older: whoever holds one open without taking his answers is let go, and those
of clients that ask for days spread over the workers that are there."""


def check_installed(settings: Settings) -> None:
    """Raise ``ExtraMissing`` where gRPC is asked for and what it needs is not there."""
    if not settings.grpc_port:
        return
    try:
        import google.protobuf  # noqa: F401
        import grpc.aio  # noqa: F401
    except ImportError as error:
        raise ExtraMissing(
            "Answering over gRPC needs packages that are not installed.",
            hint="Install them with: pip install 'millisight[grpc]'",
        ) from error


@asynccontextmanager
async def grpc_server(service: Service) -> AsyncIterator[None]:
    """Answers over gRPC within, if the settings of ``service`` name a port for it.

    Several processes may have the one port: the kernel spreads connections over them. A moment
    after the signal that stops this process no more requests are taken; those that are under way
    then have as long as any request may take.
    """
    settings = service.settings
    if not settings.grpc_port:
        yield
        return
    message_bytes = int(settings.max_upload_mb * 1e6) + _AROUND_PICTURES
    part = int(_ON_THE_WAY * settings.max_bodies_mb * 1e6)
    arriving = max(1, part // message_bytes)
    server = _server(service, settings, message_bytes, arriving)
    told = asyncio.Event()
    # Where even one message is more, the others still have their half.
    with service.bodies.set_aside(min(part, arriving * message_bytes)):
        await server.start()
        stopping = asyncio.create_task(_stop(server, told, settings.deadline_ms / 1e3))
        try:
            with _when_told_to_stop(told.set):
                yield
        finally:
            told.set()
            await stopping


async def _stop(server: Any, told: asyncio.Event, seconds: float) -> None:
    """Let ``server`` end once ``told`` to, with so many seconds for what is under way."""
    await told.wait()
    # What has come, but was not taken by the loop yet, gRPC would cancel without an answer.
    await asyncio.sleep(_TAKING)
    await server.stop(seconds)


def _server(service: Service, settings: Settings, message_bytes: int, arriving: int) -> Any:
    import grpc.aio

    from millisight.server.dialects.rpc import Rpc

    logging.getLogger("grpc._cython.cygrpc").addFilter(_is_ours)
    # No more pictures could wait.
    most = settings.max_queue
    patience_ms = settings.deadline_ms
    server = grpc.aio.server(
        options=[
            ("grpc.so_reuseport", 1),
            ("grpc.max_receive_message_length", message_bytes),
            ("grpc.max_concurrent_streams", most),
            ("grpc.max_allowed_incoming_connections", grpc_connections()),
            ("grpc.http2.lookahead_bytes", _UNASKED_BYTES),
            # Else that would grow with the network.
            ("grpc.http2.bdp_probe", 0),
            ("grpc.server_handshake_timeout_ms", patience_ms),
            ("grpc.max_connection_idle_ms", _IDLE_MS),
            ("grpc.max_connection_age_ms", _AGE_MS),
            ("grpc.max_connection_age_grace_ms", patience_ms),
        ],
        # Those that ask for health and those that are refused come on top; they take no time,
        # unless a client does not take its answer.
        maximum_concurrent_rpcs=most + _BESIDE,
    )
    server.add_generic_rpc_handlers(
        [Rpc(service, read_keys(settings), most=most, arriving=arriving).handler()]
    )
    server.add_insecure_port(address(settings.host, settings.grpc_port))
    return server


def _is_ours(record: logging.LogRecord) -> bool:
    """Not what gRPC says, twice and with a traceback, of metadata that is no text: it would show
    secrets, and fill the log for anybody."""
    return not str(record.msg).startswith("Invalid encoding")


@contextmanager
def _when_told_to_stop(stop: Callable[[], None]) -> Iterator[None]:
    """Call ``stop`` with the signal that ends this process: the app hears of that only when
    HTTP has drained. Outside the main thread, which alone may say what signals do, nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    before = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)}

    def on_signal(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(stop)
        handler = before[signal.Signals(number)]
        if callable(handler):
            handler(number, frame)

    ours = [one for one, handler in before.items() if callable(handler)]
    for one in ours:
        signal.signal(one, on_signal)
    try:
        yield
    finally:
        for one in ours:
            signal.signal(one, before[one])


def address(host: str, port: int) -> str:
    """Both as one text."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
