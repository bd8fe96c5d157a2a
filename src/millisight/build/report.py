"""The report beside a bundle: what was found on labelled pictures, as JSON and as one HTML page."""

from base64 import b64encode
from io import BytesIO
from pathlib import Path
from typing import get_args

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from millisight.activation import with_maps
from millisight.build.calibrate import Pixels
from millisight.build.findings import Findings, Remark
from millisight.bundle import GRAPH, REPORT, REPORT_DATA
from millisight.engine import OpenVINOEngine
from millisight.heatmap import blend
from millisight.image import Limits, decode
from millisight.manifest import Manifest
from millisight.runtime import read_graph

MATRIX_CLASSES = 30
"""With more classes, confusions are listed instead of drawn as a matrix."""

_THUMBNAIL = 144


def write_report(draft: Path, findings: Findings, manifest: Manifest, pictures: list[Path]) -> None:
    """Write both files into ``draft``, which has the graph already.

    ``pictures`` are those that the findings count. The page carries the wrongly answered ones as
    small copies; it has no script and asks for nothing from anywhere.
    """
    text = findings.model_dump_json(indent=1)
    (draft / REPORT_DATA).write_text(text + "\n", encoding="utf-8")
    environment = Environment(
        loader=PackageLoader("millisight.build", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("report.html.j2").render(
        found=findings,
        labels=[one.label for one in findings.classes],
        lacking={
            remark: [one for one in findings.classes if remark in one.remarks]
            for remark in get_args(Remark)
        },
        matrix=_matrix(findings),
        thumbnails=_thumbnails(draft, findings, manifest, pictures),
        architecture=manifest.architecture,
        precision=manifest.precision,
    )
    (draft / REPORT).write_text(page, encoding="utf-8")


def _matrix(findings: Findings) -> list[list[int]] | None:
    """How many pictures of each class (row) were given each answer, where there is room."""
    classes = findings.classes
    if len(classes) > MATRIX_CLASSES:
        return None
    matrix = np.zeros((len(classes), len(classes)), int)
    for one in findings.confusions:
        matrix[one.truth, one.answer] = one.images
    missed = matrix.sum(axis=1)
    np.fill_diagonal(matrix, [one.images for one in classes] - missed)
    rows: list[list[int]] = matrix.tolist()
    return rows


def _thumbnails(
    draft: Path, findings: Findings, manifest: Manifest, pictures: list[Path]
) -> list[tuple[str, str | None]]:
    """Each of ``findings.mistakes`` as the network saw it and, where there are such maps, with
    what spoke for the wrong answer; as data URLs."""
    engine = None
    if manifest.activation_map and findings.mistakes:
        engine = OpenVINOEngine(
            read_graph(draft / GRAPH), precision=manifest.precision, threads=1, change=with_maps
        )
    drawn: list[tuple[str, str | None]] = []
    for one in findings.mistakes:
        data = pictures[one.picture].read_bytes()
        pixels = decode(data, manifest.preprocess, Limits()).pixels
        explained = None
        if engine is not None:
            cells = engine.infer(pixels[None])[0, one.answer, 1:].reshape(manifest.activation_map)
            explained = _data_url(blend(pixels, cells))
        drawn.append((_data_url(pixels), explained))
    return drawn


def _data_url(pixels: Pixels) -> str:
    file = BytesIO()
    small = Image.fromarray(pixels)
    small.thumbnail((_THUMBNAIL, _THUMBNAIL))
    small.save(file, "WEBP", quality=80)
    return f"data:image/webp;base64,{b64encode(file.getvalue()).decode()}"
