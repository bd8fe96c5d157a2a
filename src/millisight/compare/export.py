"""A model for whoever needs it elsewhere: written, opened again, and held against the bundle."""

import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from millisight.build.agreement import engine_for, run_all
from millisight.build.export import ov
from millisight.build.steps import Step
from millisight.build.zoo import LoadedModel
from millisight.bundle import Bundle, list_bundles, read_bundle
from millisight.compare import with_onnxruntime, with_torch
from millisight.compare.formats import SUFFIXES
from millisight.compare.pictures import Pictures, agreement
from millisight.compare.source import Choice, Source, gather
from millisight.engine import Logits
from millisight.errors import BundleError, NotWritten
from millisight.manifest import Accuracy, Precision
from millisight.runtime import read_graph
from millisight.settings import Settings

FACTS = "millisight.json"
"""The extra file of TorchScript, and the metadata entry of ONNX, that describes the network."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions(Choice):
    """What the user asked for; see ``millisight export --help``."""

    format: str
    precision: Precision
    output: Path


@dataclass(frozen=True, slots=True)
class Exported:
    """A file, and how it answers beside a bundle."""

    file: Path
    size_mb: float
    pictures: str
    bundle: str
    """What it was held against."""
    agreement: float
    """Percent of the pictures with the same first answer."""
    max_logit_difference: float
    accuracy: Accuracy | None
    """Of the file; ``None`` where the pictures have no labels."""
    bundle_accuracy: Accuracy | None


def export(options: ExportOptions, settings: Settings, step: Step) -> Exported:
    """Write the model, open the file and compare its answers with the bundle's.

    The precision is one that ``check_precision`` passes. Raises ``NotWritten`` and what ``gather``
    raises.
    """
    with tempfile.TemporaryDirectory() as scratch:
        source, pictures = gather(options, settings, Path(scratch), step)
        with step(f"Writing {options.output}"):
            draft = Path(scratch) / f"draft{SUFFIXES[options.format]}"
            _write(source, options, draft)
            _deliver(draft, options.output)
        with step("Comparing with the bundle"):
            answers = _answers(options, pictures)
            described, expected = _bundle_answers(source, settings, pictures)
    return Exported(
        options.output,
        sum(file.stat().st_size for file in _files(options.output)) / 1e6,
        pictures.source,
        described,
        agreement(expected, answers),
        float(np.abs(expected - answers).max()),
        pictures.accuracy(answers),
        pictures.accuracy(expected),
    )


def describe(model: LoadedModel) -> dict[str, Any]:
    """What a stranger must know of the file: input, output, classes."""
    shown = model.preprocess
    return {
        "input": f"pixels: uint8 (n, {shown.crop}, {shown.crop}, 3), RGB, 0 to 255; normalisation "
        f"is part of the network. Resize the shorter side to {shown.resize} "
        f"({shown.interpolation}) and take the middle {shown.crop} × {shown.crop}.",
        "output": "logits: float32 (n, classes), before softmax",
        "labels": list(model.labels),
        "weights": model.weights.source,
    }


def _write(source: Source, options: ExportOptions, file: Path) -> None:
    facts = json.dumps(describe(source.model), ensure_ascii=False)
    if options.format == "torchscript":
        with_torch.trace(source).save(file, _extra_files={FACTS: facts})
    elif options.format == "onnx":
        if options.precision == "int8":
            with_onnxruntime.quantize(source, file)
        else:
            shutil.copy(source.onnx, file)
        with_onnxruntime.annotate(file, FACTS, facts)
    else:
        graph = source.openvino_int8 if options.precision == "int8" else source.openvino
        graph.set_rt_info(facts, ["millisight"])
        ov.save_model(graph, file, compress_to_fp16=options.precision == "bf16")


def _files(file: Path) -> list[Path]:
    """The file itself, and for OpenVINO the tensors beside it."""
    return [file, file.with_suffix(".bin")] if file.suffix == ".xml" else [file]


def _deliver(draft: Path, target: Path) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        for ours, theirs in zip(_files(draft), _files(target), strict=True):
            shutil.copy(ours, theirs)
    except OSError as error:
        raise NotWritten(
            f"{target} cannot be written: {error.strerror}.", hint="Choose another --output."
        ) from error


def _answers(options: ExportOptions, pictures: Pictures) -> Logits:
    """Of the file as it was delivered."""
    infer: Callable[[Any], Logits]
    if options.format == "torchscript":
        infer = with_torch.runner(with_torch.open_script(options.output), 0)
    elif options.format == "onnx":
        infer = with_onnxruntime.runner(options.output, 0)
    else:
        return run_all(
            engine_for(read_graph(options.output), options.precision), list(pictures.pixels)
        )
    return np.concatenate([infer(part) for part in pictures.parts()])


def _bundle_answers(source: Source, settings: Settings, pictures: Pictures) -> tuple[str, Logits]:
    """Of the bundle with the same weights, or where there is none of the graph that one is made
    of; and which it was."""
    found = _bundle_of(source.model, settings)
    if found is None:
        file = source.scratch / "bundle.xml"
        ov.save_model(source.openvino, file, compress_to_fp16=False)
        return "the float32 graph of a bundle", run_all(
            engine_for(read_graph(file), "float32"), list(pictures.pixels)
        )
    name, bundle = found
    engine = engine_for(bundle.graph, bundle.manifest.precision)
    answers = run_all(engine, list(pictures.pixels))
    return f"the bundle {name} ({bundle.manifest.precision})", answers


def _bundle_of(model: LoadedModel, settings: Settings) -> tuple[str, Bundle] | None:
    for name, path in list_bundles(settings.home):
        try:
            bundle = read_bundle(path)
        except BundleError:
            continue
        if bundle.manifest.weights.sha256 == model.weights.sha256:
            return name, bundle
    return None
