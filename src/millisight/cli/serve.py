"""``millisight serve``: answer over HTTP."""

import contextlib
import logging
import socket
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click
import uvicorn

import millisight
from millisight.bundle import DEFAULT, STARTER, Bundle, open_bundles, starter_path, store
from millisight.cli import exit_codes
from millisight.cli.options import setting_options
from millisight.cpu import Cores, find_cores
from millisight.devices import CPU, check_device
from millisight.memory import give_back_large_pieces
from millisight.server import create_app
from millisight.server.dialects.grpc_port import check_installed
from millisight.server.door import read_keys
from millisight.server.listeners import listen, reserve
from millisight.server.protocol import uvicorn_options
from millisight.server.workers import (
    CORES_PER_WORKER,
    serve_with_workers,
    settings_within,
    worker_count,
)
from millisight.settings import Settings, load_settings


@click.command(short_help="Answer over HTTP.")
@setting_options(
    "model",
    "host",
    "port",
    "grpc_port",
    "max_upload_mb",
    "max_bodies_mb",
    "max_megapixels",
    "max_decoding_megapixels",
    "deadline_ms",
    "workers",
    "threads",
    "device",
    "max_batch",
    "max_wait_ms",
    "max_queue",
    "api_keys_file",
    "allow_origins",
    "cache_entries",
    "cache_mb",
    "home",
    "log_level",
)
def serve(**flags: Any) -> None:
    """Serve models over HTTP: the page at /, pictures to POST /predict.

    \b
    Examples:
      millisight serve
      millisight serve --port 9000 --model efficientnet_lite0
      millisight serve --model steel --model clothing    (POST /predict?model=clothing)
    """
    settings = load_settings(flags)
    _set_up(settings.log_level)
    # What is wrong with these is said before anything is loaded.
    if settings.device != CPU:
        check_device(settings.device)
    read_keys(settings)
    check_installed(settings)
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
        sys.exit(run(bundles, settings, listeners, shares))


def _set_up(log_level: str) -> None:
    """What every process of the server needs first."""
    give_back_large_pieces()
    logging.basicConfig(
        level=log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    if log_level != "debug":
        logging.getLogger("uvicorn").setLevel(logging.WARNING)  # the greeting says it all
    # Broken forms are strangers' mistakes: they are answered, and the log is not for them.
    logging.getLogger("python_multipart").setLevel(logging.ERROR)
    # Pillow warns of damaged metadata in strangers' files; the answer does not depend on it.
    warnings.filterwarnings("ignore", module="PIL")


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

    started = time.monotonic()
    app = create_app(
        bundles,
        settings_within(settings, shares[0]),
        on_ready=lambda: click.echo(f"Ready after {time.monotonic() - started:.1f} s."),
        on_failure=on_failure,
    )
    server = uvicorn.Server(uvicorn.Config(app, **uvicorn_options(settings)))
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
    started = time.monotonic()

    def on_ready() -> None:
        click.echo(f"Ready after {time.monotonic() - started:.1f} s: {len(shares)} workers.")

    served = serve_with_workers(
        bundles,
        settings,
        listeners,
        shares,
        set_up=partial(_set_up, settings.log_level),
        on_ready=on_ready,
    )
    return exit_codes.OK if served else exit_codes.BAD_BUNDLE


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
    if [bundle.path for bundle in bundles.values()] == [starter_path()]:
        lines.append(f"This is the {STARTER} model. {_better_model(settings)}")
    click.echo("\n".join(lines))


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
