"""What uvicorn's cycle writes, with ``OneWrite`` in between, to a transport that takes it down."""

import asyncio
import gc
import logging
import weakref
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from starlette.responses import Response, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from millisight.server.onewrite import OneWrite


class Transport:
    """Takes down what it is told to do."""

    def __init__(self) -> None:
        self.told: list[bytes] = []

    def write(self, data: bytes) -> None:
        assert not self.is_closing()
        self.told.append(data)

    def close(self) -> None:
        self.told.append(b"closed")

    def is_closing(self) -> bool:
        return b"closed" in self.told


def cycle_for(transport: Any, method: str, *, waits: bool, keep_alive: bool) -> Any:
    cycle = RequestResponseCycle(
        scope={"type": "http", "method": method, "path": "/", "headers": []},  # type: ignore[typeddict-item]
        transport=transport,
        flow=FlowControl(transport),
        logger=logging.getLogger("test"),
        access_logger=logging.getLogger("test"),
        access_log=False,
        default_headers=[],
        message_event=asyncio.Event(),
        expect_100_continue=waits,
        keep_alive=keep_alive,
        on_response=lambda: None,
    )
    cycle.transport = OneWrite(cycle, transport)
    cycle.on_response = cycle.transport.flush
    cycle.more_body = False
    cycle.message_event.set()
    return cycle


def told(
    app: ASGIApp, method: str = "GET", *, waits: bool = False, keep_alive: bool = True
) -> list[bytes]:
    transport = Transport()

    async def run() -> None:
        cycle = cycle_for(transport, method, waits=waits, keep_alive=keep_alive)
        await cycle.run_asgi(app)

    asyncio.run(run())
    return transport.told


def test_a_short_answer_is_one_write() -> None:
    (whole,) = told(Response("good"))
    assert whole.startswith(b"HTTP/1.1 200 OK\r\n")
    assert whole.endswith(b"\r\n\r\ngood")


@pytest.mark.parametrize("status", [204, 304])
def test_a_head_that_nothing_follows_is_written(status: int) -> None:
    (head,) = told(Response(status_code=status))
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    assert head.endswith(b"\r\n\r\n")


def test_the_head_of_head_is_written_once_it_is_clear_that_no_body_comes() -> None:
    assert [one.endswith(b"\r\n\r\n") for one in told(Response("good"), "HEAD")] == [True]
    head, closed = told(Response("good"), "HEAD", keep_alive=False)
    assert head.endswith(b"connection: close\r\n\r\n")
    assert closed == b"closed"


def test_of_a_long_answer_the_first_piece_comes_with_the_head() -> None:
    first, second, last = told(StreamingResponse(iter(["one", "two"])))
    assert first.startswith(b"HTTP/1.1 200 OK\r\n")
    assert first.endswith(b"3\r\none\r\n")
    assert (second, last) == (b"3\r\ntwo\r\n", b"0\r\n\r\n")


async def _breaks_off(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001
    await send({"type": "http.response.start", "status": 200, "headers": []})
    raise ValueError("broken")


def test_an_answer_that_breaks_off_is_seen_to(caplog: pytest.LogCaptureFixture) -> None:
    head, closed = told(_breaks_off)
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert closed == b"closed"
    assert "Exception in ASGI application" in caplog.text


async def _reads(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await Response("good")(scope, receive, send)


def test_who_waits_to_be_told_to_go_on_is_told_before_the_answer() -> None:
    go_on, whole = told(_reads, "POST", waits=True)
    assert go_on == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert whole.endswith(b"good")


def test_nothing_is_written_to_who_has_gone() -> None:
    async def leaves(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001
        await send({"type": "http.response.start", "status": 200, "headers": []})
        transport.close()

    transport = Transport()

    async def run() -> None:
        cycle = cycle_for(transport, "GET", waits=False, keep_alive=True)
        await cycle.run_asgi(leaves)

    asyncio.run(run())
    assert set(transport.told) == {b"closed"}


def test_a_request_is_gone_with_its_answer() -> None:
    async def run(app: Callable[..., Awaitable[None]]) -> "weakref.ref[Any]":
        cycle = cycle_for(Transport(), "GET", waits=False, keep_alive=True)
        await cycle.run_asgi(app)
        return weakref.ref(cycle)

    gc.disable()
    try:
        assert asyncio.run(run(Response("good")))() is None
    finally:
        gc.enable()
