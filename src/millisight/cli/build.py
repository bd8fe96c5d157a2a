"""``millisight build``: a torch model to a bundle. Imports the building half only when run."""

from pathlib import Path
from typing import Any

import click
from rich.console import Console

from millisight.cli.built import (
    BUILD_SETTINGS,
    building,
    calibration_option,
    json_option,
    labels_option,
    max_drop_option,
    precision_option,
    take_settings,
    tell,
    weights_option,
)
from millisight.cli.options import setting_options


@click.command()
@click.argument("model")
@click.option("--name", help="Name of the bundle. [default: MODEL]")
@weights_option
@labels_option
@precision_option
@calibration_option
@click.option(
    "--validation",
    type=click.Path(path_type=Path),
    help="Labelled pictures to measure accuracy on: class folders, or files named <index>_….",
)
@max_drop_option
@click.option(
    "--min-precision",
    type=click.FloatRange(min=0, max=1, min_open=True),
    help="Share of right answers wanted, such as 0.95: below the confidence at which the labelled "
    "pictures show it, answers are marked uncertain.",
)
@click.option(
    "--output", type=click.Path(path_type=Path), help="Folder to write instead of the store."
)
@json_option
@setting_options(*BUILD_SETTINGS)
def build(model: str, as_json: bool, **options: Any) -> None:
    """Build MODEL, a torchvision classification model by name or efficientnet_lite0, into a bundle.

    \b
    Examples:
      millisight build resnet18
      millisight build resnet18 --calibration photographs/ --validation labelled/
      millisight build resnet18 --weights steel.pth --labels steel.txt --name steel
    """
    settings = take_settings(options)
    with building(f"build {model}"):
        from millisight.build import BuildOptions, build_bundle, console_steps
    steps = console_steps(Console(stderr=True))
    bundle = build_bundle(BuildOptions(model=model, **options), settings, steps)
    served_as = str(bundle.path) if options["output"] else bundle.manifest.name
    tell(bundle, served_as=served_as, as_json=as_json)
