"""A process beside this one that is asked through a pipe."""

import contextlib
import multiprocessing
import signal
from collections.abc import Callable, Iterator
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from typing import Any

from millisight.errors import MillisightError, ProcessDied

_PATIENCE = 10
"""Seconds for a process to end by itself; one that compiles a large network may need some."""


class Companion:
    """One process, seen from here."""

    def __init__(self, work: Callable[[Connection], None]) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, there = context.Pipe()
        self._process = context.Process(target=work, args=(there,), daemon=True)
        # A Ctrl-C never reaches it: it ends when this end of the pipe is closed.
        with no_interrupts():
            self._process.start()
        there.close()

    def send(self, command: Any) -> None:
        """Ask for something; ``receive`` waits for its answers."""
        # If it has died, receive says so.
        with contextlib.suppress(ConnectionError):
            self._pipe.send(command)

    def receive(self) -> Any:
        """The next thing it has to say. Raises what went wrong there."""
        try:
            answer = self._pipe.recv()
        except (EOFError, ConnectionError) as error:
            self._process.join(_PATIENCE)
            raise ProcessDied(
                f"A process that was measured has died (status {self._process.exitcode}).",
                hint="If memory ran out, end other programs or take a smaller model.",
            ) from error
        if isinstance(answer, MillisightError):
            raise answer
        return answer

    def hang_up(self) -> None:
        """Let it end."""
        self._pipe.close()

    def end(self) -> None:
        """See to it that it has ended."""
        self._process.join(_PATIENCE)
        self._process.kill()
        self._process.join()


@contextlib.contextmanager
def no_interrupts() -> Iterator[None]:
    """Keep Ctrl-C from workers that are still being imported; it would end in a traceback each.

    A terminal sends it to them too. They inherit the blocked signal and let it in once they can
    drain; here it arrives after the block.
    """
    # Its own start would let the signal in again.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
