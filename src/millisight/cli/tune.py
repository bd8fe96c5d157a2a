"""``millisight tune``: measure this machine and write the settings that suit it."""

import json
import math
import re
import shlex
import warnings
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.table import Table

from millisight.bundle import one_model, open_bundle
from millisight.cli.options import setting_options
from millisight.cli.tables import show
from millisight.cpu import find_cores
from millisight.errors import GoalMissed
from millisight.image import Limits
from millisight.photographs import photographs_in, self_made
from millisight.record import COLUMNS, Run, cpu_model, row_of, rows_of, settings_of, write
from millisight.settings import load_settings
from millisight.sources import given_settings, settings_file
from millisight.trial import measure
from millisight.tuning import Arrangement, Choice, Measurement, choose

_TIME = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*(ms|s)?\s*")


def _milliseconds(
    _context: click.Context, _option: click.Parameter, text: str | None
) -> float | None:
    """``10``, ``10ms`` and ``0.01s`` are the same."""
    if text is None:
        return None
    match = _TIME.fullmatch(text)
    milliseconds = float(match[1]) * (1e3 if match[2] == "s" else 1) if match else 0.0
    if not 0 < milliseconds < math.inf:
        raise click.BadParameter(f"{text!r} is not a time above 0: write 10ms or 0.5s.")
    return milliseconds


@click.command()
@click.option(
    "--p99",
    callback=_milliseconds,
    metavar="TIME",
    help="Longest time that 99 of 100 answers may take, such as 10ms. [default: no limit]",
)
@click.option(
    "--seconds",
    type=click.FloatRange(1, 3600),
    default=20,
    show_default=True,
    help="How long to measure, about.",
)
@click.option(
    "--images",
    type=click.Path(path_type=Path),
    help="Folder of pictures like those to come. [default: photographs made for it]",
)
@click.option("--dry-run", is_flag=True, help="Write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@setting_options("model", "device", "home")
def tune(
    p99: float | None,
    seconds: float,
    images: Path | None,
    dry_run: bool,
    as_json: bool,
    **flags: Any,
) -> None:
    """Measure which workers, threads and max_batch give most images a second on this machine,
    and write them into the settings file, with the measurements.

    The load is self-made: clients that ask again as soon as they have an answer. Let nothing else
    run meanwhile. With --p99, only what keeps that limit is chosen; if nothing does, nothing is
    written and the exit code is 9.

    \b
    Examples:
      millisight tune
      millisight tune --p99 10ms --images photographs/
    """
    path = settings_file(flags)
    run = _run(p99, seconds, images, flags)
    choice = choose(run.findings, p99)
    if as_json:
        click.echo(json.dumps(_body(run, choice), ensure_ascii=False))
    else:
        _show(run, choice)
    if choice is None:
        raise _missed(run)
    if not dry_run:
        write(path, run, choice)
    for line in _next_steps(choice, path, flags, dry_run=dry_run):
        # On stdout there is nothing but the object.
        click.echo(line, err=as_json)


def _run(p99: float | None, seconds: float, images: Path | None, flags: Mapping[str, Any]) -> Run:
    settings = load_settings(flags)
    bundle = open_bundle(one_model(settings.model), settings.home)
    cores = find_cores()
    # Pillow warns of damaged metadata in files that it reads all the same.
    warnings.filterwarnings("ignore", module="PIL")
    if images is None:
        load, photographs = "photographs made for it", self_made()
    else:
        limits = Limits(max_pixels=int(settings.max_megapixels * 1e6))
        photographs = photographs_in(images, bundle.manifest.preprocess, limits)
        load = f"{len(photographs)} picture{'' if len(photographs) == 1 else 's'} of {images}"
    # Shown on a terminal only.
    with Console(stderr=True).status("") as status:
        findings = measure(
            bundle,
            settings,
            cores,
            photographs,
            limit_ms=p99,
            seconds=seconds,
            say=lambda what: status.update(f"{what} …"),
        )
    return Run(
        date=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        machine=f"{cpu_model()}; cores: {cores.describe()}",
        model=bundle.manifest.describe(),
        load=f"{load}, {sum(map(len, photographs)) / len(photographs) / 1e3:.0f} KB each",
        limit_ms=p99,
        findings=findings,
    )


def _body(run: Run, choice: Choice | None) -> dict[str, Any]:
    """What ``--json`` prints."""
    chosen = None
    if choice is not None:
        chosen = _flat(choice.measurement) | {"reason": choice.reason}
    return {
        **run.facts(),
        "p99_limit_ms": run.limit_ms,
        "choice": chosen,
        "usual": settings_of(run.findings.usual),
        "first_look": [_flat(one) for one in run.findings.first],
        "last_look": [_flat(one) for one in run.findings.last],
    }


def _flat(one: Measurement) -> dict[str, float]:
    """All of a measurement in one object, times in milliseconds to a thousandth."""
    return settings_of(one.load.arrangement) | {
        "clients": one.load.clients,
        "images": one.images,
        "images_per_second": round(one.images_per_second, 1),
        "p50_ms": round(one.p50_ms, 3),
        "p99_ms": round(one.p99_ms, 3),
    }


def _show(run: Run, choice: Choice | None) -> None:
    for name, fact in run.facts().items():
        click.echo(f"{name + ':':9}{fact}")
    table = Table(box=box.SIMPLE_HEAD, collapse_padding=True, pad_edge=False)
    table.add_column("look")
    for name in COLUMNS:
        table.add_column(name, justify="right", no_wrap=True)
    chosen = choice and ("last", *row_of(choice.measurement))
    for row in rows_of(run):
        table.add_row(*row, style="bold green" if row == chosen else "")
    show(table)
    if choice is not None:
        click.echo(f"Best: {_told(choice.measurement.load.arrangement)}. {choice.reason}")


def _told(arrangement: Arrangement) -> str:
    return ", ".join(f"{name} = {number}" for name, number in settings_of(arrangement).items())


def _missed(run: Run) -> GoalMissed:
    nearest = min(run.findings.last, key=lambda one: one.p99_ms)
    return GoalMissed(
        f"Nothing that was measured keeps p99 within {run.limit_ms:g} ms; the least was "
        f"{nearest.p99_ms:.1f} ms, with {_told(nearest.load.arrangement)} and "
        f"clients = {nearest.load.clients}.",
        hint="Nothing was written. Allow more time, take a smaller model or more cores.",
    )


def _next_steps(
    choice: Choice, path: Path, flags: Mapping[str, Any], *, dry_run: bool
) -> Iterator[str]:
    """What was done, what to do, and what is in the way."""
    if dry_run:
        yield f"Nothing was written; without --dry-run it would be, to {path}"
    else:
        yield f"Written to {path}"
        options = " ".join(
            f"--{name} {shlex.quote(value)}"
            for name, given in flags.items()
            for value in ([given] if isinstance(given, str) else given or ())
        )
        yield f"Serve with it: millisight serve {options}".rstrip()
    given = given_settings(flags)
    for name, number in settings_of(choice.measurement.load.arrangement).items():
        if name in given and given[name].source != "file":
            yield (
                f"But {given[name].origin} says {given[name].value}, and wins over the file: "
                f"take it away, or make it {number}."
            )
