"""HTTP/2 by hand: what no gRPC client would send."""

import socket
import struct
import zlib
from collections.abc import Mapping
from functools import cache
from urllib.parse import urlsplit

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _SETTINGS = 0, 1, 4
_END_HEADERS = 4

FIRST_WINDOW = 65_535
"""Bytes of data that a server takes before it says that it takes more."""

_LARGEST_FRAME = 16_384


def opened(url: str, method: str, headers: Mapping[str, str] | None = None) -> socket.socket:
    """A connection on which ``method`` has been asked for, and no message sent. Characters of
    ``headers`` are bytes there."""
    where = urlsplit(f"//{url}")
    connection = socket.create_connection((where.hostname or "", where.port or 0), timeout=30)
    fields = {
        ":method": "POST",
        ":scheme": "http",
        ":path": method,
        ":authority": url,
        "te": "trailers",
        "content-type": "application/grpc",
        **(headers or {}),
    }
    # Literals that enter no table, whose lengths are one byte.
    block = b"".join(
        b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode("latin-1")
        for name, value in fields.items()
    )
    frames = _frame(_SETTINGS, 0, 0, b"") + _frame(_HEADERS, _END_HEADERS, 1, block)
    connection.sendall(_PREFACE + frames)
    return connection


def send(connection: socket.socket, data: bytes) -> None:
    """A part of a message, no longer than ``FIRST_WINDOW`` all together."""
    for at in range(0, len(data), _LARGEST_FRAME):
        connection.sendall(_frame(_DATA, 0, 1, data[at : at + _LARGEST_FRAME]))


def message(content: bytes, *, packed: bool = False) -> bytes:
    """As gRPC puts it into data."""
    return struct.pack(">BI", packed, len(content)) + content


@cache
def bomb() -> bytes:
    """A message of 60 MB as gzip packs it, which ``FIRST_WINDOW`` has room for."""
    packer = zlib.compressobj(9, wbits=zlib.MAX_WBITS | 16)
    piece = bytes(1_000_000)
    packed = b"".join(packer.compress(piece) for _ in range(60)) + packer.flush()
    framed = message(packed, packed=True)
    assert len(framed) < FIRST_WINDOW
    return framed


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload
