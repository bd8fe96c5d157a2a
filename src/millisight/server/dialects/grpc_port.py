"""The port that gRPC is spoken on, beside that of HTTP, where the settings name one."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from millisight.errors import ExtraMissing
from millisight.server.door import read_keys
from millisight.server.service import Service
from millisight.settings import Settings

_AROUND_PICTURES = 65_536
"""Bytes that names and shapes may add to the pictures of the largest request."""


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

    Several processes may have the one port: the kernel spreads connections over them. Those that
    are open at the end have as long as any request may take.
    """
    settings = service.settings
    if not settings.grpc_port:
        yield
        return
    import grpc.aio

    from millisight.server.dialects.rpc import Rpc

    server = grpc.aio.server(
        options=[
            ("grpc.so_reuseport", 1),
            (
                "grpc.max_receive_message_length",
                int(settings.max_upload_mb * 1e6) + _AROUND_PICTURES,
            ),
        ]
    )
    server.add_generic_rpc_handlers([Rpc(service, read_keys(settings)).handler()])
    server.add_insecure_port(address(settings.host, settings.grpc_port))
    await server.start()
    try:
        yield
    finally:
        await server.stop(settings.deadline_ms / 1e3)


def address(host: str, port: int) -> str:
    """Both as one text."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
