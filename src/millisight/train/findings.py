"""What a look at the data has found, and how it is told."""

from collections.abc import Iterator, Sequence

from pydantic import BaseModel, ConfigDict
from rich.cells import cell_len

FEW_TRAIN = 50
"""Training pictures of a class below which it is said to lack data."""
FEW_VALIDATION = 10
"""Validation pictures of a class below which its figures are called rough."""
UNEVEN = 3
"""How many times the pictures of the smallest class the largest may have, unsaid."""
SMALL = 64
"""Pixels of the shorter side below which pictures are called small."""

_SHOWN = 5

Paths = tuple[str, ...]
"""Files of one group, within the folder of the data."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ClassCount(_Part):
    """Pictures of one class that are used."""

    label: str
    train: int
    validation: int


class Skipped(_Part):
    """A file that is named like a picture and cannot be read."""

    path: str
    reason: str


class Sizes(_Part):
    """The shorter side of the pictures, in pixels."""

    smallest: int
    median: int
    largest: int
    small: int
    """Pictures whose shorter side is below ``SMALL``."""


class Findings(_Part):
    """Everything that ``survey`` found. Paths are relative to the folder and use slashes."""

    classes: tuple[ClassCount, ...]
    divided: bool
    """Whether the pictures were divided here, as opposed to given as ``train`` and
    ``validation``."""
    sizes: Sizes
    unreadable: tuple[Skipped, ...]
    ignored: Paths
    """Files that are not pictures by their names, or of no class."""
    untouched: Paths
    """Folders that are left alone, such as ``test``."""
    copies: tuple[Paths, ...]
    """Files with the same bytes and class; the first of each is used, the others are not."""
    crossing: int
    """Those of ``copies`` that were to validate what one of the same bytes trains."""
    conflicts: tuple[Paths, ...]
    """Files with the same bytes in several classes; none of them is used."""
    near: tuple[Paths, ...]
    """Different files that look the same; each group is kept on one side."""
    near_conflicts: tuple[Paths, ...]
    """Those of ``near`` that are of several classes."""
    moved: Paths
    """Validation pictures that were moved to training, since one there looks the same."""
    inseparable: Paths
    """Classes whose pictures look too much alike to be kept apart."""

    @property
    def imbalance(self) -> float:
        """Training pictures of the largest class over those of the smallest."""
        training = [one.train for one in self.classes]
        return max(training) / min(training)

    def lines(self) -> list[str]:
        """Plain sentences for the user, one a line; lists of files are cut short."""
        return [
            *self._counts(),
            *self._left_out(),
            *self._look_alike(),
            *(f"Warning: {warning}" for warning in self.warnings()),
        ]

    def warnings(self) -> list[str]:
        """What is likely to make the model or its figures worse."""
        return [*self._few(), *self._uneven(), *self._flattering()]

    def _counts(self) -> Iterator[str]:
        train = sum(one.train for one in self.classes)
        validation = sum(one.validation for one in self.classes)
        how = "divided here" if self.divided else "divided as the folders are"
        yield (
            f"{_many(train + validation, 'picture')} of {len(self.classes)} classes: "
            f"{train} to train on, {validation} to validate with ({how})."
        )
        # A Chinese character is two columns wide on a terminal.
        width = max(cell_len(one.label) for one in self.classes)
        for one in self.classes:
            space = " " * (width - cell_len(one.label))
            yield f"  {one.label}{space}  {one.train:6} {one.validation:5}"
        sizes = self.sizes
        if sizes.smallest == sizes.largest:
            yield f"The shorter side of each is {sizes.median} pixels."
        else:
            yield (
                f"Their shorter sides are {sizes.smallest} to {sizes.largest} pixels, "
                f"half of them at most {sizes.median}."
            )

    def _left_out(self) -> Iterator[str]:
        if self.unreadable:
            yield f"{_many(len(self.unreadable), 'file')} cannot be read and left out:"
            yield from _some([f"{one.path}: {one.reason}" for one in self.unreadable])
        if self.ignored:
            yield f"{_many(len(self.ignored), 'file')} passed over, not pictures of a class:"
            yield from _some(self.ignored)
        if self.untouched:
            yield f"Not looked at, since they are beside train: {_list(self.untouched)}."
        if self.copies:
            spare = sum(len(group) - 1 for group in self.copies)
            across = f", {self.crossing} of them from validation" if self.crossing else ""
            yield f"{_many(spare, 'exact copy', 'exact copies')} left out{across}:"
            yield from _some(_groups(self.copies))
        if self.conflicts:
            files = sum(map(len, self.conflicts))
            yield f"{files} files left out that are the same, but in several classes:"
            yield from _some(_groups(self.conflicts))

    def _look_alike(self) -> Iterator[str]:
        agreed = [group for group in self.near if group not in self.near_conflicts]
        if agreed:
            yield f"{sum(map(len, agreed))} pictures look the same as another, so share a side:"
            yield from _some(_groups(agreed))
        if self.near_conflicts:
            files = sum(map(len, self.near_conflicts))
            yield f"{files} pictures look the same, but are in several classes; which is right?"
            yield from _some(_groups(self.near_conflicts))
        if self.moved:
            yield (
                f"{_many(len(self.moved), 'picture')} moved from validation to training, where "
                "one looks the same:"
            )
            yield from _some(self.moved)

    def _few(self) -> Iterator[str]:
        for one in self.classes:
            if one.train < FEW_TRAIN:
                yield f"class {one.label} has only {_many(one.train, 'picture')} to train on."
        rough = [one.label for one in self.classes if one.validation < FEW_VALIDATION]
        if rough:
            yield (
                f"fewer than {FEW_VALIDATION} pictures validate {_list(rough)}; "
                "figures of single classes will be rough."
            )
        if self.sizes.small:
            yield (
                f"{_many(self.sizes.small, 'picture')} with a shorter side under {SMALL} pixels; "
                "the network sees them enlarged."
            )

    def _uneven(self) -> Iterator[str]:
        if self.imbalance >= UNEVEN:
            most = max(self.classes, key=lambda one: one.train)
            least = min(self.classes, key=lambda one: one.train)
            yield (
                f"{most.label} has {self.imbalance:.1f} times as many pictures as {least.label}; "
                "pictures of small classes will count more."
            )

    def _flattering(self) -> Iterator[str]:
        if self.inseparable:
            yield (
                f"pictures of {_list(self.inseparable)} look so much alike (frames of one film, a "
                "fixed camera?) that only exact copies are kept apart; their score may flatter."
            )


def _many(count: int, one: str, more: str = "") -> str:
    return f"{count} {one if count == 1 else more or one + 's'}"


def _list(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _groups(groups: Sequence[Paths]) -> list[str]:
    return [" = ".join(group[:3]) + (" = …" if len(group) > 3 else "") for group in groups]


def _some(entries: Sequence[str]) -> Iterator[str]:
    yield from (f"  {entry}" for entry in entries[:_SHOWN])
    if len(entries) > _SHOWN:
        yield f"  … and {len(entries) - _SHOWN} more"
