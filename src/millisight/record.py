"""What tune found, in the settings file: three settings, and as comments what led to them.

The lines are edited as text. A TOML library that keeps comments (tomlkit) keeps the user's, but
does not know which ones are from an earlier run, and that is the harder half. Reading the result
back proves that nothing else has changed.
"""

import contextlib
import platform
import re
import shutil
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from millisight.drafts import new_file
from millisight.errors import SettingsError
from millisight.sources import option_of
from millisight.tuning import Arrangement, Choice, Findings, Measurement, best_of_each

TUNED = ("workers", "threads", "max_batch")
"""The settings that tune writes."""

BEGIN = "# --- millisight tune: from here to the end mark, replaced by its next run"
END = "# --- millisight tune: end"

_ASSIGNS = re.compile(rf"""\s*["']?({"|".join(TUNED)})["']?\s*=""")


@dataclass(frozen=True, slots=True)
class Run:
    """One run of tune, for a reader who finds its settings a year later."""

    date: str
    machine: str
    model: str
    load: str
    limit_ms: float | None
    """The limit of p99; ``None`` for none."""
    findings: Findings

    def facts(self) -> dict[str, str]:
        """What the findings hold for, one line each."""
        limit = "" if self.limit_ms is None else f" with p99 within {self.limit_ms:g} ms"
        return {
            "date": self.date,
            "machine": self.machine,
            "model": self.model,
            "load": self.load,
            "goal": f"most images a second{limit}",
        }


COLUMNS = (*TUNED, "clients", "images", "images/s", "p50 ms", "p99 ms")


def rows_of(run: Run) -> list[tuple[str, ...]]:
    """What is shown of the measurements, as text: which look it was, then ``COLUMNS``.

    Of the arrangements that had a first look only, the load where each did best; then all of the
    last look.
    """
    finalists = {one.load.arrangement for one in run.findings.last}
    best = sorted(best_of_each(run.findings.first, run.limit_ms), key=lambda one: one.load)
    shown = [one for one in best if one.load.arrangement not in finalists]
    return [("first", *row_of(one)) for one in shown] + [
        ("last", *row_of(one)) for one in run.findings.last
    ]


def row_of(one: Measurement) -> tuple[str, ...]:
    """``COLUMNS`` of one measurement."""
    numbers = [*settings_of(one.load.arrangement).values(), one.load.clients, one.images]
    rates = [one.images_per_second, one.p50_ms, one.p99_ms]
    return (*map(str, numbers), *(f"{rate:.1f}" for rate in rates))


def settings_of(arrangement: Arrangement) -> dict[str, int]:
    """The settings that make serve take ``arrangement``."""
    split = arrangement.split
    return dict(zip(TUNED, (split.workers, split.threads, arrangement.max_batch), strict=True))


def block(run: Run, choice: Choice) -> list[str]:
    """The lines for the settings file: comments, and one line a setting."""
    rows = [("look", *COLUMNS), *rows_of(run)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        BEGIN,
        *(f"# {name}: {' '.join(fact.split())}" for name, fact in run.facts().items()),
        *(f"# {'  '.join(map(str.rjust, row, widths))}" for row in rows),
        f"# {choice.reason}",
        *(f"{name} = {value}" for name, value in _values(choice).items()),
        END,
    ]


def _values(choice: Choice) -> dict[str, int]:
    return settings_of(choice.measurement.load.arrangement)


def merge(text: str, lines: Sequence[str]) -> str:
    """The settings file ``text`` with the block ``lines`` in the place of an earlier one, else at
    its end.

    Elsewhere what assigns the same settings is taken out; all other lines stay as they are.
    """
    kept: list[str] = []
    place: int | None = None
    inside = False
    for line in text.split("\n"):
        bare = line.rstrip()
        if bare == BEGIN:
            inside = True
            place = len(kept) if place is None else place
        # A block whose end mark was taken out ends at the next empty line.
        elif not bare:
            inside = False
        if not (_ASSIGNS.match(line) or (inside and bare.startswith("#"))):
            kept.append(line)
        inside = inside and bare != END
    if place is not None:
        return "\n".join([*kept[:place], *lines, *kept[place:]])
    while kept and not kept[-1].strip():
        kept.pop()
    return "\n".join([*kept, *([""] if kept else []), *lines, ""])


def write(path: Path, run: Run, choice: Choice) -> None:
    """Put ``choice`` into the settings file ``path``, which appears with its folder if absent.

    Either all of it is written or nothing. Raises ``SettingsError`` saying what to do instead.
    """
    # A link to a file elsewhere stays one.
    path = path.resolve()
    try:
        before = path.read_bytes().decode() if path.exists() else ""
        after = merge(before, block(run, choice))
        _check(path, before, after, _values(choice))
        path.parent.mkdir(parents=True, exist_ok=True)
        with new_file(path) as draft:
            draft.write_bytes(after.encode())
            if path.exists():
                shutil.copymode(path, draft)
    except OSError as error:
        options = (f"{option_of(name)} {n}" for name, n in _values(choice).items())
        raise SettingsError(
            f"Settings file {path} cannot be written: {error.strerror}.",
            hint=f"Without it: millisight serve {' '.join(options)}",
        ) from error


def _check(path: Path, before: str, after: str, values: Mapping[str, int]) -> None:
    """Refuse a result that says anything but ``before`` with ``values``."""
    try:
        right = tomllib.loads(after) == {**tomllib.loads(before), **values}
    except ValueError:
        right = False
    if not right:
        raise SettingsError(
            f"Settings file {path} is written in a way that tune cannot change.",
            hint=f"Take {', '.join(TUNED)} out of it and run tune again.",
        )


def cpu_model(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """What the system calls its CPU; where it says nothing, the kind of machine."""
    with contextlib.suppress(OSError):
        found = re.search(r"model name\s*: (.+)", cpuinfo.read_text(encoding="utf-8"))
        if found:
            return found[1].strip()
    return platform.processor() or platform.machine()
