"""``survey``: what is in a folder of pictures, and what of it is trained on."""

import hashlib
import json
import os
import statistics
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from millisight.build.steps import Step
from millisight.errors import DataError
from millisight.train.duplicates import exact_groups, near_groups
from millisight.train.findings import SMALL, ClassCount, Findings, Paths, Sizes, Skipped
from millisight.train.folders import LAYOUT, Layout, Side, find_classes, probable_root
from millisight.train.look import Look, Unreadable, look_at
from millisight.train.split import LEAST_TRAIN, LEAST_VALIDATION, Division, divide, too_few


@dataclass(frozen=True, slots=True)
class Dataset:
    """Pictures to train on and to validate with; no two of different sides look the same."""

    labels: tuple[str, ...]
    """Names of the classes, sorted, with letters in composed form (NFC)."""
    train: tuple[tuple[Path, int], ...]
    """Pictures and the index of the class of each."""
    validation: tuple[tuple[Path, int], ...]
    fingerprint: str
    """SHA-256 of labels, sides and contents; where the folder lies does not matter."""
    findings: Findings


@dataclass(frozen=True, slots=True)
class _Picture:
    look: Look
    index: int
    """Of its class."""
    validates: bool
    """Whether its folder says so."""


Together = list[list[_Picture]]
"""Pictures that belong together."""


@dataclass(frozen=True, slots=True)
class _Distinct:
    used: list[_Picture]
    copies: Together
    """The first of each is used."""
    conflicts: Together
    """Of different classes, so that nobody knows the right one."""


def survey(folder: Path, *, seed: int, step: Step) -> Dataset:
    """Look at all pictures in ``folder`` and divide them, the same for the same ``seed``.

    Unreadable files and exact copies are left out. Writes nothing. Raises ``DataError`` where
    there is too little to train on, with what to do about it.
    """
    layout = find_classes(folder)
    labels = _labels(folder, layout)
    found, unreadable = _look(layout, labels, step)
    distinct = _distinct(found)
    pictures = distinct.used
    _check_enough(pictures, labels, unreadable)
    given = {index for index, one in enumerate(pictures) if one.validates}
    classes = [one.index for one in pictures]
    with step("Comparing them with each other"):
        division = divide(
            classes,
            [one.look.digest for one in pictures],
            near_groups([one.look for one in pictures]),
            given=None if layout.validation is None else given,
            seed=seed,
        )
    _check_sides(classes, division, labels)
    findings = _findings(folder, layout, labels, unreadable, distinct, division)
    return _dataset(pictures, division, labels, findings)


def _labels(folder: Path, layout: Layout) -> tuple[str, ...]:
    """The classes, once both sides have the same. Raises ``DataError``."""
    labels = tuple(sorted(layout.train.classes))
    for label in labels:
        # Halves of characters stand for bytes that are not UTF-8.
        if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in label):
            raise DataError(
                f"The name of the class folder {_readable(Path(label))!r} cannot be shown.",
                hint="Rename it, in any language, in UTF-8.",
            )
    if len(labels) < 2:
        meant = probable_root(folder)
        raise DataError(
            f"There is only one class in {folder}, {labels[0]}; telling classes apart takes two.",
            hint=f"Did you mean {meant}?"
            if meant
            else LAYOUT.format(folder.name or "DATA")
            + " Pictures of anything else may be a class, too.",
        )
    if layout.validation is not None:
        _check_same(layout.train, layout.validation)
    return labels


def _check_same(train: Side, validation: Side) -> None:
    for label in sorted(train.classes.keys() ^ validation.classes.keys()):
        has, lacks = ("train", "validation") if label in train.classes else ("validation", "train")
        raise DataError(
            f"The class {label} is in {has}, but not in {lacks}.",
            hint="Give both sides the same folders. Or give one folder with all pictures, which "
            "is then divided for you.",
        )


def _look(
    layout: Layout, labels: Sequence[str], step: Step
) -> tuple[list[_Picture], list[Unreadable]]:
    sides = [(layout.train, False)]
    if layout.validation is not None:
        sides.append((layout.validation, True))
    files = [
        (file, index, validates)
        for side, validates in sides
        for index, label in enumerate(labels)
        for file in side.classes[label]
    ]
    looks = look_at([file for file, _, _ in files], step)
    pictures, unreadable = [], []
    for look, (_, index, validates) in zip(looks, files, strict=True):
        if isinstance(look, Unreadable):
            unreadable.append(look)
        else:
            pictures.append(_Picture(look, index, validates))
    return pictures, unreadable


def _distinct(pictures: Sequence[_Picture]) -> _Distinct:
    """Of several copies the first is used, which is one to train on where there is one."""
    groups = [
        [pictures[index] for index in group]
        for group in exact_groups([one.look for one in pictures])
    ]
    conflicts = [group for group in groups if _of_several(group)]
    copies = [group for group in groups if not _of_several(group)]
    left_out = {id(one) for group in conflicts for one in group}
    left_out |= {id(one) for group in copies for one in group[1:]}
    return _Distinct([one for one in pictures if id(one) not in left_out], copies, conflicts)


