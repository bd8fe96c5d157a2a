"""Many pictures, each classified once: results into a file, pictures into folders."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from itertools import chain, islice, tee
from pathlib import Path
from threading import Thread

import click
from rich.progress import Progress

from millisight.answers import Result
from millisight.bundle import Bundle
from millisight.classifier import Classifier
from millisight.cli import exit_codes
from millisight.cli.progress import pictures_progress
from millisight.cli.terminal import say
from millisight.errors import DataError, ImageError, NotWritten
from millisight.pictures import find_pictures, named, no_pictures
from millisight.results import Results, model_of
from millisight.rows import as_text, row_of
from millisight.seen import Seen
from millisight.settings import Settings
from millisight.sorting import Mover, Plan


@dataclass(frozen=True)
class Wanted:
    """What to do with the answers."""

    paths: Sequence[str]
    top_k: int
    as_json: bool
    output: Path | None
    move_into: Path | None
    dry_run: bool
    fresh: bool


class Run:
    """One walk through all pictures."""

    def __init__(self, wanted: Wanted, bundle: Bundle, settings: Settings) -> None:
        self._wanted = wanted
        self._bundle = bundle
        self._settings = settings
        self._manifest = bundle.manifest
        self._model = model_of(self._manifest)
        # Who is named twice is moved when his second turn comes.
        self._paths = named(dict.fromkeys(wanted.paths))
        self._results: Results | None = None
        self._sorter: Plan | None = None
        self._is_new: Callable[[str], bool]
        self._count = 0
        self._seconds = 0.0
        self._unread = 0
        """Pictures that could not be read or moved, and folders."""

    def run(self) -> None:
        """Do all of it, or what is left of it; raises ``Exit`` where something was unusable."""
        try:
            with ExitStack() as stack:
                self._enter(stack)
                self._walk()
                if self._results is not None:
                    self._results.finish()
        except KeyboardInterrupt:
            if self._results is not None:
                click.echo(self._results.going_on, err=True)
            raise
        self._conclude()

    def _enter(self, stack: ExitStack) -> None:
        wanted = self._wanted
        moves = wanted.move_into is not None
        if wanted.output is not None:
            results = Results(
                wanted.output, self._manifest, wanted.top_k, moved=moves, fresh=wanted.fresh
            )
            self._results = stack.enter_context(results)
            self._unread = results.errors
            self._is_new = results.is_new
        else:
            self._is_new = stack.enter_context(Seen()).add
        if wanted.move_into is not None:
            labels = self._bundle.labels
            self._sorter = stack.enter_context(
                Plan(wanted.move_into, labels)
                if wanted.dry_run
                else _mover(wanted.move_into, labels, self._results)
            )

    def _walk(self) -> None:
        pictures = self._pictures(self._complain)
        # Where there is none, the network need not be made ready.
        first = list(islice(pictures, 1))
        if not first:
            return
        ahead, behind = tee(chain(first, pictures))
        with (
            Classifier(self._bundle, self._settings) as classifier,
            pictures_progress() as progress,
        ):
            answers = classifier.classify_many(ahead, self._wanted.top_k, return_errors=True)
            started = time.monotonic()
            task = progress.add_task("classify", total=None)
            if not progress.disable:
                Thread(target=self._find_total, args=(progress,), daemon=True).start()
            for path, answer in zip(behind, answers, strict=True):
                self._take(path, answer)
                progress.advance(task)
            self._seconds = time.monotonic() - started

    def _pictures(self, complain: Callable[[OSError], object]) -> Iterator[Path]:
        """Those that are not done yet."""
        return (path for path in self._found(complain) if self._is_new(as_text(path)))

    def _found(self, complain: Callable[[OSError], object]) -> Iterator[Path]:
        folder = self._wanted.move_into
        leave_out = folder if folder is not None and folder.exists() else None
        return find_pictures(self._paths, leave_out=leave_out, complain=complain)

    def _find_total(self, progress: Progress) -> None:
        results = self._results
        earlier = 0
        if results is not None:
            # Of those that were moved, only what could not be read is still there.
            earlier = results.rows if self._sorter is None else results.errors
        # What is named may be moved meanwhile; then nobody knows how many there are.
        with suppress(DataError):
            total = sum(1 for _ in self._found(lambda _: None))
            progress.update(progress.task_ids[0], total=max(total - earlier, 0))

    def _take(self, path: Path, answer: Result | Exception) -> None:
        self._count += 1
        row = row_of(path, answer, self._model)
        target = None
        if not isinstance(answer, Result):
            if not isinstance(answer, ImageError | OSError):  # It says nothing of this picture.
                raise answer
            self._report(f"{path}: {answer}")
        if self._sorter is not None:
            if isinstance(answer, Result):
                target = self._place(self._sorter, path, answer)
                if target is None:  # Said already; the next run may be able to.
                    return
            row["moved_to"] = None if target is None else as_text(target)
        if self._results is not None:
            self._results.add(row)
        elif self._wanted.as_json:
            say(json.dumps(row, ensure_ascii=False))
        elif target is not None:
            say(f"{path} → {target}")
        if self._sorter is not None and target is not None:
            self._settle(self._sorter, path, target)

    def _place(self, sorter: Plan, path: Path, answer: Result) -> Path | None:
        index = answer.predictions[0].index
        try:
            return sorter.place(path, index, uncertain=bool(answer.uncertain))
        except (OSError, DataError) as error:
            self._report(f"{path} is not moved: {error}")
            return None

    def _settle(self, sorter: Plan, path: Path, target: Path) -> None:
        try:
            sorter.settle(path, target)
        except OSError as error:
            self._report(f"{path} is now in {target} too, since it cannot be removed: {error}")

    def _report(self, line: str) -> None:
        self._unread += 1
        say(line, err=True)

    def _complain(self, error: OSError) -> None:
        self._report(f"{error.filename}: {error.strerror}")

    def _conclude(self) -> None:
        rows = self._count if self._results is None else self._results.rows
        if not (rows or self._unread):
            raise no_pictures(self._wanted.paths)
        if self._results is not None:
            self._summarise(rows)
        if self._unread:
            raise click.exceptions.Exit(exit_codes.BAD_INPUT)

    def _summarise(self, rows: int) -> None:
        output = self._wanted.output
        speed = self._count / self._seconds if self._count else 0.0
        if self._wanted.as_json:
            body = {"output": str(output), "pictures": rows, "now": self._count}
            body |= {"unusable": self._unread, "images_per_second": round(speed, 1)}
            say(json.dumps(body, ensure_ascii=False))
            return
        earlier = rows - self._count
        say(
            f"{rows} pictures by {self._manifest.name}"
            + (f", {earlier} of them earlier" if earlier > 0 else "")
            + (f", {self._unread} unusable" if self._unread else "")
            + f": {output}"
            + (f" ({speed:.1f} images/s)" if self._count else "")
        )


def _mover(folder: Path, labels: Sequence[str], results: Results | None) -> Mover:
    try:
        return Mover(folder, labels, None if results is None else results.last)
    except BlockingIOError as error:
        raise NotWritten(
            f"Another process is moving pictures into {folder} now.",
            hint="Wait for it, or name another folder with --move-into.",
        ) from error
    except OSError as error:
        raise NotWritten(
            f"Pictures cannot be moved into {folder}: {error.strerror or error}.",
            hint="Name a folder that you may write to, with --move-into.",
        ) from error
