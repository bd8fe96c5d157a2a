"""What a training has reached, kept on disk so that it can go on after an interruption."""

import pickle
import shutil
from pathlib import Path
from typing import Any

import torch

from millisight.build.checkpoint import Checkpoint
from millisight.build.kept import PICTURES, WEIGHTS, Sides, sides_as_json
from millisight.drafts import new_file
from millisight.errors import NotWritten

STATE = "state.pt"
LABELS = "labels.txt"


class Saved:
    """The folder of one training."""

    def __init__(self, folder: Path, key: dict[str, Any]) -> None:
        """``key`` tells trainings apart: only what was kept under the same one is gone on from.

        Raises ``NotWritten`` where the folder cannot be made.
        """
        self.folder = folder
        self._key = key
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _not_written(folder, error) from error

    def read(self) -> dict[str, Any] | None:
        """What ``write`` was given last; ``None`` where there is nothing, or nothing of use."""
        try:
            content = torch.load(self.folder / STATE, map_location="cpu", weights_only=True)
        except (OSError, pickle.UnpicklingError, RuntimeError, ValueError, EOFError, KeyError):
            return None
        if not isinstance(content, dict) or content.get("key") != self._key:
            return None
        state: dict[str, Any] = content["state"]
        return state

    def write(self, state: dict[str, Any]) -> None:
        """Keep ``state``, tensors and plain values. Raises ``NotWritten``."""
        self._save({"key": self._key, "state": state}, STATE)

    def finish(self, trained: Checkpoint, labels: tuple[str, ...], sides: Sides) -> Path:
        """Keep what was trained, the names of its classes and the list of the pictures; returns
        the file of weights.

        Raises ``NotWritten``.
        """
        self._save(trained.content(), WEIGHTS)
        self._note("".join(f"{label}\n" for label in labels), LABELS)
        self._note(sides_as_json(sides), PICTURES)
        return self.folder / WEIGHTS

    def forget(self) -> None:
        """Remove what only going on needs."""
        (self.folder / STATE).unlink(missing_ok=True)

    def _note(self, text: str, name: str) -> None:
        target = self.folder / name
        try:
            with new_file(target) as draft:
                draft.write_text(text, encoding="utf-8")
        except OSError as error:
            raise _not_written(target, error) from error

    def _save(self, content: dict[str, Any], name: str) -> None:
        target = self.folder / name
        try:
            with new_file(target) as draft:
                torch.save(content, draft)
        # torch's own writer reports a full disk as a RuntimeError.
        except (OSError, RuntimeError) as error:
            raise _not_written(target, error) from error


def _not_written(target: Path, error: Exception) -> NotWritten:
    reason = error.strerror if isinstance(error, OSError) else ""
    if not reason and shutil.disk_usage(target.parent).free < 1 << 28:
        reason = "the disk is full"
    return NotWritten(
        f"{target} cannot be written: {reason or error}.",
        hint="MILLISIGHT_HOME chooses another folder. What was kept before is still there.",
    )
