"""``build_bundle``: the stages of a build strung together."""

import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from millisight.activation import map_size
from millisight.build.agreement import Comparison, compare, engine_for, run_all
from millisight.build.calibrate import SEED, CalibrationSet, default_set, folder_set
from millisight.build.export import ov, to_openvino
from millisight.build.quantize import quantize
from millisight.build.steps import Step
from millisight.build.verify import check_loss, eager_logits, measure_accuracy
from millisight.build.zoo import LoadedModel, load_model
from millisight.bundle import (
    FILES,
    GRAPH,
    Bundle,
    check_name,
    describe_file,
    new_bundle,
    read_bundle,
    store,
    write_labels,
    write_manifest,
)
from millisight.engine import Engine, Logits
from millisight.manifest import Calibration, Manifest, Measured, Precision
from millisight.pictures import labelled_pictures
from millisight.runtime import Graph
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
    output: Path | None = None


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


def build_bundle(options: BuildOptions, settings: Settings, step: Step) -> Bundle:
    """Build, verify and store a bundle; an older one of that name is replaced.

    Raises ``ModelNotFound``, ``DataError``, ``BundleError`` (name) or a ``BuildError``; nothing is
    left behind then, nor when interrupted.
    """
    name = check_name(options.name or options.model)
    target = options.output or store(settings.home) / name
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
    with new_bundle(target) as draft, tempfile.TemporaryDirectory() as scratch:
        reference = _convert(model, pictures, Path(scratch), step)
        compiled = _compile(reference, options.precision, pictures, draft, step)
        measured = _measure(model, pictures, labelled, reference, compiled, step)
        check_loss(measured, options.max_drop)
        write_labels(draft, model.labels, model.translations)
        write_manifest(draft, _describe(draft, name, options.precision, model, measured, compiled))
    return read_bundle(target)


def _convert(model: LoadedModel, pictures: CalibrationSet, scratch: Path, step: Step) -> _Reference:
    with step("Converting to OpenVINO"):
        graph = to_openvino(model.module, model.preprocess)
        file = scratch / "float32.xml"
        ov.save_model(graph, file, compress_to_fp16=False)
        engine = engine_for(file, "float32")
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
            samples=len(pictures.samples),
            seed=SEED,
            estimator=quantized.estimator,
        )
    # Half precision is what a bf16 bundle computes in anyway, so it need not be stored wider.
    ov.save_model(graph, draft / GRAPH, compress_to_fp16=precision == "bf16")
    engine = engine_for(draft / GRAPH, precision)
    comparison = compare(reference.logits, run_all(engine, pictures.check))
    return _Compiled(engine, comparison, calibration)


def _measure(
    model: LoadedModel,
    pictures: CalibrationSet,
    labelled: list[tuple[Path, int]],
    reference: _Reference,
    compiled: _Compiled,
    step: Step,
) -> Measured:
    with step("Comparing with torch"):
        some = pictures.check[:_EAGER_PICTURES]
        eager = eager_logits(model.module, some, model.preprocess)
        difference = float(np.abs(eager - reference.logits[: len(some)]).max())
    float_accuracy = bundle_accuracy = None
    if labelled:
        float_accuracy, bundle_accuracy = measure_accuracy(
            [reference.engine, compiled.engine], labelled, model.preprocess, step
        )
    return Measured(
        max_logit_difference=difference,
        agreement=compiled.comparison.agreement,
        agreement_images=compiled.comparison.images,
        expected_drop=compiled.comparison.expected_drop,
        float32=float_accuracy,
        bundle=bundle_accuracy,
    )


def _describe(
    draft: Path,
    name: str,
    precision: Precision,
    model: LoadedModel,
    measured: Measured,
    compiled: _Compiled,
) -> Manifest:
    return Manifest(
        name=name,
        architecture=model.architecture,
        weights=model.weights,
        class_count=len(model.labels),
        preprocess=model.preprocess,
        precision=precision,
        activation_map=map_size(ov.Core().read_model(draft / GRAPH)),
        calibration=compiled.calibration,
        measured=measured,
        built_with={package: version(package) for package in _BUILT_WITH},
        files={file: describe_file(draft / file) for file in FILES},
    )
