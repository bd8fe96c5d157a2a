"""``millisight build``: a torch model to a bundle. Imports the building half only when run."""

from pathlib import Path
from typing import Any, get_args

import click
from rich.console import Console

from millisight.cli.options import (
    calibration_option,
    labels_option,
    setting_options,
    weights_option,
)
from millisight.errors import BuildUnavailable
from millisight.manifest import Measured, Precision
from millisight.settings import load_settings


@click.command(short_help="Make a bundle from a torch model.")
@click.argument("model")
@click.option("--name", help="Name of the bundle. [default: MODEL]")
@weights_option
@labels_option
@click.option(
    "--precision",
    type=click.Choice(get_args(Precision)),
    default="int8",
    show_default=True,
    help="Arithmetic of the network.",
)
@calibration_option
@click.option(
    "--validation",
    type=click.Path(path_type=Path),
    help="Labelled pictures to measure accuracy on: class folders, or files named <index>_….",
)
@click.option(
    "--max-drop",
    type=click.FloatRange(min=0),
    default=1.0,
    show_default=True,
    help="Points of top-1 accuracy that the bundle may lose against float32.",
)
@click.option(
    "--output", type=click.Path(path_type=Path), help="Folder to write instead of the store."
)
@setting_options("weights_mirror", "home")
def build(model: str, **options: Any) -> None:
    """Build MODEL, a torchvision classification model by name or efficientnet_lite0, into a bundle.

    \b
    Examples:
      millisight build resnet18
      millisight build resnet18 --calibration photographs/ --validation labelled/
      millisight build resnet18 --weights steel.pth --labels steel.txt --name steel
    """
    settings = load_settings(
        {name: options.pop(name) for name in ("weights_mirror", "home", "config")}
    )
    try:
        from millisight.build import BuildOptions, build_bundle, console_steps
    except ImportError as error:
        raise BuildUnavailable(
            f"This environment can serve but not build: {error.name} is not installed.",
            hint=f"Run `make build-env`, then `.venv-build/bin/millisight build {model}`; "
            "or `pip install 'millisight[build]'` elsewhere.",
        ) from error
    steps = console_steps(Console(stderr=True))
    bundle = build_bundle(BuildOptions(model=model, **options), settings, steps)
    served_as = bundle.path if options["output"] else bundle.manifest.name
    click.echo(bundle.manifest.describe())
    click.echo(_figures(bundle.manifest.measured))
    click.echo(f"Written to {bundle.path}")
    click.echo(f"Serve it: millisight serve --model {served_as}")


def _figures(measured: Measured) -> str:
    difference = f"largest logit difference {measured.max_logit_difference:.1e}"
    compared = f"{measured.agreement_images} pictures not used to calibrate"
    lines = [
        f"float32 graph against torch: {difference}",
        f"bundle against float32: same first answer on {measured.agreement} % of {compared}",
    ]
    if measured.float32 is not None and measured.bundle is not None:
        lines.append(
            f"accuracy on {measured.bundle.images} labelled pictures: "
            f"top-1 {measured.bundle.top1} % (float32 {measured.float32.top1} %), "
            f"top-5 {measured.bundle.top5} % (float32 {measured.float32.top5} %)"
        )
    return "\n".join(lines)
