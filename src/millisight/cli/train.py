"""``millisight train``: a folder of pictures to a bundle. Imports the building half only when
run."""

import os
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from millisight.cli.built import (
    BUILD_SETTINGS,
    building,
    json_option,
    max_drop_option,
    precision_option,
    take_settings,
    tell,
)
from millisight.cli.options import setting_options


@click.command()
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--name", required=True, help="Name of the bundle.")
@click.option(
    "--base",
    default="resnet18",
    show_default=True,
    metavar="MODEL|FILE|none",
    help="What to start from: a model that build knows, a state dict, or nothing.",
)
@click.option(
    "--architecture",
    default="resnet18",
    show_default=True,
    help="The network, where --base is a file or none.",
)
@click.option(
    "--minutes",
    type=click.FloatRange(min=0.1),
    default=15.0,
    show_default=True,
    help="How long all of it may take.",
)
@click.option(
    "--epochs",
    type=click.IntRange(min=1),
    help="Train the whole network so often, however long it takes: the same on every machine.",
)
@click.option(
    "--head-only", is_flag=True, help="Train the last layer alone: a minute or two, less accurate."
)
@click.option(
    "--min-precision",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.95,
    show_default=True,
    help="Answers are marked uncertain so that of the others this share is right.",
)
@precision_option
@max_drop_option
@click.option(
    "--seed", type=click.IntRange(min=0), default=20, show_default=True, help="Decides all chance."
)
@click.option("--fresh", is_flag=True, help="Do not go on from an interrupted run.")
@click.option("--dry-run", is_flag=True, help="Look at the pictures and stop.")
@json_option
@setting_options(*BUILD_SETTINGS)
def train(dry_run: bool, as_json: bool, **options: Any) -> None:
    """Train on DATA, which has one folder of pictures a class, and build a bundle.

    DATA may hold train/ and validation/ with such folders each; else a fifth is kept to validate
    with. Nothing is written there. After an interruption the same command goes on.

    \b
    Examples:
      millisight train steel/ --name steel
      millisight train steel/ --name steel --base none --minutes 15
      millisight train shop/ --name shop --base efficientnet_lite0 --head-only
    """
    settings = take_settings(options)
    with building("train …"):
        # Before torch is there: its threads spin while they wait, and beside a server or another
        # training that made one take three times as long.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

        from millisight.build import console_steps
        from millisight.train.train import TrainOptions, look, train_bundle

    console = Console(stderr=True)

    def say(line: str) -> None:
        console.print(line, markup=False, highlight=False, soft_wrap=True)

    wanted = TrainOptions(**options)
    if dry_run:
        data = look(wanted, console_steps(console), say)
        if as_json:
            click.echo(data.findings.model_dump_json())
        return
    bundle = train_bundle(wanted, settings, console_steps(console), say)
    tell(bundle, served_as=bundle.manifest.name, as_json=as_json)
