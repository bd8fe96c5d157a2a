"""What the commands that embed have in common: pictures in, rows out, and how far it is."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from millisight.answers import Embedding
from millisight.classifier import Classifier
from millisight.cli.progress import pictures_progress
from millisight.cli.terminal import say
from millisight.features import Origin


class Reader:
    """Embeds pictures and reports those that cannot be read."""

    def __init__(self, classifier: Classifier, *, normalize: bool = False) -> None:
        self._classifier = classifier
        self._normalize = normalize
        self.failed = 0
        """How many could not be read so far."""

    @property
    def origin(self) -> Origin:
        """What makes the embeddings. Raises ``NotEmbeddable``."""
        manifest = self._classifier.bundle.manifest
        return Origin(
            model=manifest.name,
            digest=manifest.digest(),
            dimensions=self._classifier.embedder.dimensions,
            normalized=self._normalize,
        )

    def rows(self, pictures: Sequence[Path]) -> Iterator[tuple[str, NDArray[np.float32]]]:
        """Path and embedding of each picture that can be read; the others go to stderr.

        On a terminal, stderr also shows how far it is, how fast, and the time left.
        """
        answers = self._classifier.embed_many(
            pictures, normalize=self._normalize, return_errors=True
        )
        with pictures_progress() as progress:
            task = progress.add_task("embed", total=len(pictures))
            for path, answer in zip(pictures, answers, strict=True):
                progress.advance(task)
                if not isinstance(answer, Embedding):
                    self._report(path, str(answer))
                elif not _is_text(str(path)):
                    self._report(path, "Its name is not UTF-8.")
                else:
                    yield str(path), answer.vector

    def _report(self, path: Path, reason: str) -> None:
        self.failed += 1
        say(f"{path}: {reason}", err=True)


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
