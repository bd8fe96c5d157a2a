"""Second models for tests: the starter under another name, with other classes."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

from millisight.bundle import (
    LABELS,
    MANIFEST,
    REPORT,
    REPORT_DATA,
    Bundle,
    new_bundle,
    starter_path,
    store,
    write_labels,
    write_manifest,
)
from millisight.bundlefiles import describe_file
from millisight.manifest import Confidence, Manifest

CONFIDENCE = Confidence(
    images=100,
    temperature=2.5,
    ece_before=0.2,
    ece_after=0.03,
    ece_by_chance=0.02,
    min_precision=0.9,
    threshold=0.5,
    precision=0.95,
    coverage=0.8,
)
"""What a bundle says that was built with ``--min-precision 0.9``."""


def build(
    home: Path,
    name: str,
    prefix: str,
    *,
    confidence: Confidence | None = None,
    report: str | None = None,
) -> None:
    """Put a bundle ``name`` in the store, as ``build`` would, or in place of the one that is there.

    It is the starter, but each of its labels begins with ``prefix`` and has no translation, and it
    may have a ``confidence`` and a ``report``.
    """
    with new_bundle(store(home) / name) as draft:
        for file in starter_path().iterdir():
            shutil.copy(file, draft)
        content = json.loads((draft / MANIFEST).read_text())
        del content["digest"]
        labels = json.loads((draft / LABELS).read_text())["labels"]
        write_labels(draft, [f"{prefix} {label}" for label in labels])
        changed = [LABELS]
        if report is not None:
            changed += [REPORT, REPORT_DATA]
            (draft / REPORT).write_text(report, encoding="utf-8")
            (draft / REPORT_DATA).write_text("{}")
        content["files"] |= {file: describe_file(draft / file).model_dump() for file in changed}
        content |= {"name": name, "confidence": confidence}
        write_manifest(draft, Manifest.model_validate(content))


def without_network(bundle: Bundle) -> Bundle:
    """``bundle`` with a network that OpenVINO cannot load."""
    return replace(bundle, graph=replace(bundle.graph, xml=b"<net/>"))


def damage(home: Path, name: str) -> None:
    """Change some bytes of that bundle."""
    with (store(home) / name / "model.bin").open("r+b") as file:
        file.write(b"\0\1\2\3")
