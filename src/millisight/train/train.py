"""``train_bundle``: from a folder of pictures to a bundle."""

import contextlib
import copy
import math
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from millisight.build.calibrate import paths_set
from millisight.build.checkpoint import Checkpoint
from millisight.build.kept import Sides, training_folder
from millisight.build.pipeline import Material, assemble
from millisight.build.steps import Step
from millisight.build.zoo import LoadedModel
from millisight.bundle import Bundle, check_name, store
from millisight.bundlefiles import describe_file
from millisight.cpu import available_cores
from millisight.manifest import Precision, Training, Weights
from millisight.settings import Settings
from millisight.train.augment import Batches
from millisight.train.base import Base, make_base
from millisight.train.head import fit_head
from millisight.train.loop import Score, measure
from millisight.train.pixels import decode_all
from millisight.train.plan import class_weights, recipe_for
from millisight.train.saved import Saved
from millisight.train.session import Budget, Reached, Say, Session
from millisight.train.survey import Dataset, survey
from millisight.train.upright import have_no_top
from millisight.train.whiten import whiten_first_layer


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainOptions:
    """What the user asked for; see ``millisight train --help``."""

    data: Path
    name: str
    base: str = "resnet18"
    architecture: str = "resnet18"
    minutes: float = 15.0
    epochs: int | None = None
    head_only: bool = False
    min_precision: float | None = 0.95
    precision: Precision = "int8"
    max_drop: float = 1.0
    seed: int = 20
    fresh: bool = False


def train_bundle(options: TrainOptions, settings: Settings, step: Step, say: Say) -> Bundle:
    """Look at the data, train, and build a bundle; an older one of that name is replaced.

    ``say`` tells the user a line. What is reached is kept in the home folder, so that the same
    call goes on after an interruption. Raises ``DataError``, ``ModelNotFound``, ``BundleError``
    (name), ``NotWritten`` or a ``BuildError``.
    """
    began = time.monotonic()
    check_name(options.name)
    torch.set_num_threads(available_cores())
    torch.manual_seed(options.seed)
    data = look(options, step, say)
    mirror = settings.weights_mirror
    base = make_base(options.base, options.architecture, len(data.labels), mirror=mirror, step=step)
    saved = Saved(training_folder(settings.home, options.name), _key(options, data, base))
    if options.fresh:
        saved.forget()
    state = saved.read()
    before = state["seconds"] if state else 0.0
    budget = Budget(seconds=60 * options.minutes, epochs=options.epochs)

    def spent() -> float:
        return before + time.monotonic() - began

    with _decoded(data, base, saved.folder, step) as sides:
        reached = _reach(options, base, sides, saved, state, budget, spent, step, say)
    base.module.load_state_dict(reached.weights)
    trained = Checkpoint(reached.weights, base.preprocess)
    file = saved.finish(trained, data.labels, Sides(data.train, data.validation))
    bundle = assemble(
        _material(options, data, base, reached, file, budget, spent(), step),
        target=store(settings.home) / options.name,
        name=options.name,
        precision=options.precision,
        max_drop=options.max_drop,
        min_precision=options.min_precision,
        step=step,
    )
    saved.forget()
    return bundle


def look(options: TrainOptions, step: Step, say: Say) -> Dataset:
    """What is in the folder, told to the user. Raises ``DataError``."""
    data = survey(options.data, seed=options.seed, step=step)
    for line in data.findings.lines():
        say(line)
    return data


def _key(options: TrainOptions, data: Dataset, base: Base) -> dict[str, Any]:
    """What must be the same for a training to be gone on with."""
    names = ("base", "architecture", "head_only", "seed")
    return {
        "data": data.fingerprint,
        "recipe": repr(recipe_for(base)),
        **{name: getattr(options, name) for name in names},
    }


@dataclass(frozen=True, slots=True)
class _Sides:
    """The decoded pictures, and a folder for other things that are needed meanwhile."""

    train: Batches
    validation: Batches
    scratch: Path


