"""``millisight classify``: pictures in, labels out."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from millisight.bundle import open_bundle
from millisight.classifier import Classifier, Result
from millisight.cli import exit_codes
from millisight.cli.options import one_model, setting_options
from millisight.errors import MillisightError
from millisight.pictures import pictures_in
from millisight.predictions import MAX_TOP_K
from millisight.settings import load_settings


@click.command(short_help="Label pictures and folders of pictures.")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option(
    "--top-k",
    type=click.IntRange(1, MAX_TOP_K),
    default=3,
    show_default=True,
    help="How many classes for each picture.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@setting_options("model", "threads", "device", "max_megapixels", "home")
def classify(paths: tuple[str, ...], top_k: int, as_json: bool, **flags: Any) -> None:
    """Label pictures; folders are searched for pictures.

    A picture that cannot be read is reported and the others go on; the exit code then is 3.

    \b
    Examples:
      millisight classify photo.jpg holiday/
      millisight classify --json --top-k 1 holiday/ | jq .predictions[0].label
    """
    settings = load_settings(flags)
    model = one_model(settings)
    pictures = pictures_in(paths)
    failures = 0
    bundle = open_bundle(model, settings.home)
    with Classifier(bundle, settings) as classifier:
        answers = classifier.classify_many(pictures, top_k, return_errors=True)
        for path, answer in zip(pictures, answers, strict=True):
            failures += not isinstance(answer, Result)
            _print(path, answer, as_json=as_json)
    if failures:
        raise click.exceptions.Exit(exit_codes.BAD_INPUT)


def _print(path: Path, answer: Result | MillisightError | OSError, *, as_json: bool) -> None:
    if not isinstance(answer, Result):
        if as_json:
            click.echo(json.dumps({"path": str(path), "error": str(answer)}, ensure_ascii=False))
        click.echo(f"{path}: {answer}", err=True)
    elif as_json:
        body = {"path": str(path), **asdict(answer)}
        if answer.uncertain is None:  # The model cannot say, which is not the same as no.
            del body["uncertain"]
        click.echo(json.dumps(body, ensure_ascii=False))
    else:
        best = ", ".join(f"{one.label} {one.confidence:.1%}" for one in answer.predictions)
        notes = [*(["uncertain"] if answer.uncertain else []), *answer.warnings]
        click.echo(f"{path}: {best}" + (f"  ({', '.join(notes)})" if notes else ""))
