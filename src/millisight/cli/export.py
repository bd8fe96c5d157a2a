"""``millisight export``: a model for other programs. Imports their libraries only when run."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

import click
from rich.console import Console

from millisight.cli.built import (
    BUILD_SETTINGS,
    building,
    calibration_option,
    images_option,
    json_option,
    labels_option,
    take_settings,
    weights_option,
)
from millisight.cli.complete import complete_model
from millisight.cli.options import setting_options
from millisight.compare.formats import FORMATS, SUFFIXES, check_file, check_precision
from millisight.manifest import Accuracy, Precision


@click.command()
@click.argument("model", shell_complete=complete_model)
@click.option(
    "--format",
    type=click.Choice(tuple(FORMATS)),
    required=True,
    help="TorchScript for C++ and libtorch, ONNX, or OpenVINO's own format.",
)
@click.option(
    "--precision",
    type=click.Choice(get_args(Precision)),
    default="float32",
    show_default=True,
    help="Arithmetic of the network. TorchScript is float32; ONNX float32 or int8.",
)
@weights_option
@labels_option
@images_option
@calibration_option
@click.option(
    "--output", type=click.Path(path_type=Path), help="File to write. [default: named after MODEL]"
)
@json_option
@setting_options(*BUILD_SETTINGS)
def export(model: str, output: Path | None, as_json: bool, **given: Any) -> None:
    """Write MODEL into one file (OpenVINO: two) and check its answers against the bundle with the
    same weights, or where there is none, against the graph that a bundle is made of.

    MODEL is one that build knows, or a bundle that train made. The input is uint8 pixels
    (n, height, width, 3), RGB; normalisation is inside. What the input must be and the names of
    the classes are written into the file.

    \b
    Examples:
      millisight export resnet18 --format torchscript
      millisight export efficientnet_lite0 --format onnx --precision int8 --images labelled/
    """
    settings = take_settings(given)
    check_precision(given["format"], given["precision"])
    file = output or Path(f"{model}-{given['precision']}{SUFFIXES[given['format']]}")
    check_file(given["format"], file)
    with building("export …", "build,compare"):
        from millisight.build import console_steps
        from millisight.compare.export import ExportOptions
        from millisight.compare.export import export as run
    options = ExportOptions(model=model, output=file, **given)
    done = run(options, settings, console_steps(Console(stderr=True)))
    if as_json:
        body = asdict(done) | {"file": str(done.file)}
        click.echo(json.dumps(body, default=Accuracy.model_dump, ensure_ascii=False))
        return
    click.echo(f"Written to {done.file}, {done.size_mb:.1f} MB")
    click.echo(
        f"Against {done.bundle}, on {done.pictures}: same first answer on {done.agreement:.2f} %, "
        f"largest logit difference {done.max_logit_difference:.1e}"
    )
    if done.accuracy and done.bundle_accuracy:
        click.echo(f"Accuracy: {_shown(done.accuracy)}; the bundle: {_shown(done.bundle_accuracy)}")


def _shown(accuracy: Accuracy) -> str:
    return f"top-1 {accuracy.top1:.2f} %, top-5 {accuracy.top5:.2f} %"
