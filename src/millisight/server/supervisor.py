"""The process above the workers: uvicorn's supervisor, with models that can be exchanged.

uvicorn's starts the workers, replaces one that dies and stops them all. What is added here: when
all are ready, that those which die before they could answer end the server, and that the workers
change over to new bundles all together or not at all.
"""

import logging
import signal
import socket
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

import uvicorn
from uvicorn.supervisors import Multiprocess
from uvicorn.supervisors.multiprocess import Process

from millisight.bundle import Bundle
from millisight.companion import no_interrupts
from millisight.errors import MillisightError
from millisight.server.departed import Departed
from millisight.server.handed import Handed
from millisight.server.hangup import Terminal, say_refused
from millisight.server.service import describe

logger = logging.getLogger(__name__)

MOST_STILLBORN = 3
"""Workers in a row that die before they could answer; then the server gives up."""

_LOADING_SECONDS = 60.0
"""A worker that does not answer by then will not."""

_ENDING = 3
"""A worker has so many times what its requests may take to end, then it is killed."""

_LOOK_SECONDS = 0.5
"""How often somebody looks meanwhile whether the server is to stop."""

_PAUSE_SECONDS = 0.05
"""Between two looks whether a worker answers, if it says that it does not."""

HandedBundles = Handed[Mapping[str, Bundle]]

Configure = Callable[[HandedBundles, int | None], uvicorn.Config]
"""The configuration of a worker that serves bundles by name; with a number, of one that is to
have it."""


class Supervisor(Multiprocess):
    """uvicorn's, which also knows which workers answer: see the top of this module."""

    def __init__(
        self,
        config: Configure,
        bundles: HandedBundles,
        sockets: list[socket.socket],
        *,
        renew: Callable[[], Mapping[str, Bundle]],
        number_of: Callable[[int], int | None],
        departed: Departed,
        on_ready: Callable[[], None],
    ) -> None:
        """``config`` makes workers' configurations, at first for ``bundles``; ``renew`` reads
        those that are there now; ``number_of`` tells the number of the worker with a process id;
        ``departed`` is told which of them are gone."""
        hangup = signal.getsignal(signal.SIGHUP)
        super().__init__(config(bundles, None), sockets)
        if hangup is signal.SIG_IGN:
            # So nohup has it.
            signal.signal(signal.SIGHUP, hangup)
        self._configure = config
        self._renew = renew
        self._number_of = number_of
        self._departed = departed
        self._terminal = Terminal()
        self._on_ready = on_ready
        self._ready = False
        self._answering: set[Process] = set()
        self._leaving: list[Process] = []
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
        self._departed.fold()
        if begun := [one for one in self.processes if self._begins(one)]:
            self._stillborn = 0
            self._answering.update(begun)
        if not self._ready and self._answering.issuperset(self.processes):
            self._ready = True
            self._on_ready()

    def _begins(self, process: Process) -> bool:
        return process not in self._answering and process.is_ready()

    def _replaced(self, old: Process, new: Process) -> None:
        self._forget(old)
        if new.pid is not None:
            self._departed.came(new.pid)
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

    def _forget(self, process: Process) -> None:
        if process.pid is not None:
            self._departed.add(process.pid)

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

    def join_all(self) -> None:
        """Wait until all have ended, those too that were succeeded."""
        self._see_off([*self._leaving, *self.processes])

    def reload(self) -> None:
        """Change over to the bundles that are there now.

        Each worker answers until all their successors do, on the same sockets: no connection is
        refused. What one of them cannot load changes nothing.
        """
        try:
            renewed = self._renew()
            bundles: HandedBundles = Handed(renewed)
        except MillisightError as error:
            say_refused(error)
            return
        described = describe(renewed)
        del renewed
        successors = self._successors(bundles)
        if successors is None:
            return
        # From now on the old bundles may not be there any more.
        self.config = self._configure(bundles, None)
        self._leaving, self.processes = self.processes, successors
        self._answering = set(successors)
        self._let_go()
        for old in self._leaving:
            old.terminate()
        logger.info("Every worker serves %s now", described)
        self._see_off(self._leaving)

    def _successors(self, bundles: HandedBundles) -> list[Process] | None:
        """For each worker one that answers with ``bundles``; none if one of them cannot, or if the
        server is to stop."""
        begun: dict[int, Process] = {}
        up: set[int] = set()
        while len(up) < len(self.processes):
            for index in self._due(begun.keys(), idle=len(up) == len(begun)):
                begun[index] = self._succeed(self.processes[index], bundles)
                deadline = time.monotonic() + _LOADING_SECONDS
            time.sleep(_PAUSE_SECONDS)
            up |= {index for index in begun.keys() - up if begun[index].is_ready(_LOOK_SECONDS)}
            coming = [begun[index] for index in begun.keys() - up]
            failed = coming and (
                time.monotonic() > deadline or not all(one.process.is_alive() for one in coming)
            )
            if failed or self._is_to_stop():
                if failed:
                    logger.error("The new models cannot be loaded. The old ones go on.")
                self._give_up([begun[index] for index in up], coming)
                return None
        return [begun[index] for index in sorted(begun)]

    def _give_up(self, answering: Iterable[Process], coming: Iterable[Process]) -> None:
        """End successors: those that answer may have been asked something, the others not."""
        for one in coming:
            one.process.kill()
            one.process.join()
            self._forget(one)
        self._leaving = list(answering)
        for one in self._leaving:
            one.terminate()
        self._see_off(self._leaving)

    def _due(self, begun: Collection[int], *, idle: bool) -> list[int]:
        """The workers whose successors are to begin: those that have died, and when it is ``idle``
        one more, for each takes the cores of others while it loads."""
        left = [index for index in range(len(self.processes)) if index not in begun]
        dead = [index for index in left if not self.processes[index].process.is_alive()]
        return dead or (left[:1] if idle else [])

    def _succeed(self, old: Process, bundles: HandedBundles) -> Process:
        number = None if old.pid is None else self._number_of(old.pid)
        new = Process(self._configure(bundles, number), self.sockets)
        with no_interrupts():
            new.start()
        return new

    def _see_off(self, processes: Sequence[Process]) -> None:
        """Wait for ``processes``, which were told to end, and kill those that do not; if the server
        is to stop meanwhile, they are left to ``join_all``."""
        deadline = time.monotonic() + _ENDING * (self.config.timeout_graceful_shutdown or 0)
        stopping = self.should_exit.is_set()
        for one in processes:
            while one.process.is_alive() and time.monotonic() < deadline:
                one.process.join(_LOOK_SECONDS)
                if not stopping and self._is_to_stop():
                    return
            if one.process.is_alive():
                logger.warning("Worker %d does not end and is killed", one.pid)
            one.kill()
            one.join()
            self._forget(one)
        self._leaving = []

    def _is_to_stop(self) -> bool:
        """Whether a signal waits, or was handled, that ends the server."""
        waiting = set(self.signal_queue)
        return (
            self.should_exit.is_set()
            or bool(waiting & {signal.SIGTERM, signal.SIGINT, signal.SIGQUIT})
            or (signal.SIGHUP in waiting and self._terminal.gone)
        )

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
