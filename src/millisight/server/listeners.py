"""The sockets that listen: one for each worker, all on one address.

The supervisor keeps them open for as long as the server lives. So their number never changes, which
would reset connections that are being made, and what waits at the socket of a worker that died is
answered by the next one.
"""

import contextlib
import socket
from collections.abc import Iterator

from millisight.errors import SettingsError

BACKLOG = 2048
"""Connections that may wait to be accepted, for each worker; what uvicorn takes by itself."""


def listen(host: str, port: int, count: int) -> list[socket.socket]:
    """``count`` sockets on one address, over which the kernel spreads new connections.

    With one socket for all, whichever worker wakes first takes every connection that waits.
    Raises ``SettingsError``.
    """
    with (
        contextlib.ExitStack() as opened,
        _refusal(host, port, "--port; --port 0 takes a free one"),
    ):
        listeners: list[socket.socket] = []
        for _ in range(count):
            one = _bind(host, port, beside_others=bool(listeners))
            listeners.append(opened.enter_context(one))
            port = one.getsockname()[1]
            if count > 1:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            one.listen(BACKLOG)
        opened.pop_all()
    return listeners


def reserve(host: str, port: int, option: str) -> socket.socket:
    """A socket that holds the port for those who will listen on it with ``SO_REUSEPORT``.

    It gets no connections itself. Raises ``SettingsError``, with the ``option`` to change.
    """
    with _refusal(host, port, option):
        holder = _bind(host, port, beside_others=False)
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    return holder


@contextlib.contextmanager
def _refusal(host: str, port: int, option: str) -> Iterator[None]:
    try:
        yield
    # A name that no machine can have, such as "a..b", is a UnicodeError.
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "This is not an address"
        raise SettingsError(
            f"Cannot listen on {host} port {port}: {reason}.",
            hint=f"Choose another with {option}.",
        ) from error


def _bind(host: str, port: int, *, beside_others: bool) -> socket.socket:
    """A socket bound to the address; only ``beside_others`` may it be in use already.

    The first is bound without that right, so that a server which runs already is noticed.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if beside_others:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((host, port))
    except (OSError, UnicodeError):
        listener.close()
        raise
    return listener
