"""Several server processes on one port, each with its own models and its own share of the cores.

The supervisor starts the workers and looks after them; here is what a worker does: it takes its
number, and with it its cores and its socket, and does not outlive the supervisor.
"""

import contextlib
import fcntl
import logging
import multiprocessing
import os
import signal
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from uvicorn.config import STARTUP_FAILURE

from millisight.bundle import Bundle, open_bundles
from millisight.cpu import Cores
from millisight.errors import NotReady, SettingsError
from millisight.server.app import create_app
from millisight.server.departed import Departed
from millisight.server.handed import Handed
from millisight.server.metrics import SHARED_FOLDER
from millisight.server.options import uvicorn_options
from millisight.server.service import Service
from millisight.server.supervisor import MOST_STILLBORN, HandedBundles, Supervisor
from millisight.settings import Settings

logger = logging.getLogger(__name__)

CORES_PER_WORKER = 4
"""What auto gives to a worker; why is in docs/decisions/0007-workers.md."""

_HUNG_AFTER = 30
"""Seconds without a sign of life; many workers that start on few cores need some."""


def worker_count(settings: Settings, cores: Cores) -> int:
    """As many workers as the settings say; auto is one for every four cores."""
    return settings.workers or max(1, cores.count // CORES_PER_WORKER)


def settings_within(settings: Settings, share: Cores) -> Settings:
    """``settings`` of a worker that has ``share``: threads left to auto get their numbers."""
    return settings.model_copy(update={"threads": settings.threads or share.count})


def serve_with_workers(
    bundles: Mapping[str, Bundle],
    settings: Settings,
    listeners: list[socket.socket],
    shares: Sequence[Cores],
    *,
    set_up: Callable[[], None],
    on_ready: Callable[[], None],
) -> bool:
    """Serve until a signal ends it; false if a worker cannot load a model.

    Each worker has one of ``listeners`` and one of ``shares``. ``set_up`` is called first in every
    worker, ``on_ready`` here once all of them answer. Raises ``NotReady`` if workers die one after
    the other before they could answer, ``SettingsError`` where no temporary file can be written.
    """
    with _shared_folder() as folder:

        def configure(handed: HandedBundles, number: int | None) -> uvicorn.Config:
            return uvicorn.Config(
                partial(_worker, handed, settings, listeners, shares, folder, set_up, number),
                factory=True,
                workers=len(shares),
                **uvicorn_options(settings),
                timeout_worker_healthcheck=_HUNG_AFTER,
            )

        supervisor = Supervisor(
            configure,
            Handed(bundles),
            listeners,
            renew=partial(open_bundles, settings.model, settings.home),
            number_of=partial(_number_of, folder, len(shares)),
            departed=Departed(folder),
            on_ready=on_ready,
        )
        supervisor.run()
    if (failed := supervisor.failed) is not None:
        raise NotReady(
            f"{MOST_STILLBORN} workers in a row died while they were starting, the last with "
            f"status {failed.exitcode}.",
            hint="If there is too little memory for all of them, take fewer with --workers.",
        )
    return all(process.exitcode != STARTUP_FAILURE for process in supervisor.processes)


@contextlib.contextmanager
def _shared_folder() -> Iterator[Path]:
    """A folder for the locks and for the numbers that workers add up (see ``metrics``)."""
    try:
        folder = tempfile.TemporaryDirectory(prefix="millisight-")
    except OSError as error:
        raise SettingsError(
            "Several workers need a folder for temporary files, and none can be written to.",
            hint="Set TMPDIR to one (in a container: --tmpfs /tmp), or serve with --workers 1.",
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
    handed: HandedBundles,
    settings: Settings,
    listeners: list[socket.socket],
    shares: Sequence[Cores],
    folder: Path,
    set_up: Callable[[], None],
    wanted: int | None,
) -> FastAPI:
    """The app of one worker, made in its own process before it accepts any connection."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    set_up()
    number = _take_number(len(shares), folder, wanted)
    share = shares[number]
    # This is the very list that uvicorn is about to listen on: both were pickled together.
    own = listeners.pop(number)
    for other in listeners:
        other.close()
    listeners[:] = [own]
    share.take()
    app = create_app(
        # Not from their folders, where others may be by now: all workers answer alike.
        handed.take(),
        settings_within(settings, share),
        background=False,
        reload=_ask_supervisor,
    )
    threading.Thread(target=_watch, args=(app.state.service,), daemon=True).start()
    return app


def _take_number(workers: int, folder: Path, wanted: int | None) -> int:
    """``wanted``, as soon as its owner is gone; else the first number that no living worker has.

    The kernel frees a dead process's locks however it died, so its successor gets its number.
    """
    if wanted is not None:
        threading.Thread(target=_lock, args=(folder, wanted), daemon=True).start()
        return wanted
    for number in range(workers):
        with contextlib.suppress(BlockingIOError):
            _lock(folder, number, fcntl.LOCK_NB)
            return number
    raise RuntimeError("There are more workers than shares.")


def _lock(folder: Path, number: int, how: int = 0) -> None:
    """Hold a number and say so, as long as this process lives."""
    lock = os.open(_lock_file(folder, number), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | how)
    except BlockingIOError:
        os.close(lock)
        raise
    os.truncate(lock, 0)
    os.write(lock, str(os.getpid()).encode())


def _number_of(folder: Path, workers: int, pid: int) -> int | None:
    """The number that process ``pid`` holds."""
    for number in range(workers):
        with contextlib.suppress(OSError, ValueError):
            if int(_lock_file(folder, number).read_text()) == pid:
                return number
    return None


def _lock_file(folder: Path, number: int) -> Path:
    return folder / f"worker-{number}"


def _ask_supervisor() -> None:
    """Have all workers change over, this one too."""
    supervisor = multiprocessing.parent_process()
    if supervisor is not None and supervisor.pid is not None:
        os.kill(supervisor.pid, signal.SIGUSR1)


def _watch(service: Service) -> None:
    """End this worker when the supervisor is gone, or to be replaced when it cannot answer."""
    supervisor = multiprocessing.parent_process()
    while service.alive:
        if supervisor is None or not supervisor.is_alive():
            os.kill(os.getpid(), signal.SIGTERM)
            return
        # Whichever worker is asked for its numbers looks up those of the others.
        service.measure()
        supervisor.join(1)
    logger.critical("The dispatcher has died, and this worker ends with it")
    # Nobody would answer what waits, so there is nothing to drain.
    os._exit(1)
