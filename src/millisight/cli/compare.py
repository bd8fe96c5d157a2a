"""``millisight compare``: every engine side by side. Imports their libraries only when run."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from millisight.cli.built import (
    building,
    calibration_option,
    images_option,
    json_option,
    labels_option,
    weights_option,
)
from millisight.cli.complete import complete_model
from millisight.cli.options import setting_options
from millisight.cpu import available_cores
from millisight.errors import BadParameter, NotWritten
from millisight.settings import load_settings

if TYPE_CHECKING:
    from millisight.compare.claims import Claim
    from millisight.compare.findings import Results

_WIDTH = 200
"""Of the whole table."""


def _numbers(
    _context: click.Context, option: click.Parameter, text: str | None
) -> tuple[int, ...] | None:
    """``1,2`` as numbers, each once and in order."""
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise click.BadParameter(f"{text!r} is not a list of numbers such as 1,2.", param=option)
    return tuple(sorted({int(part) for part in parts}))


@click.command()
@click.argument("model", default="resnet18", shell_complete=complete_model)
@weights_option
@labels_option
@images_option
@calibration_option
@click.option(
    "--threads", callback=_numbers, help="Numbers of cores, such as 1,4. [default: 1 and all]"
)
@click.option(
    "--batch", callback=_numbers, default="1,4,16", show_default=True, help="Sizes of batches."
)
@click.option(
    "--rounds", type=click.IntRange(1), default=6, show_default=True, help="Turns of each engine."
)
@click.option(
    "--seconds",
    type=click.FloatRange(0.01, 60),
    default=0.3,
    show_default=True,
    help="Length of a turn.",
)
@click.option(
    "--engine", multiple=True, metavar="NAME", help="Only this one; may come again. [default: all]"
)
@click.option("--claims", is_flag=True, help="Judge the usual advice by what was measured.")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    default=Path("comparison"),
    show_default=True,
    help="Folder for JSON, Markdown and the plot.",
)
@json_option
@setting_options("device", "weights_mirror", "home")
def compare(
    threads: tuple[int, ...] | None,
    batch: tuple[int, ...],
    rounds: int,
    seconds: float,
    engine: tuple[str, ...],
    output: Path,
    as_json: bool,
    **given: Any,
) -> None:
    """Run MODEL with every engine that is installed over the same pictures, in turns, and compare
    speed, size, memory and accuracy. Let nothing else run meanwhile.

    MODEL is one that build knows, or a bundle that train made: then the pictures of the training
    are the default.

    \b
    Examples:
      millisight compare
      millisight compare steel
      millisight compare efficientnet_lite0 --images labelled/ --claims
      millisight compare resnet18 --weights steel.pth --labels steel.txt --images steel/
    """
    settings = load_settings(
        {name: given.pop(name) for name in ("device", "weights_mirror", "home", "config")}
    )
    cores = available_cores()
    threads = threads or tuple(sorted({1, cores}))
    if max(threads) > cores:
        raise BadParameter(
            f"{max(threads)} cores are more than there are.", hint=f"There are {cores} here."
        )
    engines = _chosen(engine)
    with building("compare …", "build,compare"):
        import matplotlib as mpl  # noqa: F401 (said now, not after ten minutes)

        from millisight.build import console_steps
        from millisight.compare.claims import claims
        from millisight.compare.pipeline import CompareOptions
        from millisight.compare.pipeline import compare as run
        from millisight.compare.rounds import Effort
    options = CompareOptions(
        threads=threads,
        # Everything is compared with single pictures.
        effort=Effort(rounds, seconds, tuple(sorted({1, *batch}))),
        engines=engines,
        **given,
    )
    results = run(options, settings, console_steps(Console(stderr=True)))
    _deliver(results, claims(results) if options.claims else [], output, as_json=as_json)


def _deliver(results: "Results", found: Sequence["Claim"], output: Path, *, as_json: bool) -> None:
    """Write the files and show what is in them."""
    from millisight.compare import plot, report

    body = report.as_json(results, found)
    _write(output / "comparison.json", body)
    _write(output / "comparison.md", report.markdown(results, found))
    plot.draw(results, output / report.PLOT)
    if as_json:
        click.echo(body, nl=False)
        return
    for name, fact in report.facts(results).items():
        click.echo(f"{name + ':':10}{fact}")
    # Cells that are cut off tell nothing: on a narrow terminal lines go on below.
    Console(width=max(Console().width, _WIDTH)).print(report.terminal_table(results))
    for line in [*report.failures(results), *report.claim_lines(found)]:
        click.echo(line)
    click.echo(f"Written to {output}")


def _chosen(names: tuple[str, ...]) -> tuple[str, ...]:
    """The engines asked for and the one that they are compared with."""
    from millisight.compare.engines import REFERENCE, engine_names

    known = engine_names()
    unknown = [name for name in names if name not in known]
    if unknown:
        raise BadParameter(
            f"There is no engine {unknown[0]!r}.", hint=f"There are {', '.join(known)}."
        )
    return tuple(name for name in known if not names or name in {REFERENCE, *names})


def _write(file: Path, text: str) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise NotWritten(
            f"{file} cannot be written: {error.strerror}.", hint="Choose another --output."
        ) from error
