"""What SIGHUP means: the terminal is gone, or somebody asks for the models to be read again."""

import asyncio
import logging
import os
import signal
import threading

from millisight.errors import MillisightError
from millisight.server.service import Service

logger = logging.getLogger(__name__)


class Terminal:
    """The terminal that this process was started from, if there was one."""

    def __init__(self) -> None:
        """Looks whether there is one now."""
        self._had = _there_is_one()

    @property
    def gone(self) -> bool:
        """Whether there was one and now there is none."""
        return self._had and not _there_is_one()


def reload_on_hangup(service: Service) -> None:
    """Have SIGHUP exchange the models of this process, or end it with its terminal.

    Where SIGHUP is ignored, as under nohup, it stays so. Outside the main thread, which alone may
    say what signals do, nothing changes.
    """
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    ):
        return
    loop = asyncio.get_running_loop()
    terminal = Terminal()
    under_way: set[asyncio.Task[None]] = set()

    def on_hangup() -> None:
        if terminal.gone:
            signal.raise_signal(signal.SIGTERM)
            return
        # The loop itself keeps no hold of a task.
        task = loop.create_task(_reload(service))
        under_way.add(task)
        task.add_done_callback(under_way.discard)

    loop.add_signal_handler(signal.SIGHUP, on_hangup)


async def _reload(service: Service) -> None:
    try:
        await service.reload()
    except MillisightError as error:
        say_refused(error)


def say_refused(error: MillisightError) -> None:
    """Log why nothing was exchanged; where it happened is of no use to whoever reads that."""
    logger.error("%s %s What was served goes on.", error.message, error.hint)


def _there_is_one() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True
