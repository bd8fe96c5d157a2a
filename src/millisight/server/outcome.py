"""Waiting for a computation that others wait for too."""

import asyncio
import contextlib
from concurrent.futures import Future
from typing import TypeVar

Answer = TypeVar("Answer")


async def outcome(computation: "Future[Answer]") -> Answer:
    """What ``asyncio.wrap_future`` gives, but cancelling this cancels nothing."""
    loop = asyncio.get_running_loop()
    done = loop.create_future()

    def wake(_: "Future[Answer]") -> None:
        # The loop is closed if the server has gone meanwhile; then nobody waits.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(_release, done)

    computation.add_done_callback(wake)
    await done
    return computation.result()


def _release(done: "asyncio.Future[None]") -> None:
    if not done.done():
        done.set_result(None)
