"""``millisight serve``: answer over HTTP."""

import contextlib
import logging
import socket
import sys
import time
import warnings
from typing import Any

import click
import uvicorn

import millisight
from millisight.bundle import DEFAULT, STARTER, Bundle, find_bundle, read_bundle, starter_path
from millisight.cli import exit_codes
from millisight.cli.options import setting_options
from millisight.cpu import find_cores
from millisight.errors import SettingsError
from millisight.server import create_app
from millisight.settings import Settings, load_settings


@click.command(short_help="Answer over HTTP.")
@setting_options(
    "model",
    "host",
    "port",
    "max_upload_mb",
    "max_megapixels",
    "deadline_ms",
    "threads",
    "decode_threads",
    "max_batch",
    "max_wait_ms",
    "max_queue",
    "cache_entries",
    "cache_mb",
    "home",
    "log_level",
)
def serve(**flags: Any) -> None:
    """Serve one model over HTTP: the page at /, pictures to POST /predict.

    \b
    Examples:
      millisight serve
      millisight serve --port 9000 --model efficientnet_lite0
    """
    settings = load_settings(flags)
    logging.basicConfig(
        level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    if settings.log_level != "debug":
        logging.getLogger("uvicorn").setLevel(logging.WARNING)  # the greeting says it all
    # Pillow warns of damaged metadata in strangers' files; the answer does not depend on it.
    warnings.filterwarnings("ignore", module="PIL")
    bundle = read_bundle(find_bundle(settings.model, settings.home))
    with _listen(settings) as listener:
        _greet(bundle, settings, listener)
        sys.exit(_run(bundle, settings, listener))


def _run(bundle: Bundle, settings: Settings, listener: socket.socket) -> int:
    failed = False

    def on_failure() -> None:
        nonlocal failed
        failed = True
        server.should_exit = True

    started = time.monotonic()
    app = create_app(
        bundle,
        settings,
        on_ready=lambda: click.echo(f"Ready after {time.monotonic() - started:.1f} s."),
        on_failure=on_failure,
    )
    server = uvicorn.Server(
        uvicorn.Config(app, log_config=None, access_log=False, server_header=False)
    )
    # Once it has drained, uvicorn raises the signal that stopped it again: that is a clean end.
    with contextlib.suppress(KeyboardInterrupt):
        server.run(sockets=[listener])
    return exit_codes.BAD_BUNDLE if failed else exit_codes.OK


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family, backlog=2048)
    except OSError as error:
        raise SettingsError(
            f"Cannot listen on {settings.host} port {settings.port}: {error.strerror}.",
            hint="Choose another with --port; --port 0 takes a free one.",
        ) from error


def _greet(bundle: Bundle, settings: Settings, listener: socket.socket) -> None:
    """Say which model answers, where its weights came from, and where to look."""
    host, port, *_ = listener.getsockname()
    shown_host = f"[{host}]" if ":" in host else host
    cores = find_cores()
    threads = settings.threads or cores.count
    lines = [
        f"millisight {millisight.__version__}",
        f"  model    {bundle.manifest.describe()}",
        f"  cores    {cores.describe()}",
        f"  threads  {threads} for the network",
        f"  page     http://{shown_host}:{port}/",
        f"  API      http://{shown_host}:{port}/docs",
    ]
    if bundle.path == starter_path():
        lines.append(
            f"This is the {STARTER} model. `make {DEFAULT}` builds torchvision's official "
            f"ResNet-18, which is then served by default."
        )
    click.echo("\n".join(lines))
