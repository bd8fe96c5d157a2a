"""``millisight serve``: answer over HTTP."""

import sys
from typing import Any

import click

from millisight.cli.options import setting_options
from millisight.settings import load_settings


@click.command()
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
    "otlp_endpoint",
    "cache_entries",
    "cache_mb",
    "home",
    "log_format",
    "log_level",
    "access_log",
)
def serve(**flags: Any) -> None:
    """Serve models over HTTP: the page at /, pictures to POST /predict.

    \b
    Examples:
      millisight serve
      millisight serve --port 9000 --model efficientnet_lite0
      millisight serve --model steel --model clothing    (POST /predict?model=clothing)
      millisight serve --log-format json 2>> requests.jsonl
    """
    settings = load_settings(flags)
    # Help and a shell's completion need not wait for what serves.
    from millisight.cli.serving import run

    sys.exit(run(settings))
