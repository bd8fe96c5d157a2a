"""Class activation maps of graphs: exact where there are any, none where there cannot be."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from millisight.activation import map_size, with_maps
from millisight.bundle import starter_path
from millisight.engine import OpenVINOEngine
from millisight.runtime import import_openvino, read_graph

ov = import_openvino()

RANDOM = np.random.default_rng(4)
WEIGHTS = RANDOM.normal(size=(5, 3)).astype(np.float32)
BIAS = RANDOM.normal(size=(1, 5)).astype(np.float32)


def graph(
    *,
    pooling: str = "reduce_mean",
    axes: tuple[int, ...] = (2, 3),
    between: str = "",
    transposed: bool = True,
    bias: bool = True,
) -> Any:
    """Pixels ``(?, 4, 6, 3)`` to five logits, with nothing before the pooling."""
    from openvino import opset13 as ops

    pixels = ops.parameter([-1, 4, 6, 3], ov.Type.u8, name="pixels")
    features = ops.transpose(ops.convert(pixels, ov.Type.f32), np.array([0, 3, 1, 2]))
    pooled = getattr(ops, pooling)(features, np.array(axes), keep_dims=True)
    flat = ops.reshape(pooled, np.array([0, -1]), special_zero=True)
    if between:
        flat = getattr(ops, between)(flat)
    width = flat.output(0).get_partial_shape()[1].get_length()
    weights = np.resize(WEIGHTS, (5, width))
    logits = ops.matmul(
        flat,
        ops.constant(weights if transposed else np.ascontiguousarray(weights.T)),
        transpose_a=False,
        transpose_b=transposed,
    )
    if bias:
        logits = ops.add(logits, ops.constant(BIAS))
    return ov.Model([logits.output(0)], [pixels])


def run(model: Any, pixels: np.ndarray) -> np.ndarray:
    compiled = ov.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return np.array(compiled([pixels])[0])


@pytest.mark.parametrize("bias", [True, False])
def test_a_map_is_the_weights_of_the_class_times_the_features_of_each_cell(bias: bool) -> None:
    pixels = RANDOM.integers(0, 256, (2, 4, 6, 3), dtype=np.uint8)
    model = graph(bias=bias)
    assert map_size(model) == (4, 6)
    logits = run(model, pixels)
    output = run(with_maps(model), pixels)
    assert output.shape == (2, 5, 25)
    np.testing.assert_allclose(output[:, :, 0], logits, rtol=1e-5)
    expected = np.einsum("kc,nhwc->nkhw", WEIGHTS, pixels.astype(np.float32))
    np.testing.assert_allclose(output[:, :, 1:].reshape(2, 5, 4, 6), expected, rtol=1e-4, atol=1e-2)
    rest = BIAS if bias else 0
    np.testing.assert_allclose(output[:, :, 1:].mean(axis=2) + rest, logits, rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize(
    "other",
    [
        {"between": "relu"},  # the linear layer does not see the mean itself
        {"between": "hswish"},
        {"pooling": "reduce_max"},
        {"axes": (2,)},
        {"axes": (1, 2)},  # over channels: such a mean has no places
        {"transposed": False},
    ],
)
def test_another_ending_has_no_maps(other: dict[str, Any]) -> None:
    model = graph(**other)
    assert map_size(model) is None
    with pytest.raises(ValueError, match="global average pooling"):
        with_maps(model)


def test_a_graph_that_ends_in_something_else_has_no_maps() -> None:
    from openvino import opset13 as ops

    pixels = ops.parameter([1, 3, 4, 6], ov.Type.f32)
    assert map_size(ov.Model([ops.relu(pixels).output(0)], [pixels])) is None


def test_the_starter_in_int8_has_maps_whose_means_are_its_logits() -> None:
    path: Path = starter_path() / "model.xml"
    assert map_size(ov.Core().read_model(path)) == (7, 7)
    files = read_graph(path)
    plain = OpenVINOEngine(files, precision="int8", threads=1)
    explaining = OpenVINOEngine(files, precision="int8", threads=1, change=with_maps)
    pictures = RANDOM.integers(0, 256, (4, 224, 224, 3), dtype=np.uint8)
    biases = []
    for picture in pictures:
        output = explaining.infer(picture[None])[0]
        assert output.shape == (1000, 50)
        np.testing.assert_allclose(output[:, 0], plain.infer(picture[None])[0], atol=1e-4)
        biases.append(output[:, 0] - output[:, 1:].mean(axis=1))
    # What is left is the bias of each class, the same for every picture, but for rounding.
    assert np.abs(biases - np.mean(biases, axis=0)).max() < 0.1
    assert np.ptp(np.mean(biases, axis=0)) < 1