@contextlib.contextmanager
def _decoded(data: Dataset, base: Base, folder: Path, step: Step) -> Iterator[_Sides]:
    with tempfile.TemporaryDirectory(prefix=".pictures-", dir=folder) as name:
        scratch = Path(name)

        def decoded(side: Sequence[tuple[Path, int]], title: str) -> Batches:
            paths, classes = zip(*side, strict=True)
            pixels = decode_all(paths, base.preprocess, scratch / title, f"Decoding {title}", step)
            return Batches(pixels, classes, base.preprocess)

        yield _Sides(
            decoded(data.train, "pictures to train on"),
            decoded(data.validation, "pictures to validate with"),
            scratch,
        )


def _reach(
    options: TrainOptions,
    base: Base,
    sides: _Sides,
    saved: Saved,
    state: dict[str, Any] | None,
    budget: Budget,
    spent: Callable[[], float],
    step: Step,
    say: Say,
) -> Reached:
    """Fit the last layer, then train everything; from ``state`` where a run has left it."""
    weights = class_weights(sides.train.classes.bincount().tolist())
    if state:
        reached = Reached.of(state)
        say(f"Going on from what an earlier run has reached: {reached.score.top1:.2f} %.")
    else:
        score = _with_last_layer(
            base, sides, weights, options.seed, lambda: budget.left(spent()), step
        )
        kept = copy.deepcopy(base.module.state_dict())
        reached = Reached(weights=kept, score=score, seconds=spent())
        saved.write(reached.state())
        if base.pretrained:
            say(f"The last layer alone: validation top-1 {reached.score.top1:.2f} %.")
    if not options.head_only:
        base.module.load_state_dict(reached.weights)
        sides.train.upside_down = have_no_top(sides.train.pixels, sides.train.classes.numpy())
        if sides.train.upside_down:
            say("The pictures have no top, so training turns half of them upside down.")
        session = Session(
            base, sides.train, sides.validation, weights,
            saved=saved, reached=reached, seed=options.seed, say=say,
        )  # fmt: skip
        session.run(budget, spent, step)
    return reached


def _with_last_layer(
    base: Base,
    sides: _Sides,
    weights: list[float],
    seed: int,
    left: Callable[[], float],
    step: Step,
) -> Score:
    """What is known once the last layer is fitted, within the seconds that are ``left``; nothing
    where there are no layers before it that know something: they begin with the first filters."""
    if not base.pretrained:
        whiten_first_layer(base.module, sides.train)
        return Score(loss=math.inf, top1=0.0)
    score = fit_head(
        base, sides.train, sides.validation, weights, sides.scratch, seed=seed, left=left, step=step
    )
    return score or measure(base.module, sides.validation)


def _material(
    options: TrainOptions,
    data: Dataset,
    base: Base,
    reached: Reached,
    file: Path,
    budget: Budget,
    seconds: float,
    step: Step,
) -> Material:
    counts = [one.train for one in data.findings.classes]
    model = LoadedModel(
        architecture=base.architecture,
        module=base.module.eval(),
        labels=data.labels,
        translations={},
        preprocess=base.preprocess,
        weights=Weights(
            source=f"trained on {options.data.resolve().name}, from {base.source}",
            sha256=describe_file(file).sha256,
        ),
    )
    training = Training(
        base=base.source,
        fingerprint=data.fingerprint,
        class_counts=tuple(counts),
        train_images=len(data.train),
        validation_images=len(data.validation),
        seed=options.seed,
        epochs=len(reached.curves),
        minutes=round(seconds / 60, 1),
        curves=tuple(reached.curves),
    )
    paths = [path for path, _ in data.train]
    return Material(
        model=model,
        pictures=paths_set(
            paths, "the training pictures", base.preprocess, step, budget.samples(seconds)
        ),
        labelled=list(data.validation),
        training=training,
    )
