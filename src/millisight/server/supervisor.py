"""The process above the workers: uvicorn's supervisor, with models that can be exchanged.

uvicorn's starts the workers, replaces one that dies and stops them all. What is added here: when
all are ready, that those which die before they could answer end the server, and that the workers
change over to new bundles one by one.
"""

import logging
import signal
import socket
from collections.abc import Callable, Mapping

import uvicorn
from uvicorn.supervisors import Multiprocess
from uvicorn.supervisors.multiprocess import Process

from millisight.bundle import Bundle
from millisight.companion import no_interrupts
from millisight.errors import MillisightError
from millisight.server.hangup import Terminal, say_refused
from millisight.server.metrics import forget_worker
from millisight.server.service import describe

logger = logging.getLogger(__name__)

MOST_STILLBORN = 3
"""Workers in a row that die before they could answer; then the server gives up."""

_LOADING_SECONDS = 60.0
"""A worker that does not answer by then will not."""

Configure = Callable[[Mapping[str, Bundle], int | None], uvicorn.Config]
"""The configuration of a worker that serves bundles by name; with a number, of one that is to
have it."""


class Supervisor(Multiprocess):
    """uvicorn's, which also knows which workers answer: see the top of this module."""

    def __init__(
        self,
        config: Configure,
        bundles: Mapping[str, Bundle],
        sockets: list[socket.socket],
        *,
        renew: Callable[[], Mapping[str, Bundle]],
        number_of: Callable[[int], int | None],
        on_ready: Callable[[], None],
    ) -> None:
        """``config`` makes workers' configurations, at first for ``bundles``; ``renew`` reads
        those that are there now; ``number_of`` tells the number of the worker with a process id."""
        hangup = signal.getsignal(signal.SIGHUP)
        super().__init__(config(bundles, None), sockets)
        if hangup is signal.SIG_IGN:
            # So nohup has it.
            signal.signal(signal.SIGHUP, hangup)
        self._configure = config
        self._renew = renew
        self._number_of = number_of
        self._terminal = Terminal()
        self._on_ready = on_ready
        self._ready = False
        self._answering: set[Process] = set()
        self._stillborn = 0
        self.failed: Process | None = None
        """The last of those that died before they could answer, if that ended the server."""

    def init_processes(self) -> None:
        """Start the workers."""
        with no_interrupts():
            super().init_processes()
        self._let_go()

    def keep_subprocess_alive(self) -> None:
        """Replace what has died; called twice a second."""
        before = list(self.processes)
        with no_interrupts():
            super().keep_subprocess_alive()
        self._let_go()
        for old, new in zip(before, self.processes, strict=True):
            if new is not old:
                self._replaced(old, new)
        if begun := [one for one in self.processes if self._begins(one)]:
            self._stillborn = 0
            self._answering.update(begun)
        if not self._ready and self._answering.issuperset(self.processes):
            self._ready = True
            self._on_ready()

    def _begins(self, process: Process) -> bool:
        return process not in self._answering and process.is_ready()

    def _replaced(self, old: Process, new: Process) -> None:
        _forget(old)
        if old in self._answering:
            self._answering.remove(old)
        # A signal that waits to be handled may have ended the workers too.
        elif not self.signal_queue:
            self._stillborn += 1
        logger.warning("Worker %d has died; worker %d takes its place", old.pid, new.pid)
        if self._stillborn >= MOST_STILLBORN:
            # So it would go on for ever.
            self.failed = old
            self.should_exit.set()

    def _let_go(self) -> None:
        """Close the workers' ends of the pipes here, or waiting for the dead would take so long."""
        for process in self.processes:
            process.child_conn.close()

    def terminate_all(self) -> None:
        """Let the workers drain; connections that come now are refused, not left to wait."""
        logger.info("Stopping; what was begun is answered first")
        for listener in self.sockets:
            listener.close()
        super().terminate_all()

    def reload(self) -> None:
        """Change over to the bundles that are there now, worker by worker.

        Each answers until its successor does, on the same socket: no connection is refused. What
        cannot be loaded changes nothing.
        """
        try:
            bundles = self._renew()
        except MillisightError as error:
            say_refused(error)
            return
        for index, old in enumerate(self.processes):
            if {signal.SIGTERM, signal.SIGINT, signal.SIGQUIT} & set(self.signal_queue):
                return
            number = None if old.pid is None else self._number_of(old.pid)
            new = Process(self._configure(bundles, number), self.sockets)
            with no_interrupts():
                new.start()
            if not new.wait_until_ready(_LOADING_SECONDS, self.should_exit):
                new.kill()
                new.join()
                logger.error("The new models cannot be loaded. The old ones go on.")
                return
            # From now on the old bundles may not be there any more.
            self.config = self._configure(bundles, None)
            old.terminate()
            old.join()
            _forget(old)
            self.processes[index] = new
            self._answering.discard(old)
            self._answering.add(new)
        self._let_go()
        logger.info("Every worker serves %s now", describe(bundles))

    def handle_usr1(self) -> None:
        """A worker was asked for it."""
        self.reload()

    def handle_hup(self) -> None:
        """Stop if the terminal is gone, and the workers have ended with it; else reload."""
        if self._terminal.gone:
            self.handle_term()
        else:
            self.reload()

    def handle_quit(self) -> None:
        """Stop: Ctrl-\\ has ended the workers already."""
        self.handle_term()

    def handle_ttin(self) -> None:
        """Nothing: the cores are shared out among a fixed number of workers."""

    def handle_ttou(self) -> None:
        """Nothing, as above."""


def _forget(process: Process) -> None:
    if process.pid is not None:
        forget_worker(process.pid)
