"""``millisight search``: which of many pictures are most like this one."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
import numpy as np

from millisight.bundle import Bundle, one_model, open_bundle
from millisight.classifier import Classifier
from millisight.cli import exit_codes
from millisight.cli.complete import complete_file
from millisight.cli.embedding import Reader
from millisight.cli.options import setting_options
from millisight.cli.terminal import say
from millisight.errors import BadFeatures, DataError
from millisight.features import blocks_of, read
from millisight.nearest import Block, Match, nearest
from millisight.pictures import pictures_in
from millisight.settings import load_settings


@click.command()
@click.argument(
    "queries", nargs=-1, required=True, metavar="QUERY...", shell_complete=complete_file
)
@click.option(
    "--in",
    "source",
    type=click.Path(path_type=Path),
    required=True,
    help="Where to search: a file that `millisight embed` wrote, or a folder of pictures.",
)
@click.option(
    "--top-k",
    type=click.IntRange(1, 1000),
    default=5,
    show_default=True,
    help="How many pictures for each query.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@setting_options("model", "threads", "device", "max_batch", "max_megapixels", "home")
def search(queries: tuple[str, ...], source: Path, top_k: int, as_json: bool, **flags: Any) -> None:
    """Find the pictures most similar to each QUERY, a picture or a folder of them, with the
    cosine between their embeddings: 1 is the same.

    All are compared, so none is missed. A file must be of the very model that embeds the queries.
    A picture that cannot be read is reported and left out; the exit code then is 3. Needs the
    extra embed.

    \b
    Examples:
      millisight search photo.jpg --in features.parquet
      millisight search photo.jpg --in holiday/ --top-k 3 --json
    """
    settings = load_settings(flags)
    asked = pictures_in(queries)
    bundle = open_bundle(one_model(settings.model), settings.home)
    # Before the network is made ready: what is wrong with a file is said at once.
    kept = None if source.is_dir() else _blocks(source, bundle)
    with Classifier(bundle, settings) as classifier:
        reader = Reader(classifier)
        blocks = blocks_of(reader.rows(pictures_in([str(source)]))) if kept is None else kept
        rows = list(reader.rows(asked))
        if not rows:
            raise DataError("None of the queries can be read.")
        found = nearest(np.stack([vector for _, vector in rows]), blocks, top_k)
    if not found[0]:
        raise DataError(f"None of the pictures in {source} can be read.")
    for (path, _), matches in zip(rows, found, strict=True):
        _print(path, matches, as_json=as_json)
    if reader.failed:
        raise click.exceptions.Exit(exit_codes.BAD_INPUT)


def _blocks(file: Path, bundle: Bundle) -> Iterable[Block]:
    """What ``file`` holds. Raises ``BadFeatures`` where ``bundle`` is not what made it."""
    origin, blocks = read(file)
    name, digest = bundle.manifest.name, bundle.manifest.digest()
    if origin.digest != digest:
        raise BadFeatures(
            f"{file} was made by model {origin.model} ({origin.digest[:12]}), not by "
            f"{name} ({digest[:12]}).",
            hint="Name that model with --model, or embed the pictures again.",
        )
    return blocks


def _print(path: str, matches: list[Match], *, as_json: bool) -> None:
    if as_json:
        found = [{"path": one.name, "similarity": round(one.similarity, 6)} for one in matches]
        say(json.dumps({"path": path, "matches": found}, ensure_ascii=False))
        return
    say(path)
    for one in matches:
        say(f"  {one.similarity:.4f}  {one.name}")
