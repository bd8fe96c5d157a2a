"""Work that would hold up the event loop, done beside it."""

import asyncio
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_AT_ONCE = 65_536
"""Bytes of JSON or protobuf that are read or written at once. More would hold up other requests."""

NUMBER_BYTES = 14
"""What one probability takes in JSON."""

Done = TypeVar("Done")


async def aside(size: int, work: Callable[[], Done]) -> Done:
    """What ``work`` makes of ``size`` bytes of JSON or protobuf, or makes as JSON; of many, in a
    thread, one after the other: lists may take twenty times the memory of their text."""
    if size <= _AT_ONCE:
        return work()
    # In a list, because the thread's queue keeps what was cancelled until its turn would come.
    once = [work]

    def run() -> Done:
        return once.pop()()

    try:
        return await asyncio.get_running_loop().run_in_executor(_thread(), run)
    finally:
        once.clear()


@functools.cache
def _thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="lists")
