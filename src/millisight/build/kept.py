"""What a training leaves in the home folder besides the bundle: weights, and which pictures."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

WEIGHTS = "weights.pth"
PICTURES = "pictures.json"

Labelled = Sequence[tuple[Path, int]]
"""Pictures and the index of the class of each."""


@dataclass(frozen=True, slots=True)
class Sides:
    """The pictures that weights were fitted to, and those that they were validated with."""

    train: Labelled = ()
    validation: Labelled = ()


def training_folder(home: Path, name: str) -> Path:
    """Where the training of the bundle ``name`` keeps what it has reached."""
    return home / "training" / name


def sides_as_json(sides: Sides) -> str:
    """``sides`` for ``PICTURES``, with absolute paths; any name of a file can be written."""
    return json.dumps(
        {
            title: [(str(path.absolute()), index) for path, index in side]
            for title, side in (("train", sides.train), ("validation", sides.validation))
        }
    )


def read_sides(folder: Path) -> Sides:
    """What of ``PICTURES`` in ``folder`` is still there; nothing where that was never written."""
    try:
        content = json.loads((folder / PICTURES).read_text(encoding="utf-8"))
        train, validation = (
            [(Path(path), int(index)) for path, index in content[title] if Path(path).is_file()]
            for title in ("train", "validation")
        )
    except (OSError, ValueError, TypeError, KeyError):
        return Sides()
    return Sides(train, validation)
