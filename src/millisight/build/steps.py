"""Progress of a build: one line a step, with a bar where its length is known."""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn


class Bar(Protocol):
    """What a step hands to the code that does the work."""

    def advance(self, amount: float) -> None:
        """Say that ``amount`` more of ``total`` is done."""
        ...


class Step(Protocol):
    """Called with a title, and how much there is to do where that is known (else 0)."""

    def __call__(self, title: str, *, total: float = 0) -> AbstractContextManager[Bar]: ...


class _Task:
    def __init__(self, progress: Progress, total: float) -> None:
        self._progress = progress
        self._task = progress.add_task("", total=total or None)

    def advance(self, amount: float) -> None:
        self._progress.advance(self._task, amount)


def console_steps(console: Console) -> Step:
    """Steps shown on ``console``: a live bar on a terminal, plain lines anywhere else."""

    @contextmanager
    def step(title: str, *, total: float = 0) -> Iterator[Bar]:
        started = time.monotonic()
        columns = (
            SpinnerColumn(),
            TextColumn(title, markup=False),
            *((BarColumn(), TimeRemainingColumn()) if total else ()),
        )
        console.print(f"{title} …", markup=False, highlight=False)
        disable = not console.is_terminal
        with Progress(*columns, console=console, transient=True, disable=disable) as progress:
            yield _Task(progress, total)
        console.print(f"  done in {time.monotonic() - started:.1f} s", highlight=False)

    return step
