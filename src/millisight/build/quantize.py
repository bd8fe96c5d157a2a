"""INT8 by NNCF's post-training quantisation, with the range estimator that suits the model.

How the range of each activation is taken decides the accuracy. Taking the extremes wastes
resolution on outliers; a histogram clips them. Which is better depends on the model and the
pictures, so each is tried and judged on pictures that were not used.
"""

import contextlib
import io
import logging
import tempfile
from dataclasses import dataclass
from pathlib import Path

import nncf
from nncf.quantization.advanced_parameters import AdvancedQuantizationParameters, OverflowFix
from nncf.quantization.range_estimator import RangeEstimatorParametersSet

from millisight.build.agreement import Comparison, compare, engine_for, run_all
from millisight.build.calibrate import FEW_SAMPLES, CalibrationSet, Pixels
from millisight.build.export import ov
from millisight.build.steps import Bar, Step
from millisight.engine import Logits
from millisight.errors import BuildError
from millisight.runtime import Graph, read_graph

ESTIMATORS = {
    "minmax": RangeEstimatorParametersSet.MINMAX,
    "histogram": RangeEstimatorParametersSet.HISTOGRAM,
}
"""Range estimators for activations that are tried, by the name the manifest gives them."""


@dataclass(frozen=True, slots=True)
class Quantized:
    """The INT8 graph that stays closest to the float32 one."""

    graph: Graph
    estimator: str
    samples: int
    """How many it was calibrated with."""
    comparison: Comparison


def quantize(graph: Graph, pictures: CalibrationSet, reference: Logits, step: Step) -> Quantized:
    """The best of the INT8 versions of ``graph``.

    ``reference`` holds the float32 logits of ``pictures.check``.
    """

    def tried(estimator: str, samples: list[Pixels], title: str) -> Quantized:
        with step(title, total=len(samples)) as bar:
            candidate = _quantize(graph, estimator, samples, bar)
            comparison = compare(reference, _run(candidate, pictures.check))
        return Quantized(candidate, estimator, len(samples), comparison)

    # Each estimator is tried on these; the one that is chosen is then given all.
    some = pictures.samples[:: max(1, len(pictures.samples) // FEW_SAMPLES)]
    candidates = []
    for estimator in ESTIMATORS:
        # NNCF's histogram has no bins for an activation that hardly varies.
        with contextlib.suppress(ValueError):
            candidates.append(tried(estimator, some, f"Quantising, ranges by {estimator}"))
    if not candidates:
        raise BuildError(
            "NNCF cannot quantise this model with these pictures.",
            hint="Use --precision bf16, or other pictures (--calibration).",
        )
    best = min(candidates, key=lambda one: one.comparison.divergence)
    if len(some) == len(pictures.samples):
        return best
    title = f"Quantising with all pictures, ranges by {best.estimator}"
    with contextlib.suppress(ValueError):
        candidates.append(tried(best.estimator, pictures.samples, title))
    return min(candidates, key=lambda one: one.comparison.divergence)


def _quantize(graph: Graph, estimator: str, samples: list[Pixels], bar: Bar) -> Graph:
    def feed(pixels: Pixels) -> Pixels:
        bar.advance(1)
        return pixels[None]

    # NNCF draws bars of its own on standard output, which belongs to the command.
    with contextlib.redirect_stdout(io.StringIO()):
        logging.getLogger("nncf").setLevel(logging.ERROR)
        return nncf.quantize(
            graph,
            nncf.Dataset(samples, feed),
            subset_size=len(samples),
            preset=_preset(graph),
            advanced_parameters=AdvancedQuantizationParameters(
                # Processors without VNNI add two products in 16 bits, which full weights overflow.
                overflow_fix=OverflowFix.ENABLE,
                activations_range_estimator_params=ESTIMATORS[estimator],
            ),
        )


def _run(graph: Graph, pictures: list[Pixels]) -> Logits:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "candidate.xml"
        ov.save_model(graph, file, compress_to_fp16=False)
        return run_all(engine_for(read_graph(file), "int8"), pictures)


def _preset(graph: Graph) -> nncf.QuantizationPreset:
    """Symmetric activations, as NNCF advises where ReLU makes them all positive; asymmetric ones
    where an activation function has a negative side."""
    kinds = {operation.get_type_name() for operation in graph.get_ops()}
    signed = kinds & {"HSwish", "Swish", "Gelu", "Elu", "Mish", "PRelu"}
    return nncf.QuantizationPreset.MIXED if signed else nncf.QuantizationPreset.PERFORMANCE
