"""Offline: pictures of a folder, a bucket or tables to Parquet, on all machines of a Ray cluster.

The list of what there is to do is written down first. Then workers, each with a classifier of its
own, take pieces of it, read the pictures where they lie, and hand on rows; others write these as
Parquet files. So no picture travels through Ray, and whatever dies is done again from the list.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import ray

from millisight.activation import embedding_size
from millisight.bundle import Bundle, one_model
from millisight.columnar import KEY, result_columns
from millisight.errors import NotEmbeddable, NotWritten
from millisight.predictions import check_top_k
from millisight.runtime import import_openvino, parse_graph
from millisight.scale import storage
from millisight.scale.bundles import open_pinned, pin
from millisight.scale.labelling import Labelling, Worker
from millisight.scale.listing import Listing
from millisight.scale.parts import Parts
from millisight.seen import Seen
from millisight.settings import load_settings

CORES_PER_WORKER = 4
"""What a worker has where nothing else is said, and where its node has so many."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What the folder of results holds."""

    model: str
    pictures: int
    now: int
    """How many of them were classified by this run."""
    unusable: int


def classify(
    paths: Sequence[str],
    output: str,
    *,
    top_k: int = 3,
    embeddings: bool = False,
    column: str | None = None,
    rows_per_file: int = 10_000,
    fresh: bool = False,
    **flags: Any,
) -> Summary:
    """Classify the pictures of ``paths`` into the folder ``output``, one row each.

    ``paths`` are folders, files, patterns, or addresses such as ``s3://bucket/folder``; what ends
    in ``.parquet`` is a table, or a folder of tables, with pictures in ``column`` (``image``).
    ``output`` is a path that all nodes share, or an address: a folder of Parquet files with the
    columns that ``millisight classify`` writes, and ``embedding`` if asked for. What it holds is
    not done again, unless ``fresh``. Files have at least ``rows_per_file``, but the last ones.

    ``flags`` are settings by name; ``threads`` is the cores of a worker. Connects to Ray as
    ``ray.init()`` does where nobody has. Raises ``MillisightError`` of many kinds.
    """
    check_top_k(top_k)
    if not ray.is_initialized():
        ray.init()
    wanted = _wanted(flags, top_k, column or "image", embeddings=embeddings)
    about = json.loads(wanted.schema.metadata[KEY.encode()])
    parts = Parts(output, about)
    listing = Listing(f"{output}.partial")
    with Seen() as seen:
        parts.open(seen, fresh=fresh)
        expected = parts.rows
        listing.remove()
        listing.write(paths, wanted.column, seen.add)
    if listing.pictures:
        _run(listing, parts, wanted, rows_per_file)
        parts.count()
        expected += listing.pictures
    listing.remove()
    if parts.rows != expected:
        raise NotWritten(
            f"{output} has {parts.rows} rows where there should be {expected}.",
            hint="Begin anew with --fresh. Did somebody else write there?",
        )
    return Summary(about["model"], parts.rows, listing.pictures, parts.errors)


def _wanted(flags: dict[str, Any], top_k: int, column: str, *, embeddings: bool) -> Labelling:
    """What to tell the workers. Raises what finding the model does, and ``NotEmbeddable``."""
    threads = load_settings(flags).threads or _cores_of_a_worker()
    settings = load_settings({**flags, "threads": threads})
    model = pin([one_model(settings.model)], settings.home)
    [bundle] = open_pinned(model, settings.home).values()
    schema = _schema(bundle, top_k, embeddings=embeddings)
    chosen = {**flags, "threads": threads, "model": model}
    return Labelling(chosen, threads, top_k, column, embeddings, schema)


def _run(listing: Listing, parts: Parts, wanted: Labelling, rows_per_file: int) -> None:
    """All of ``listing`` into ``parts``."""
    # Not read by Ray Data: on a small cluster its reading would wait for cores that workers have.
    files = ray.data.from_items(listing.files, override_num_blocks=len(listing.files))
    rows = files.map_batches(
        Worker,
        fn_constructor_args=[wanted],
        batch_size=None,
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=_most_workers(wanted.threads)),
        num_cpus=wanted.threads,
    )
    rows.write_parquet(
        parts.root,
        filesystem=storage.for_arrow(parts.system),
        min_rows_per_file=rows_per_file,
        # Writing rows takes next to nothing: the workers have the cores.
        ray_remote_args={"num_cpus": 0},
        schema=wanted.schema,
        compression="zstd",
    )


def _schema(bundle: Bundle, top_k: int, *, embeddings: bool) -> Any:
    """Of the results, with what they say of themselves."""
    columns = result_columns()
    if embeddings:
        size = embedding_size(parse_graph(bundle.graph, import_openvino().Core()))
        if size is None:
            raise NotEmbeddable(f"Model {bundle.manifest.name} has no embeddings.")
        columns.append(("embedding", pa.list_(pa.float32(), size)))
    about = {"model": bundle.manifest.name, "digest": bundle.manifest.digest(), "moved": False}
    about |= {"top_k": top_k, "embeddings": embeddings}
    return pa.schema(columns, metadata={KEY: json.dumps(about)})


def _cores() -> list[int]:
    """Of each node that has any."""
    nodes = (node["Resources"].get("CPU", 0) for node in ray.nodes() if node["Alive"])
    return [int(cores) for cores in nodes if cores >= 1]


def _cores_of_a_worker() -> int:
    return min([CORES_PER_WORKER, *_cores()])


def _most_workers(threads: int) -> int:
    return max(1, sum(cores // threads for cores in _cores()))
