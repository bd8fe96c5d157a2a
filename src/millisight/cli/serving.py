"""What ``millisight serve`` does: open the models, greet, and run one process or several."""

import contextlib
import logging
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click
import uvicorn

import millisight
from millisight.bundle import DEFAULT, STARTER, Bundle, open_bundles, starter_path, store
from millisight.cli import exit_codes
from millisight.cpu import Cores, find_cores
from millisight.devices import CPU, check_device
from millisight.errors import MillisightError
from millisight.server import create_app
from millisight.server.dialects.grpc_port import check_installed
from millisight.server.door import read_keys
from millisight.server.listeners import listen, reserve
from millisight.server.logs import set_up_logs
from millisight.server.options import uvicorn_options
from millisight.server.process import prepare_process
from millisight.server.tracing import collector
from millisight.server.workers import (
    CORES_PER_WORKER,
    serve_with_workers,
    settings_within,
    worker_count,
)
from millisight.settings import Settings

logger = logging.getLogger(__name__)


def run(settings: Settings) -> int:
    """Serve until a signal ends it; the exit status."""
    _set_up(settings)
    with _in_the_log() if settings.log_format == "json" else contextlib.nullcontext():
        return _serve(settings)


@contextlib.contextmanager
def _in_the_log() -> Iterator[None]:
    """Have what ends the server said there: whoever reads objects is not to meet a bare line."""
    try:
        yield
    except MillisightError as error:
        logger.critical("%s %s", error.message, error.hint, extra={"error": error.code})
        sys.exit(exit_codes.exit_code(error))
    except KeyboardInterrupt:
        logger.warning("Interrupted")
        sys.exit(exit_codes.INTERRUPTED)


def _serve(settings: Settings) -> int:
    # What is wrong with these is said before anything is loaded.
    if settings.device != CPU:
        check_device(settings.device)
    read_keys(settings)
    check_installed(settings)
    collector(settings)
    bundles = open_bundles(settings.model, settings.home)
    cores = find_cores()
    count = worker_count(settings, cores)
    shares = [cores.share(number, count) for number in range(count)]
    run = _run_here if count == 1 else _run_workers
    listeners = listen(settings.host, settings.port, count)
    with contextlib.ExitStack() as held:
        if settings.grpc_port:
            held.enter_context(reserve(settings.host, settings.grpc_port, "--grpc-port"))
        _greet(bundles, settings, listeners[0], cores, shares)
        status = run(bundles, settings, listeners, shares)
    logger.info("Stopped")
    return status


def _set_up(settings: Settings) -> None:
    """What every process of the server needs first."""
    prepare_process()
    set_up_logs(settings)
    if settings.log_level != "debug":
        logging.getLogger("uvicorn").setLevel(logging.WARNING)  # the greeting says it all


def _run_here(
    bundles: Mapping[str, Bundle],
    settings: Settings,
    listeners: list[socket.socket],
    shares: Sequence[Cores],
) -> int:
    failed = False

    def on_failure() -> None:
        nonlocal failed
        failed = True
        server.should_exit = True

    app = create_app(
        bundles,
        settings_within(settings, shares[0]),
        on_ready=_ready_line(settings, "."),
        on_failure=on_failure,
    )
    server = _Server(uvicorn.Config(app, **uvicorn_options(settings)))
    # Once it has drained, uvicorn raises the signal that stopped it again: that is a clean end.
    with contextlib.suppress(KeyboardInterrupt):
        server.run(sockets=listeners)
    return exit_codes.BAD_BUNDLE if failed else exit_codes.OK


def _run_workers(
    bundles: Mapping[str, Bundle],
    settings: Settings,
    listeners: list[socket.socket],
    shares: Sequence[Cores],
) -> int:
    served = serve_with_workers(
        bundles,
        settings,
        listeners,
        shares,
        set_up=partial(_set_up, settings),
        on_ready=_ready_line(settings, f": {len(shares)} workers."),
    )
    return exit_codes.OK if served else exit_codes.BAD_BUNDLE


class _Server(uvicorn.Server):
    """uvicorn's, which says when it begins to stop."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        logger.info("Stopping; what was begun is answered first")
        await super().shutdown(sockets)


def _ready_line(settings: Settings, rest: str) -> Callable[[], None]:
    """What to call once models answer; the line ends with ``rest``."""
    started = time.monotonic()
    return lambda: _say(settings, [f"Ready after {time.monotonic() - started:.1f} s{rest}"])


def _say(settings: Settings, lines: list[str], **fields: Any) -> None:
    """Print ``lines`` for who has started this; for programs, log the first with ``fields``."""
    if settings.log_format == "json":
        logger.info(lines[0], extra=fields)
    else:
        click.echo("\n".join(lines))


def _greet(
    bundles: Mapping[str, Bundle],
    settings: Settings,
    listener: socket.socket,
    cores: Cores,
    shares: Sequence[Cores],
) -> None:
    """Say which models answer, where their weights came from, on what, and where to look."""
    host, port, *_ = listener.getsockname()
    shown_host = f"[{host}]" if ":" in host else host
    lines = [
        f"millisight {millisight.__version__}",
        *_describe_models(bundles),
        f"  cores    {cores.describe()}",
        f"  workers  {_describe_workers(settings, shares)}",
        f"  page     http://{shown_host}:{port}/",
        f"  API      http://{shown_host}:{port}/docs",
    ]
    if settings.grpc_port:
        lines.append(f"  gRPC     {shown_host}:{settings.grpc_port}")
    if traces := collector(settings):
        lines.append(f"  traces   to {traces}")
    if [bundle.path for bundle in bundles.values()] == [starter_path()]:
        lines.append(f"This is the {STARTER} model. {_better_model(settings)}")
    _say(
        settings,
        lines,
        url=f"http://{shown_host}:{port}",
        grpc_port=settings.grpc_port or None,
        models={name: bundle.manifest.describe() for name, bundle in bundles.items()},
        cores=cores.describe(),
        workers=len(shares),
    )


def _better_model(settings: Settings) -> str:
    """How to have the official ResNet-18, where this is installed."""
    if (Path(millisight.__file__).parents[2] / "Makefile").is_file():
        return (
            f"`make {DEFAULT}` builds torchvision's official ResNet-18, which is then served by "
            "default."
        )
    # From a wheel or in a container there is no Makefile, and perhaps nothing that could build.
    return (
        f"A bundle in {store(settings.home) / DEFAULT} is served by default; `millisight build "
        f"{DEFAULT}` makes it of torchvision's official ResNet-18 wherever millisight[build] is "
        "installed."
    )


def _describe_models(bundles: Mapping[str, Bundle]) -> list[str]:
    """What answers; of several, the name to ask for too."""
    if len(bundles) == 1:
        return [f"  model    {bundle.manifest.describe()}" for bundle in bundles.values()]
    lines = [f"{name}: {bundle.manifest.describe()}" for name, bundle in bundles.items()]
    return [f"  models   {lines[0]}", *(f"           {line}" for line in lines[1:])]


def _describe_workers(settings: Settings, shares: Sequence[Cores]) -> str:
    counts = sorted({settings_within(settings, share).threads for share in shares})
    each = ", each" if len(shares) > 1 else ""
    threads = " or ".join(str(count) for count in counts)
    noun = "thread" if counts == [1] else "threads"
    why = "" if settings.workers else f" (auto: one for every {CORES_PER_WORKER} cores)"
    return f"{len(shares)}{each} with {threads} {noun} for the network{why}"
