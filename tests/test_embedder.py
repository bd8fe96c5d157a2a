"""Embeddings through the Python API, with the starter answering for real."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import millisight
from millisight import Classifier
from millisight.activation import embedding_size, with_embedding
from millisight.answers import Embedding
from millisight.bundle import read_bundle, starter_path
from millisight.engine import FakeEngine
from millisight.errors import BadImage, DeadlineExceeded, NotEmbeddable, NotReady
from millisight.runtime import import_openvino, read_graph
from millisight.settings import load_settings
from tests.support import encode, texture
from tests.test_activation import BIAS, RANDOM, WEIGHTS, graph, run

PICTURE = texture(500, 400)
ov = import_openvino()


@pytest.fixture(scope="module")
def classifier() -> Iterator[Classifier]:
    with millisight.load("starter") as one:
        yield one


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("between", ["", "relu"])
def test_an_embedding_is_what_the_linear_layer_is_given(bias: bool, between: str) -> None:
    pixels = RANDOM.integers(0, 256, (2, 4, 6, 3), dtype=np.uint8)
    model = graph(bias=bias, between=between)
    assert embedding_size(model) == 3
    logits = run(model, pixels)
    embeddings = run(with_embedding(model), pixels)
    assert embeddings.dtype == np.float32
    np.testing.assert_allclose(embeddings, pixels.mean(axis=(1, 2)), rtol=1e-5)
    np.testing.assert_allclose(embeddings @ WEIGHTS.T + (BIAS if bias else 0), logits, rtol=1e-4)


def test_weights_may_lie_either_way() -> None:
    assert embedding_size(graph(transposed=False)) == 3


@pytest.mark.parametrize("ending", ["relu", "a product of two pictures"])
def test_what_does_not_end_in_a_linear_layer_has_no_embedding(ending: str) -> None:
    from openvino import opset13 as ops

    pixels = ops.parameter([1, 4], ov.Type.f32)
    last = (
        ops.relu(pixels)
        if ending == "relu"
        else ops.matmul(pixels, pixels, transpose_a=False, transpose_b=True)
    )
    model = ov.Model([last.output(0)], [pixels])
    assert embedding_size(model) is None
    with pytest.raises(ValueError, match="linear layer"):
        with_embedding(model)


def test_one_picture_gives_one_vector_however_it_is_asked_for(classifier: Classifier) -> None:
    one = classifier.embed(PICTURE)
    assert (one.dimensions, one.vector.shape, one.vector.dtype) == (1280, (1280,), np.float32)
    assert classifier.embedder.dimensions == 1280
    assert one.model == "efficientnet_lite0"
    assert one.timings_ms.total >= one.timings_ms.inference > 0
    again = classifier.submit_embed(PICTURE).result()
    [many] = classifier.embed_many([PICTURE])
    assert isinstance(many, Embedding)
    np.testing.assert_allclose(again.vector, one.vector, atol=1e-4)
    np.testing.assert_allclose(many.vector, one.vector, atol=1e-4)


def test_normalized_is_the_same_direction_with_length_one(classifier: Classifier) -> None:
    raw = classifier.embed(PICTURE).vector
    unit = classifier.embed(PICTURE, normalize=True).vector
    assert unit.dtype == np.float32
    assert np.linalg.norm(unit) == pytest.approx(1, abs=1e-6)
    assert np.linalg.norm(raw) != pytest.approx(1, abs=1e-2)
    assert float(unit @ raw) == pytest.approx(float(np.linalg.norm(raw)), rel=1e-4)


def test_a_changed_copy_is_nearer_than_another_picture(classifier: Classifier) -> None:
    copy = encode(PICTURE.resize((400, 320)), "JPEG", quality=60)
    pictures = [PICTURE, copy, texture(500, 400, 9)]
    first, near, far = (classifier.embed(one, normalize=True).vector for one in pictures)
    assert first @ near > first @ far


def test_unreadable_ones_keep_their_place(classifier: Classifier) -> None:
    broken = encode(PICTURE, "JPEG")[:300]
    found = list(classifier.embed_many([PICTURE, broken, PICTURE], return_errors=True))
    kinds = [type(one) for one in found]
    assert kinds == [Embedding, BadImage, Embedding]
    with pytest.raises(BadImage):
        list(classifier.embed_many([PICTURE, broken]))


def test_a_passed_deadline_is_said(classifier: Classifier) -> None:
    with pytest.raises(DeadlineExceeded):
        classifier.submit_embed(PICTURE, deadline=0).result()


def test_nothing_is_compiled_before_somebody_asks() -> None:
    def lanes() -> int:
        return sum(thread.name.startswith("lane-") for thread in threading.enumerate())

    settings = load_settings({"threads": 1})
    with Classifier(read_bundle(starter_path()), settings, engine=FakeEngine(1000)) as one:
        before = lanes()
        one.classify(PICTURE)
        assert not one.embedder.prepared
        one.embed(PICTURE)
        assert one.embedder.prepared
        # Embedding takes turns with answering, in the same threads.
        assert lanes() == before
    assert lanes() == before - 1
    with pytest.raises(NotReady):
        one.embed(PICTURE)


def test_a_bundle_without_embeddings_says_so_each_time(tmp_path: Path) -> None:
    from openvino import opset13 as ops

    pixels = ops.parameter([-1, 224, 224, 3], ov.Type.u8)
    means = ops.reduce_mean(ops.convert(pixels, "f32"), np.array([1, 2]), keep_dims=False)
    model = ov.Model([ops.relu(means).output(0)], [pixels])
    ov.save_model(model, tmp_path / "model.xml")
    bundle = replace(read_bundle(starter_path()), graph=read_graph(tmp_path / "model.xml"))
    with Classifier(bundle, load_settings({}), engine=FakeEngine(3)) as one:
        for _ in range(2):
            with pytest.raises(NotEmbeddable, match="efficientnet_lite0 has no embeddings"):
                one.embed(PICTURE)
