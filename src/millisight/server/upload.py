"""The bytes of the picture out of a request: a multipart field, or the body itself."""

import re
from collections.abc import AsyncGenerator, Sequence

from fastapi import Request
from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from millisight.budget import Share
from millisight.errors import BadRequest, UploadTooLarge

FIELD = "file"

_MULTIPART_OVERHEAD = 10_000
"""Bytes that boundaries and part headers may add to a picture of the largest size."""


_LONGEST_TYPE = 1024
"""Bytes of a form's Content-Type; it holds a boundary of 70 at most, and nothing else of use."""

_BOUNDARY = re.compile(rb'[^"\\\x00-\x1f\x7f-\xff]+')


class _InMemoryParser(MultiPartParser):
    """Keeps files in memory: they are bounded, and the disk may be read-only."""

    spool_max_size = 0  # tempfile's word for "never write to disk"
    complete = False

    def on_part_end(self) -> None:
        if self._current_part.file is None:
            # Nobody looks at it, so there is no need to know what it says.
            self._current_part.data.clear()
        super().on_part_end()

    def on_end(self) -> None:
        self.complete = True

    async def parse(self) -> FormData:
        form = await super().parse()
        if not self.complete:
            # A part without its end is not in the form, so the form would not close it.
            for file in self._files_to_close_on_error:
                file.close()
            raise MultiPartException("it ends before its last boundary")
        return form


async def read_picture(
    request: Request, *, max_bytes: int, fields: Sequence[str] = (FIELD,)
) -> bytes:
    """The picture in ``request``, at most ``max_bytes`` long; in a form, the first of ``fields``
    that is there.

    Raises ``UploadTooLarge`` as soon as more than that is announced or has arrived, ``Overloaded``
    where all requests together send more than there is room for, and ``BadRequest`` for an empty
    body, a missing field or broken multipart.
    """
    if request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        picture = await _read_field(request, max_bytes, fields)
    else:
        picture = await read_body(request, max_bytes=max_bytes)
    if not picture:
        raise BadRequest(
            "The request has no picture: its body is empty.",
            hint=f"Send the picture as the body, or as multipart field {fields[0]!r}.",
        )
    return picture


async def _read_field(request: Request, max_bytes: int, fields: Sequence[str]) -> bytes:
    stream = _limited(request, max_bytes + _MULTIPART_OVERHEAD, max_bytes)
    try:
        headers = _boundary_alone(request.headers["content-type"])
        form = await _InMemoryParser(headers, stream, max_files=1, max_fields=16).parse()
    except (MultiPartException, KeyError, ValueError) as error:
        reason = str(error).rstrip(".")
        raise BadRequest(f"The multipart body cannot be read: {reason}.") from error
    try:
        file = next((form[field] for field in fields if field in form), None)
        if not isinstance(file, UploadFile):
            raise BadRequest(
                f"The form has no file in field {fields[0]!r}.",
                hint=f"With curl: -F {fields[0]}=@photo.jpg",
            )
        picture = await file.read()
    finally:
        await form.close()
    if len(picture) > max_bytes:
        raise too_large(max_bytes)
    return picture


def _boundary_alone(content_type: str) -> Headers:
    """The form's type without the character set that it names: Python would look for a module of
    that name, remember for ever that there is none, and decode texts by it, which may take hours.

    Raises ``MultiPartException``.
    """
    if len(content_type) > _LONGEST_TYPE:
        raise MultiPartException("its Content-Type is too long")
    _, parameters = parse_options_header(content_type)
    boundary = parameters.get(b"boundary", b"")
    if not _BOUNDARY.fullmatch(boundary):
        raise MultiPartException("its Content-Type names no boundary")
    return Headers({"content-type": f'multipart/form-data; boundary="{boundary.decode()}"'})


async def read_body(request: Request, *, max_bytes: int) -> bytes:
    """The whole body, whatever it is. Raises ``UploadTooLarge`` and ``Overloaded`` as
    ``read_picture`` does."""
    return b"".join([chunk async for chunk in _limited(request, max_bytes, max_bytes)])


async def _limited(request: Request, stop_at: int, max_bytes: int) -> AsyncGenerator[bytes, None]:
    """The body as it arrives, counted in the budget of all bodies, up to ``stop_at`` bytes;
    ``max_bytes`` is what the error names."""
    share: Share = request.state.body
    announced = request.headers.get("content-length", "")
    if announced.isdecimal():
        if int(announced) > stop_at:
            raise too_large(max_bytes)
        share.check(int(announced))
    arrived = 0
    async for chunk in request.stream():
        arrived += len(chunk)
        if arrived > stop_at:
            raise too_large(max_bytes)
        share.take(len(chunk))
        yield chunk


def too_large(max_bytes: int) -> UploadTooLarge:
    """What to raise for a body of more bytes."""
    return UploadTooLarge(
        f"The upload is larger than {max_bytes / 1e6:g} MB.",
        hint="Send a smaller picture; the network looks at a few hundred pixels a side anyway.",
    )
