"""A client that goes while its request is worked on."""

import asyncio
import math
from typing import Any

import pytest
from starlette.requests import ClientDisconnect, Request

from millisight.server.intake import Patience
from millisight.server.protocol import LEAVING, _forsake


class Cycle:
    """What is known of a request to who hears that its client has gone."""

    def __init__(self) -> None:
        self.scope: dict[str, Any] = {"type": "http", "headers": [], "state": {}}
        self.message_event = asyncio.Event()
        self.response_complete = False
        self.disconnected = False


async def work(cycle: Cycle, *, ends: float, goes: float) -> Patience:
    """Work for a second that may take until ``ends``, of a client that ``goes``, in seconds."""
    loop = asyncio.get_running_loop()
    faults: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: faults.append(context))
    try:
        async with asyncio.timeout(ends) as timeout:
            # Right after the end, before the work has heard of it.
            at = math.nextafter(timeout.when() or 0.0, math.inf)
            loop.call_at(at if goes == ends else loop.time() + goes, _forsake, cycle)
            patience = Patience(Request(cycle.scope), timeout, ends)
            with patience.watching():
                await asyncio.sleep(1)
    except TimeoutError:
        assert faults == []
        return patience
    pytest.fail("it went on")


@pytest.mark.parametrize(("ends", "goes"), [(30.0, 0.01), (0.05, 0.05), (0.01, 0.9)])
def test_work_ends_once_the_client_has_gone_or_the_time_is_over(ends: float, goes: float) -> None:
    async def run() -> tuple[Patience, Cycle]:
        cycle = Cycle()
        return await asyncio.wait_for(work(cycle, ends=ends, goes=goes), 0.8), cycle

    patience, cycle = asyncio.run(run())
    assert patience.gone == (goes < 0.5)
    assert cycle.disconnected == patience.gone


def test_no_work_begins_for_who_has_gone() -> None:
    async def run() -> None:
        cycle = Cycle()
        _forsake(cycle)
        async with asyncio.timeout(5) as timeout:
            with Patience(Request(cycle.scope), timeout, 5.0).watching():
                await asyncio.sleep(0)
                pytest.fail("work has begun")

    with pytest.raises(ClientDisconnect):
        asyncio.run(run())


def test_once_answered_nobody_is_told() -> None:
    async def run() -> dict[str, Any]:
        cycle = Cycle()
        async with asyncio.timeout(5) as timeout:
            with Patience(Request(cycle.scope), timeout, 5.0).watching():
                assert LEAVING in cycle.scope["state"]
            _forsake(cycle)
            await asyncio.sleep(0.01)
        state: dict[str, Any] = cycle.scope["state"]
        return state

    assert asyncio.run(run()) == {LEAVING: None}
