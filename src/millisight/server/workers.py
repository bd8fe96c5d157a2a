"""Several server processes on one port, each with its own model and its own share of the cores.

uvicorn's supervisor starts the workers, replaces one that dies and stops them all. What is added
here: which cores a worker takes, when all are ready, that those which die before they could answer
end the server, and that none outlives the supervisor.
"""

import contextlib
import fcntl
import logging
import multiprocessing
import os
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from multiprocessing import resource_tracker
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess
from uvicorn.supervisors.multiprocess import Process

from millisight.bundle import Bundle, read_bundle
from millisight.cpu import Cores
from millisight.errors import BundleError, MillisightError, NotReady, SettingsError
from millisight.server.app import create_app
from millisight.server.metrics import SHARED_FOLDER
from millisight.server.protocol import uvicorn_options
from millisight.server.service import Service
from millisight.settings import Settings

logger = logging.getLogger(__name__)

CORES_PER_WORKER = 4
"""What auto gives to a worker; why is in docs/decisions/0007-workers.md."""

_HUNG_AFTER = 30
"""Seconds without a sign of life; many workers that start on few cores need some."""

_MOST_STILLBORN = 3
"""Workers in a row that die before they could answer; then the server gives up."""


def worker_count(settings: Settings, cores: Cores) -> int:
    """As many workers as the settings say; auto is one for every four cores."""
    return settings.workers or max(1, cores.count // CORES_PER_WORKER)


def settings_within(settings: Settings, share: Cores) -> Settings:
    """``settings`` of a worker that has ``share``: threads left to auto get their numbers."""
    return settings.model_copy(update={"threads": settings.threads or share.count})


def serve_with_workers(
    bundle: Bundle,
    settings: Settings,
    listeners: list[socket.socket],
    shares: Sequence[Cores],
    *,
    set_up: Callable[[], None],
    on_ready: Callable[[], None],
) -> bool:
    """Serve until a signal ends it; false if a worker cannot load the model.

    Each worker has one of ``listeners`` and one of ``shares``. ``set_up`` is called first in every
    worker, ``on_ready`` here once all of them answer. Raises ``NotReady`` if workers die one after
    the other before they could answer, ``SettingsError`` where no temporary file can be written.
    """
    with _shared_folder() as folder:
        supervisor = Supervisor(
            uvicorn.Config(
                partial(_worker, bundle, settings, listeners, shares, folder, set_up),
                factory=True,
                workers=len(shares),
                **uvicorn_options(settings),
                timeout_worker_healthcheck=_HUNG_AFTER,
            ),
            listeners,
            on_ready,
        )
        supervisor.run()
    if (failed := supervisor.failed) is not None:
        raise NotReady(
            f"{_MOST_STILLBORN} workers in a row died while they were starting, the last with "
            f"status {failed.exitcode}.",
            hint="If there is too little memory for all of them, take fewer with --workers.",
        )
    return all(process.exitcode != STARTUP_FAILURE for process in supervisor.processes)


class Supervisor(Multiprocess):
    """uvicorn's, which also knows which workers answer: see the top of this module."""

    def __init__(
        self, config: uvicorn.Config, sockets: list[socket.socket], on_ready: Callable[[], None]
    ) -> None:
        hangup = signal.getsignal(signal.SIGHUP)
        super().__init__(config, sockets)
        if hangup is signal.SIG_IGN:
            # So nohup has it.
            signal.signal(signal.SIGHUP, hangup)
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
        if old in self._answering:
            self._answering.remove(old)
        # A signal that waits to be handled may have ended the workers too.
        elif not self.signal_queue:
            self._stillborn += 1
        logger.warning("Worker %d has died; worker %d takes its place", old.pid, new.pid)
        if self._stillborn >= _MOST_STILLBORN:
            # So it would go on for ever.
            self.failed = old
            self.should_exit.set()

    def _let_go(self) -> None:
        """Close the workers' ends of the pipes here, or waiting for the dead would take so long."""
        for process in self.processes:
            process.child_conn.close()

    def terminate_all(self) -> None:
        """Let the workers drain; connections that come now are refused, not left to wait."""
        for listener in self.sockets:
            listener.close()
        super().terminate_all()

    def handle_hup(self) -> None:
        """Stop: the terminal is gone, and the workers have ended with it."""
        self.handle_term()

    def handle_quit(self) -> None:
        """Stop: Ctrl-\\ has ended the workers already."""
        self.handle_term()

    def handle_ttin(self) -> None:
        """Nothing: the cores are shared out among a fixed number of workers."""

    def handle_ttou(self) -> None:
        """Nothing, as above."""


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


@contextlib.contextmanager
def _shared_folder() -> Iterator[Path]:
    """A folder for the locks and for the numbers that workers add up (see ``metrics``)."""
    try:
        folder = tempfile.TemporaryDirectory(prefix="millisight-")
    except OSError as error:
        raise SettingsError(
            "Several workers need a folder for temporary files, and none can be written to.",
            hint="Set TMPDIR to one, or serve with --workers 1.",
        ) from error
    with folder as name:
        # systemd leaves alone what is locked; it would remove files that are some days old.
        lock = os.open(name, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(lock, fcntl.LOCK_SH)
        os.environ[SHARED_FOLDER] = name
        try:
            yield Path(name)
        finally:
            del os.environ[SHARED_FOLDER]
            os.close(lock)


def _worker(
    bundle: Bundle,
    settings: Settings,
    listeners: list[socket.socket],
    shares: Sequence[Cores],
    folder: Path,
    set_up: Callable[[], None],
) -> FastAPI:
    """The app of one worker, made in its own process before it accepts any connection."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    set_up()
    number = _take_number(len(shares), folder)
    share = shares[number]
    # This is the very list that uvicorn is about to listen on: both were pickled together.
    own = listeners.pop(number)
    for other in listeners:
        other.close()
    listeners[:] = [own]
    share.take()
    try:
        _check_unchanged(bundle)
    except MillisightError as error:
        logger.critical("%s %s", error.message, error.hint)
        sys.exit(STARTUP_FAILURE)
    app = create_app(bundle, settings_within(settings, share), background=False)
    threading.Thread(target=_watch, args=(app.state.service,), daemon=True).start()
    return app


def _take_number(workers: int, folder: Path) -> int:
    """The first number that no living worker has.

    The kernel frees a dead process's locks however it died, so its successor gets its number.
    """
    for number in range(workers):
        # Not closed: the lock is this process's as long as it lives.
        lock = os.open(folder / f"worker-{number}", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
        else:
            return number
    raise RuntimeError("There are more workers than shares.")


def _check_unchanged(bundle: Bundle) -> None:
    """Refuse a bundle that was replaced since the server started: workers must not differ."""
    if read_bundle(bundle.path) != bundle:
        raise BundleError(
            f"The bundle in {bundle.path} is not the one this server started with.",
            hint="Start the server again to serve the new one.",
        )


def _watch(service: Service) -> None:
    """End this worker when the supervisor is gone, or to be replaced when it cannot answer."""
    supervisor = multiprocessing.parent_process()
    while service.alive:
        if supervisor is None or not supervisor.is_alive():
            os.kill(os.getpid(), signal.SIGTERM)
            return
        supervisor.join(1)
    logger.critical("The dispatcher has died, and this worker ends with it")
    # Nobody would answer what waits, so there is nothing to drain.
    os._exit(1)
