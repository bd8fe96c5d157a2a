"""``millisight evaluate``: how often a model is right on labelled pictures."""

import json
import time
from pathlib import Path
from typing import Any

import click

from millisight.bundle import open_bundle
from millisight.classifier import Classifier, Result
from millisight.cli.options import setting_options
from millisight.errors import DataError
from millisight.evaluation import accuracy
from millisight.pictures import labelled_pictures
from millisight.settings import load_settings


@click.command(short_help="Measure accuracy and speed on labelled pictures.")
@click.argument("model")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@setting_options("threads", "device", "max_megapixels", "home")
def evaluate(model: str, folder: Path, as_json: bool, **flags: Any) -> None:
    """Top-1 and top-5 accuracy of MODEL on FOLDER, and pictures a second.

    FOLDER holds one folder a class, named like the class, or files named <index>_<anything>.
    Unreadable files are listed and left out.

    \b
    Example:
      millisight evaluate starter photographs/
    """
    settings = load_settings({**flags, "model": [model]})
    bundle = open_bundle(model, settings.home)
    labelled = labelled_pictures(folder, bundle.labels)
    answers: list[list[int]] = []
    truth: list[int] = []
    unreadable: list[str] = []
    with Classifier(bundle, settings) as classifier:
        started = time.monotonic()
        results = classifier.classify_many((path for path, _ in labelled), 5, return_errors=True)
        for (path, right), result in zip(labelled, results, strict=True):
            if isinstance(result, Result):
                answers.append([one.index for one in result.predictions])
                truth.append(right)
            else:
                unreadable.append(f"{path}: {result}")
        taken = time.monotonic() - started
    for line in unreadable:
        click.echo(line, err=True)
    if not answers:
        raise DataError(f"None of the pictures in {folder} can be read.")
    score = accuracy(answers, truth)
    speed = round(score.images / taken, 1)
    if as_json:
        body = score.model_dump() | {"images_per_second": speed, "unreadable": len(unreadable)}
        click.echo(json.dumps({"model": bundle.manifest.name, **body}))
    else:
        click.echo(
            f"{bundle.manifest.name} on {score.images} pictures: "
            f"top-1 {score.top1:.2f} %, top-5 {score.top5:.2f} %, {speed} images/s"
        )