def _of_several(group: Iterable[_Picture]) -> bool:
    return len({one.index for one in group}) > 1


def _check_enough(
    pictures: Sequence[_Picture], labels: Sequence[str], unreadable: Sequence[Unreadable]
) -> None:
    counts = Counter(one.index for one in pictures)
    least = LEAST_TRAIN + LEAST_VALIDATION
    for index, label in enumerate(labels):
        if counts[index] < least:
            also = (
                f" {len(unreadable)} in the data cannot be read, such as {unreadable[0].path}: "
                f"{unreadable[0].sentence}"
                if unreadable
                else ""
            )
            raise DataError(
                f"The class {label} has {_usable(counts[index])}; {least} are the least.{also}",
                hint="Some hundreds are best. Add pictures, or take the folder out of the data. "
                "Exact copies do not count, nor do files that are in several classes.",
            )


def _check_sides(classes: Sequence[int], division: Division, labels: Sequence[str]) -> None:
    for index, (train, validate) in sorted(too_few(classes, division.validation).items()):
        raise DataError(
            f"The class {labels[index]} has {_usable(train)} to train on and {validate} to "
            f"validate with; {LEAST_TRAIN} and {LEAST_VALIDATION} are the least.",
            hint="Add pictures. Copies of those to train on do not validate anything. Or give one "
            "folder with all pictures, which is then divided for you.",
        )


def _usable(count: int) -> str:
    return f"{count or 'no'} usable picture{'' if count == 1 else 's'}"


def _findings(
    folder: Path,
    layout: Layout,
    labels: Sequence[str],
    unreadable: Sequence[Unreadable],
    distinct: _Distinct,
    division: Division,
) -> Findings:
    pictures = distinct.used
    name = _Names(folder)
    near = [[pictures[index] for index in group] for group in division.near]
    return Findings(
        classes=_counts([one.index for one in pictures], division, labels),
        divided=layout.validation is None,
        sizes=_sizes(pictures),
        unreadable=tuple(
            Skipped(path=name.of(one.path), reason=one.sentence) for one in unreadable
        ),
        ignored=name.of_all(layout.others),
        untouched=name.of_all(layout.untouched),
        copies=name.of_groups(distinct.copies),
        crossing=sum(
            one.validates for group in distinct.copies for one in group if not group[0].validates
        ),
        conflicts=name.of_groups(distinct.conflicts),
        near=name.of_groups(near),
        near_conflicts=name.of_groups(group for group in near if _of_several(group)),
        moved=name.of_all(pictures[index].look.path for index in division.moved),
        inseparable=tuple(labels[number] for number in sorted(division.inseparable)),
    )


def _counts(
    classes: Sequence[int], division: Division, labels: Sequence[str]
) -> tuple[ClassCount, ...]:
    total = Counter(classes)
    validating = Counter(classes[index] for index in division.validation)
    return tuple(
        ClassCount(
            label=label, train=total[index] - validating[index], validation=validating[index]
        )
        for index, label in enumerate(labels)
    )


def _sizes(pictures: Sequence[_Picture]) -> Sizes:
    shorter = [min(one.look.size) for one in pictures]
    return Sizes(
        smallest=min(shorter),
        median=statistics.median_low(shorter),
        largest=max(shorter),
        small=sum(side < SMALL for side in shorter),
    )


def _dataset(
    pictures: Sequence[_Picture], division: Division, labels: tuple[str, ...], findings: Findings
) -> Dataset:
    sides: tuple[list[_Picture], list[_Picture]] = ([], [])
    for index, one in enumerate(pictures):
        sides[index in division.validation].append(one)
    content = [
        labels,
        *(sorted((one.look.digest, labels[one.index]) for one in side) for side in sides),
    ]
    train, validation = (tuple((one.look.path, one.index) for one in side) for side in sides)
    return Dataset(
        labels=labels,
        train=train,
        validation=validation,
        fingerprint=hashlib.sha256(json.dumps(content).encode()).hexdigest(),
        findings=findings,
    )


@dataclass(frozen=True, slots=True)
class _Names:
    """Paths within ``folder`` as text that can be printed and stored."""

    folder: Path

    def of(self, path: Path) -> str:
        return _readable(path.relative_to(self.folder))

    def of_all(self, paths: Iterable[Path]) -> Paths:
        return tuple(map(self.of, paths))

    def of_groups(self, groups: Iterable[Iterable[_Picture]]) -> tuple[Paths, ...]:
        return tuple(self.of_all(one.look.path for one in group) for group in groups)


def _readable(path: Path) -> str:
    """``path`` with slashes; bytes that are not UTF-8, which a name may have, are replaced."""
    return os.fsencode(path.as_posix()).decode(errors="replace")
