"""Any body comes out of a request as the picture in it, or as an error of ours: ``make fuzz``.

An input is the header Content-Type, a line; Content-Length, a line that may be empty; a byte that
says in what pieces the body comes; and the body.
"""

import sys
from collections.abc import Coroutine, Iterator

from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

from millisight.budget import ByteBudget
from millisight.errors import MillisightError
from millisight.server.upload import read_picture
from tests.fuzz.runner import main

MAX_BYTES = 1000

_FORM = b"multipart/form-data; boundary=x\n\n"
_PART = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n'
_NOTE = b'--x\r\nContent-Disposition: form-data; name="note"\r\n\r\nmine\r\n'
_END = b"\r\n--x--\r\n"

_GONE = 0x80
"""Set in the byte that says in what pieces: the client goes away before the end."""

SEEDS = [
    b"image/png\n3\n\0abc",
    b"\n\n\1abc",
    b"image/png\n1001\n\0abc",
    b"image/png\n\n\x40" + bytes(MAX_BYTES + 1),
    b"image/png\n\n\x82abcdef",
    *(_FORM + pieces + _PART + b"\r\nabc" + _END for pieces in (b"\0", b"\1", b"\7", b"\x87")),
    _FORM + b"\0" + _NOTE + _PART + b"Content-Type: image/png\r\n\r\nabc" + _END,
    _FORM + b"\0" + _PART + b"\r\n" + bytes(MAX_BYTES + 1) + _END,
    _FORM + b"\0" + _NOTE + b"--x--\r\n",
    _FORM + b"\0" + _PART + b"\r\nabc",
    b'multipart/form-data; charset=utf-8; boundary="x"\n\n\0' + _PART + b"\r\nabc" + _END,
    b"multipart/form-data\n\n\0" + _PART + b"\r\nabc" + _END,
]

_BUDGET = ByteBudget(10 * MAX_BYTES)


def check(data: bytes) -> None:
    """Raise what ``read_picture`` raises, if that is no error of ours, and if it gives no picture
    or the pieces make a difference."""
    body, got = split(data)[1], outcome(data)
    if isinstance(got, bytes):
        assert 0 < len(got) <= MAX_BYTES
        assert got in body
    # What is too long may end in several ways, depending on what is seen first; and what comes
    # before the first boundary is skipped by python-multipart only if it is one piece with it.
    if len(body) <= MAX_BYTES and not body.startswith((b"\r", b"\n")):
        assert got == outcome(data, whole=True)


def outcome(data: bytes, *, whole: bool = False) -> bytes | type[Exception]:
    """The picture or the kind of error; with ``whole``, of a body that comes in one piece."""
    headers, body, size, gone = split(data)
    messages = _messages(body, len(body) if whole else size, gone=gone)

    async def receive() -> Message:
        return next(messages)

    request = Request({"type": "http", "method": "POST", "headers": headers}, receive)
    try:
        with _BUDGET.share() as request.state.body:
            return _at_once(read_picture(request, max_bytes=MAX_BYTES))
    except (MillisightError, ClientDisconnect) as error:
        return type(error)


def split(data: bytes) -> tuple[list[tuple[bytes, bytes]], bytes, int, bool]:
    """Headers, body, the size of its pieces, and whether the client goes away."""
    kind, _, rest = data.partition(b"\n")
    length, _, rest = rest.partition(b"\n")
    how, body = rest[:1] or b"\0", rest[1:]
    headers = [(b"content-type", kind)]
    if length:
        headers.append((b"content-length", length))
    return headers, body, how[0] & ~_GONE or len(body), bool(how[0] & _GONE)


def _messages(body: bytes, size: int, *, gone: bool) -> Iterator[Message]:
    for at in range(0, len(body), size or 1):
        yield {"type": "http.request", "body": body[at : at + size], "more_body": True}
    yield {"type": "http.disconnect"} if gone else {"type": "http.request", "body": b""}


def _at_once(coroutine: Coroutine[None, None, bytes]) -> bytes:
    """Its result, without an event loop: there is nothing to wait for, and no file to write to."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        picture: bytes = done.value
        return picture
    coroutine.close()
    raise AssertionError("it waited for something else than the body")


if __name__ == "__main__":
    sys.exit(main("multipart", SEEDS, check))
