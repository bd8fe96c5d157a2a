"""``millisight classify``: pictures in, labels out."""

import json
from dataclasses import asdict
from itertools import chain, tee
from pathlib import Path
from typing import Any

import click

from millisight.answers import Result
from millisight.bundle import one_model, open_bundle
from millisight.classifier import Classifier
from millisight.cli import exit_codes
from millisight.cli.complete import complete_file
from millisight.cli.options import setting_options
from millisight.cli.terminal import say
from millisight.errors import MillisightError
from millisight.pictures import find_pictures, named, no_pictures
from millisight.predictions import MAX_TOP_K
from millisight.results import SUFFIXES
from millisight.rows import as_text
from millisight.settings import load_settings


def _check_output(
    _context: click.Context, _option: click.Parameter, output: str | None
) -> str | None:
    # Not a path yet: on Ray it may be an address.
    if output is not None and Path(output).suffix not in SUFFIXES:
        raise click.BadParameter(f"{output} must end in {', '.join(SUFFIXES)}.")
    return output


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...", shell_complete=complete_file)
@click.option(
    "--top-k",
    type=click.IntRange(1, MAX_TOP_K),
    default=3,
    show_default=True,
    help="How many classes for each picture.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@click.option(
    "--output",
    metavar="PATH",
    callback=_check_output,
    help="File to write results to instead: .parquet, .csv or .jsonl. What it holds already is "
    "not done again.",
)
@click.option("--fresh", is_flag=True, help="Drop what the output holds and begin anew.")
@click.option(
    "--move-into",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Move each picture into a folder of its class in this one; those that the model is "
    "uncertain about into the folder uncertain.",
)
@click.option("--dry-run", is_flag=True, help="Show where pictures would be moved; write nothing.")
@click.option(
    "--ray",
    "ray_address",
    metavar="ADDRESS",
    help="Do it on the Ray cluster there (auto: the one of this machine; local: one made for "
    "this), into a folder of Parquet files: see docs/scale.md. Needs the extra ray.",
)
@click.option("--embeddings", is_flag=True, help="On Ray: a column of embeddings, too.")
@click.option(
    "--column",
    help="On Ray: where tables that end in .parquet have their pictures. [default: image]",
)
@setting_options("model", "threads", "device", "max_batch", "max_megapixels", "home")
def classify(
    paths: tuple[str, ...],
    top_k: int,
    as_json: bool,
    output: str | None,
    fresh: bool,
    move_into: Path | None,
    dry_run: bool,
    ray_address: str | None,
    embeddings: bool,
    column: str | None,
    **flags: Any,
) -> None:
    """Label pictures; folders are searched for pictures, and patterns such as 'a/*.jpg' resolved.

    A picture that cannot be read is reported and the others go on; the exit code then is 3. With
    --output, a run that was interrupted goes on where it stopped when it is started again.
    Parquet needs the extra embed.

    \b
    Examples:
      millisight classify photo.jpg holiday/
      millisight classify --json --top-k 1 holiday/ | jq .predictions[0].label
      millisight classify archive/ --output results.csv
      millisight classify inbox/ --move-into sorted/ --dry-run
      millisight classify s3://bucket/archive --ray auto --output s3://bucket/labels.parquet
    """
    _check_together(output, move_into, fresh=fresh, dry_run=dry_run)
    if move_into:
        _check_apart(paths, move_into)
    if ray_address or embeddings or column:
        if move_into:
            raise click.UsageError("--move-into does not go with --ray.")
        from millisight.cli.cluster import classify_on

        asked = {"top_k": top_k, "fresh": fresh, "embeddings": embeddings, "column": column}
        classify_on(ray_address, paths, output, as_json=as_json, asked=asked, flags=flags)
        return
    settings = load_settings(flags)
    bundle = open_bundle(one_model(settings.model), settings.home)
    if output or move_into:
        # Who asks for a few labels need not wait for what shows progress.
        from millisight.cli.folders import Run, Wanted

        target = Path(output) if output else None
        wanted = Wanted(paths, top_k, as_json, target, move_into, dry_run, fresh)
        Run(wanted, bundle, settings).run()
        return
    named(paths)
    with Classifier(bundle, settings) as classifier:
        _answer(classifier, paths, top_k, as_json=as_json)


def _check_together(
    output: str | None, move_into: Path | None, *, fresh: bool, dry_run: bool
) -> None:
    """Raises ``UsageError`` for what says nothing without another option."""
    if dry_run and (output or not move_into):
        raise click.UsageError("--dry-run goes with --move-into, and without --output.")
    if fresh and not output:
        raise click.UsageError("--fresh goes with --output.")


def _check_apart(paths: tuple[str, ...], folder: Path) -> None:
    """Folders of classes would be walked like the pictures to sort. Raises ``UsageError``."""
    for path in map(Path, paths):
        if path.exists() and folder.exists() and path.samefile(folder):
            raise click.UsageError(
                f"Pictures of {path} cannot be moved into {folder}, which is the same folder: "
                "name another one with --move-into. It may be in there."
            )


def _answer(classifier: Classifier, paths: tuple[str, ...], top_k: int, *, as_json: bool) -> None:
    failures = 0

    def complain(error: OSError) -> None:
        nonlocal failures
        failures += 1
        say(f"{error.filename}: {error.strerror}", err=True)

    pictures = find_pictures(named(paths), complain=complain)
    first = next(pictures, None)
    if first is None and not failures:
        raise no_pictures(paths)
    ahead, behind = tee(chain([] if first is None else [first], pictures))
    answers = classifier.classify_many(ahead, top_k, return_errors=True)
    for path, answer in zip(behind, answers, strict=True):
        failures += not isinstance(answer, Result)
        _print(as_text(path), answer, as_json=as_json)
    if failures:
        raise click.exceptions.Exit(exit_codes.BAD_INPUT)


def _print(path: str, answer: Result | MillisightError | OSError, *, as_json: bool) -> None:
    if not isinstance(answer, Result):
        if as_json:
            say(json.dumps({"path": path, "error": str(answer)}, ensure_ascii=False))
        say(f"{path}: {answer}", err=True)
    elif as_json:
        body = {"path": path, **asdict(answer)}
        if answer.uncertain is None:  # The model cannot say, which is not the same as no.
            del body["uncertain"]
        say(json.dumps(body, ensure_ascii=False))
    else:
        best = ", ".join(f"{one.label} {one.confidence:.1%}" for one in answer.predictions)
        notes = [*(["uncertain"] if answer.uncertain else []), *answer.warnings]
        say(f"{path}: {best}" + (f"  ({', '.join(notes)})" if notes else ""))
