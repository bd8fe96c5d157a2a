"""``millisight classify --ray``: the same on all machines of a Ray cluster."""

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from millisight.cli import exit_codes
from millisight.errors import NotReady
from millisight.nearest import missing


def classify_on(
    address: str,
    paths: Sequence[str],
    output: str,
    *,
    as_json: bool,
    flags: Mapping[str, Any],
    **options: Any,
) -> None:
    """Connect to the cluster at ``address`` and classify ``paths`` into ``output`` there.

    ``flags`` are settings, ``options`` what ``scale.ray_data.classify`` takes besides. Raises
    ``Exit`` where pictures were unusable, ``ExtraMissing`` and ``NotReady``.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray

        from millisight.scale.ray_data import classify
        from millisight.scale.storage import is_address
    except ImportError as error:
        raise missing(error, "ray") from error
    try:
        ray.init(address, log_to_driver=False, logging_level="warning")
    except (ConnectionError, ValueError) as error:
        raise NotReady(
            f"There is no Ray cluster at {address}: {error}",
            hint="Start one with `ray start --head`, or name one that runs; local makes one here.",
        ) from error
    # Workers are started elsewhere.
    here = [path if is_address(path) else str(Path(path).absolute()) for path in paths]
    there = output if is_address(output) else str(Path(output).absolute())
    started = time.monotonic()
    try:
        summary = classify(here, there, **options, **flags)
    finally:
        ray.shutdown()
    speed = summary.now / (time.monotonic() - started)
    if as_json:
        body = {"output": output, **asdict(summary), "images_per_second": round(speed, 1)}
        click.echo(json.dumps(body, ensure_ascii=False))
    else:
        earlier = summary.pictures - summary.now
        click.echo(
            f"{summary.pictures} pictures by {summary.model}"
            + (f", {earlier} of them earlier" if earlier else "")
            + (f", {summary.unusable} unusable" if summary.unusable else "")
            + f": {output} ({speed:.1f} images/s)"
        )
    if summary.unusable:
        raise click.exceptions.Exit(exit_codes.BAD_INPUT)
