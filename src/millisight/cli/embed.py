"""``millisight embed``: pictures in, a file of embeddings out."""

import json
import time
from pathlib import Path
from typing import Any

import click

from millisight.bundle import one_model, open_bundle
from millisight.classifier import Classifier
from millisight.cli import exit_codes
from millisight.cli.complete import complete_file
from millisight.cli.embedding import Reader
from millisight.cli.options import setting_options
from millisight.features import SUFFIXES, blocks_of, write
from millisight.pictures import pictures_in
from millisight.settings import load_settings


def _check_output(_context: click.Context, _option: click.Parameter, output: Path) -> Path:
    if output.suffix not in SUFFIXES:
        raise click.BadParameter(f"{output} must end in {' or '.join(SUFFIXES)}.")
    return output


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...", shell_complete=complete_file)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    callback=_check_output,
    help="File to write: Parquet where it ends in .parquet, NumPy's where it ends in .npz.",
)
@click.option(
    "--normalize", is_flag=True, help="Scale each embedding to length 1. [default: as they are]"
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@setting_options("model", "threads", "device", "max_batch", "max_megapixels", "home")
def embed(
    paths: tuple[str, ...], output: Path, normalize: bool, as_json: bool, **flags: Any
) -> None:
    """Write what the network knows of each picture before it decides: the input of its last
    layer. Folders are searched for pictures.

    The file appears when it is whole. A picture that cannot be read is reported and left out; the
    exit code then is 3. Parquet needs the extra embed.

    \b
    Examples:
      millisight embed holiday/ --output features.parquet
      millisight embed --normalize photo.jpg --output features.npz
    """
    settings = load_settings(flags)
    pictures = pictures_in(paths)
    bundle = open_bundle(one_model(settings.model), settings.home)
    with Classifier(bundle, settings) as classifier:
        reader = Reader(classifier, normalize=normalize)
        origin = reader.origin
        started = time.monotonic()
        count = write(output, origin, blocks_of(reader.rows(pictures)))
        speed = count / (time.monotonic() - started)
    if as_json:
        body = {"output": str(output), "embeddings": count, **origin.model_dump()}
        body |= {"unusable": reader.failed, "images_per_second": round(speed, 1)}
        click.echo(json.dumps(body, ensure_ascii=False))
    else:
        click.echo(
            f"{count} embeddings of {origin.dimensions} numbers by {origin.model}: {output} "
            f"({speed:.1f} images/s)"
        )
    if reader.failed:
        raise click.exceptions.Exit(exit_codes.BAD_INPUT)
