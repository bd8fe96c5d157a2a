"""``build_bundle`` and ``assemble``: the stages of a build strung together."""

import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from millisight.activation import map_size
from millisight.build.agreement import Comparison, compare, engine_for, run_all
from millisight.build.calibrate import SEED, CalibrationSet, default_set, folder_set
from millisight.build.confidence import measure_trust
from millisight.build.export import ov, to_openvino
from millisight.build.findings import find
from millisight.build.quantize import quantize
from millisight.build.report import write_report
from millisight.build.steps import Step
from millisight.build.verify import Answered, ask, check_loss, eager_logits
from millisight.build.zoo import LoadedModel, load_model
from millisight.bundle import (
    FILES,
    GRAPH,
    REPORT_FILES,
    Bundle,
    check_name,
    new_bundle,
    read_bundle,
    store,
    write_labels,
    write_manifest,
)
from millisight.bundlefiles import describe_file
from millisight.engine import Engine, Logits
from millisight.errors import BadParameter, DataError
from millisight.manifest import Calibration, Manifest, Measured, Precision, Training
from millisight.pictures import labelled_pictures
from millisight.runtime import Graph, parse_graph, read_graph
from millisight.settings import Settings

_EAGER_PICTURES = 16
"""Pictures on which torch and the float32 graph are compared."""

