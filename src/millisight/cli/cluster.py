"""``millisight classify --ray``: the same on all machines of a Ray cluster."""

import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from millisight.cli import exit_codes
from millisight.errors import NotReady
from millisight.nearest import missing
from millisight.results import PARQUET
from millisight.scale.addresses import is_address

if TYPE_CHECKING:
    from millisight.scale.ray_data import Summary


def classify_on(
    address: str | None,
    paths: Sequence[str],
    output: str | None,
    *,
    as_json: bool,
    asked: Mapping[str, Any],
    flags: Mapping[str, Any],
) -> None:
    """Connect to the cluster at ``address`` and classify ``paths`` into ``output`` there.

    ``flags`` are settings, ``asked`` is what ``scale.ray_data.classify`` takes besides. Raises
    ``Exit`` where pictures were unusable, ``UsageError``, ``ExtraMissing`` and ``NotReady``.
    """
    if not address:
        raise click.UsageError("--embeddings and --column go with --ray.")
    if not output or Path(output).suffix != PARQUET:
        raise click.UsageError("--ray goes with an --output that ends in .parquet.")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray.data

        from millisight.scale.ray_data import classify
    except ImportError as error:
        raise missing(error, "ray") from error
    try:
        ray.init(address, log_to_driver=False, logging_level="warning")
        # Where nobody looks, it would be a screenful every few seconds.
        ray.data.DataContext.get_current().enable_progress_bars = sys.stderr.isatty()
    except (ConnectionError, ValueError) as error:
        raise NotReady(
            f"There is no Ray cluster at {address}: {error}",
            hint="Start one with `ray start --head`, or name one that runs; local makes one here.",
        ) from error
    started = time.monotonic()
    try:
        # Workers are started elsewhere.
        summary = classify(list(map(_whole, paths)), _whole(output), **asked, **flags)
    finally:
        ray.shutdown()
    _say(summary, output, summary.now / (time.monotonic() - started), as_json=as_json)
    if summary.unusable:
        raise click.exceptions.Exit(exit_codes.BAD_INPUT)


def _whole(path: str) -> str:
    return path if is_address(path) else str(Path(path).absolute())


def _say(summary: "Summary", output: str, speed: float, *, as_json: bool) -> None:
    if as_json:
        body = {"output": output, **asdict(summary), "images_per_second": round(speed, 1)}
        click.echo(json.dumps(body, ensure_ascii=False))
        return
    earlier = summary.pictures - summary.now
    click.echo(
        f"{summary.pictures} pictures by {summary.model}"
        + (f", {earlier} of them earlier" if earlier else "")
        + (f", {summary.unusable} unusable" if summary.unusable else "")
        + f": {output} ({speed:.1f} images/s)"
    )
