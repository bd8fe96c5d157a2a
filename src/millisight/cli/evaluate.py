"""``millisight evaluate``: how often a model is right on labelled pictures."""

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import numpy as np

from millisight.answers import Result
from millisight.bundle import open_bundle
from millisight.classifier import Classifier
from millisight.cli.complete import complete_model
from millisight.cli.options import setting_options
from millisight.cli.terminal import say
from millisight.errors import DataError
from millisight.evaluation import accuracy, calibration_error, certainty
from millisight.pictures import labelled_pictures
from millisight.settings import load_settings


@click.command()
@click.argument("model", shell_complete=complete_model)
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@setting_options("threads", "device", "max_megapixels", "home")
def evaluate(model: str, folder: Path, as_json: bool, **flags: Any) -> None:
    """Top-1 and top-5 accuracy of MODEL on FOLDER, how far its confidences are from the truth,
    and pictures a second.

    Where the model was built with --min-precision, also how much it is uncertain about, and the
    accuracy on the rest. FOLDER holds one folder a class, named like the class, or files named
    <index>_<anything>. Unreadable files are listed and left out.

    \b
    Example:
      millisight evaluate starter photographs/
    """
    settings = load_settings({**flags, "model": [model]})
    bundle = open_bundle(model, settings.home)
    labelled = labelled_pictures(folder, bundle.labels)
    answers: list[Result] = []
    truth: list[int] = []
    unreadable: list[str] = []
    with Classifier(bundle, settings) as classifier:
        started = time.monotonic()
        results = classifier.classify_many((path for path, _ in labelled), 5, return_errors=True)
        for (path, right), result in zip(labelled, results, strict=True):
            if isinstance(result, Result):
                answers.append(result)
                truth.append(right)
            else:
                unreadable.append(f"{path}: {result}")
        taken = time.monotonic() - started
    for line in unreadable:
        say(line, err=True)
    if not answers:
        raise DataError(f"None of the pictures in {folder} can be read.")
    body = _measured(answers, truth)
    body |= {"images_per_second": round(len(truth) / taken, 1), "unreadable": len(unreadable)}
    if as_json:
        click.echo(json.dumps({"model": bundle.manifest.name, **body}))
    else:
        click.echo(f"{bundle.manifest.name} on {len(truth)} pictures: {_in_words(body)}")


def _measured(answers: list[Result], truth: list[int]) -> dict[str, Any]:
    """Accuracy in percent, the expected calibration error, and what the threshold does, if any."""
    indices = [[one.index for one in answer.predictions] for answer in answers]
    right = np.array([best[0] == index for best, index in zip(indices, truth, strict=True)])
    confidences = np.array([answer.predictions[0].confidence for answer in answers])
    figures = accuracy(indices, truth).model_dump()
    figures["calibration_error"] = round(calibration_error(confidences, right), 4)
    if answers[0].uncertain is not None:
        uncertain = np.array([answer.uncertain for answer in answers])
        figures |= asdict(certainty(uncertain, right))
    return figures


def _in_words(figures: dict[str, Any]) -> str:
    words = (
        "top-1 {top1:.2f} %, top-5 {top5:.2f} %, "
        "expected calibration error {calibration_error:.3f}, {images_per_second} images/s"
    )
    if "uncertain" in figures:
        words += "\nuncertain about {uncertain:.2f} % of them"
        if figures["top1_when_certain"] is not None:
            words += "; top-1 {top1_when_certain:.2f} % on the others"
    return words.format_map(figures)
