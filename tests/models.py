"""Second models for tests: the starter under another name, with other classes."""

import json
import shutil
from pathlib import Path

from millisight.bundle import (
    LABELS,
    MANIFEST,
    describe_file,
    new_bundle,
    starter_path,
    store,
    write_labels,
    write_manifest,
)
from millisight.manifest import Manifest


def build(home: Path, name: str, prefix: str) -> None:
    """Put a bundle ``name`` in the store, as ``build`` would, or in place of the one that is there.

    It is the starter, but each of its labels begins with ``prefix`` and has no translation.
    """
    with new_bundle(store(home) / name) as draft:
        for file in starter_path().iterdir():
            shutil.copy(file, draft)
        content = json.loads((draft / MANIFEST).read_text())
        del content["digest"]
        labels = json.loads((draft / LABELS).read_text())["labels"]
        write_labels(draft, [f"{prefix} {label}" for label in labels])
        content["files"][LABELS] = describe_file(draft / LABELS).model_dump()
        write_manifest(draft, Manifest.model_validate(content | {"name": name}))


def damage(home: Path, name: str) -> None:
    """Change some bytes of that bundle."""
    with (store(home) / name / "model.bin").open("r+b") as file:
        file.write(b"\0\1\2\3")