_BUILT_WITH = ("millisight", "torch", "torchvision", "openvino", "nncf")


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildOptions:
    """What the user asked for; see ``millisight build --help``."""

    model: str
    name: str | None = None
    weights: Path | None = None
    labels: Path | None = None
    precision: Precision = "int8"
    calibration: Path | None = None
    validation: Path | None = None
    max_drop: float = 1.0
    min_precision: float | None = None
    output: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What a bundle is made of."""

    model: LoadedModel
    pictures: CalibrationSet
    labelled: list[tuple[Path, int]]
    """Pictures that the weights were not fitted to, with their class indices; may be empty."""
    training: Training | None = None


@dataclass(frozen=True, slots=True)
class _Reference:
    """The float32 graph that the bundle is measured against."""

    graph: Graph
    engine: Engine
    logits: Logits
    """Its answers on the check pictures."""


@dataclass(frozen=True, slots=True)
class _Compiled:
    """The graph of the bundle, run and compared."""

    engine: Engine
    comparison: Comparison
    calibration: Calibration | None
    activation_map: tuple[int, int] | None


def build_bundle(options: BuildOptions, settings: Settings, step: Step) -> Bundle:
    """Build, verify and store a bundle; an older one of that name is replaced.

    Raises ``ModelNotFound``, ``DataError``, ``BadParameter``, ``BundleError`` (name) or a
    ``BuildError``; nothing is left behind then, nor when interrupted.
    """
    name = check_name(options.name or options.model)
    if options.min_precision is not None and options.validation is None:
        raise DataError(
            "A precision must be measured, and there are no labelled pictures to do it on.",
            hint="Give them with --validation, or leave --min-precision out.",
        )
    model = load_model(
        options.model,
        weights=options.weights,
        labels=options.labels,
        mirror=settings.weights_mirror,
        step=step,
    )
    # Looked at first: a folder that does not fit is not worth minutes of quantising.
    labelled = labelled_pictures(options.validation, model.labels) if options.validation else []
    pictures = (
        default_set(model.preprocess, step)
        if options.calibration is None
        else folder_set(options.calibration, model.preprocess, step)
    )
    return assemble(
        Material(model=model, pictures=pictures, labelled=labelled),
        target=options.output or store(settings.home) / name,
        name=name,
        precision=options.precision,
        max_drop=options.max_drop,
        min_precision=options.min_precision,
        step=step,
    )


def assemble(
    material: Material,
    *,
    target: Path,
    name: str,
    precision: Precision,
    max_drop: float,
    min_precision: float | None,
    step: Step,
) -> Bundle:
    """Compile, measure, report on and write a bundle to ``target``; an older one is replaced.

    ``max_drop``, in points of top-1, is what it may lose against float32. ``min_precision``,
    0…1, is the share of right answers wanted of what it is certain of. Raises ``BadParameter``,
    ``DataError`` or a ``BuildError``; nothing is left behind then, nor when interrupted.
    """
    if min_precision is not None and not 0 < min_precision <= 1:
        raise BadParameter(f"A precision lies above 0 and is at most 1, not {min_precision}.")
    model = material.model
    with new_bundle(target) as draft, tempfile.TemporaryDirectory() as scratch:
        reference = _convert(model, material.pictures, Path(scratch), step)
        compiled = _compile(reference, precision, material.pictures, draft, step)
        answered = None
        if material.labelled:
            engines = [compiled.engine]
            # In float32 both run one graph, and would say the same.
            if precision != "float32":
                engines.insert(0, reference.engine)
            answered = ask(engines, material.labelled, model.preprocess, step)
        measured = _measure(material, reference, compiled, answered, step)
        check_loss(measured, max_drop)
        write_labels(draft, model.labels, model.translations)
        manifest = _describe(name, precision, material, measured, compiled)
        files = list(FILES)
        if answered is not None:
            with step("Writing the report"):
                manifest = _report(draft, manifest, model.labels, answered, min_precision)
            files += REPORT_FILES
        entries = {file: describe_file(draft / file) for file in files}
        write_manifest(draft, manifest.model_copy(update={"files": entries}))
    return read_bundle(target)


def _convert(model: LoadedModel, pictures: CalibrationSet, scratch: Path, step: Step) -> _Reference:
    with step("Converting to OpenVINO"):
        graph = to_openvino(model.module, model.preprocess)
        file = scratch / "float32.xml"
        ov.save_model(graph, file, compress_to_fp16=False)
        engine = engine_for(read_graph(file), "float32")
        return _Reference(graph, engine, run_all(engine, pictures.check))


def _compile(
    reference: _Reference,
    precision: Precision,
    pictures: CalibrationSet,
    draft: Path,
    step: Step,
) -> _Compiled:
    """Write the graph in ``precision`` to ``draft`` and compare it with ``reference``."""
    graph, calibration = reference.graph, None
    if precision == "int8":
        quantized = quantize(graph, pictures, reference.logits, step)
        graph = quantized.graph
        calibration = Calibration(
            source=pictures.source,
            images=pictures.images,
            samples=quantized.samples,
            seed=SEED,
            estimator=quantized.estimator,
        )
    # Half precision is what a bf16 bundle computes in anyway, so it need not be stored wider.
    ov.save_model(graph, draft / GRAPH, compress_to_fp16=precision == "bf16")
    files = read_graph(draft / GRAPH)
    engine = engine_for(files, precision)
    comparison = compare(reference.logits, run_all(engine, pictures.check))
    size = map_size(parse_graph(files, ov.Core()))
    return _Compiled(engine, comparison, calibration, size)


def _measure(
    material: Material,
    reference: _Reference,
    compiled: _Compiled,
    answered: Answered | None,
    step: Step,
) -> Measured:
    model = material.model
    with step("Comparing with torch"):
        some = material.pictures.check[:_EAGER_PICTURES]
        eager = eager_logits(model.module, some, model.preprocess)
        difference = float(np.abs(eager - reference.logits[: len(some)]).max())
    return Measured(
        max_logit_difference=difference,
        agreement=compiled.comparison.agreement,
        agreement_images=compiled.comparison.images,
        expected_drop=compiled.comparison.expected_drop,
        float32=answered.accuracy(answered.float32) if answered else None,
        bundle=answered.accuracy(answered.bundle) if answered else None,
    )


def _report(
    draft: Path,
    manifest: Manifest,
    labels: tuple[str, ...],
    answered: Answered,
    min_precision: float | None,
) -> Manifest:
    """``manifest`` with the confidence that the answers show; the report of them is written."""
    trust = measure_trust(answered.bundle, answered.truth, min_precision)
    if trust is not None:
        manifest = manifest.model_copy(update={"confidence": trust.figures})
    write_report(draft, find(manifest, labels, answered, trust), manifest, answered.paths)
    return manifest


def _describe(
    name: str,
    precision: Precision,
    material: Material,
    measured: Measured,
    compiled: _Compiled,
) -> Manifest:
    model = material.model
    return Manifest(
        name=name,
        architecture=model.architecture,
        weights=model.weights,
        class_count=len(model.labels),
        preprocess=model.preprocess,
        precision=precision,
        activation_map=compiled.activation_map,
        calibration=compiled.calibration,
        measured=measured,
        training=material.training,
        built_with={package: version(package) for package in _BUILT_WITH},
        files={},
    )
