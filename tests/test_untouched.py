"""A bundle's folder is not looked at again: whatever becomes of it, answers stay as they were."""

import os
import re
import shutil
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import httpx
import numpy as np
import pytest

import millisight
from millisight import Classifier
from millisight.bundle import TENSORS, store
from tests.e2e.conftest import running
from tests.models import build
from tests.support import encode, texture

JPEG = encode(texture(400, 300), "JPEG")


def overwrite(folder: Path) -> None:
    """As a copy that ends in the same file does it."""
    with (folder / TENSORS).open("r+b") as file:
        content = file.read()
        file.seek(0)
        file.write(content[::-1])


def truncate(folder: Path) -> None:
    os.truncate(folder / TENSORS, 1000)


def replace(folder: Path) -> None:
    """By one that is as good, but another: as ``build`` does it."""
    build(folder.parent.parent, folder.name, "other")
    overwrite(folder)


HAZARDS = [overwrite, truncate, replace, shutil.rmtree]


@pytest.fixture(scope="module")
def undisturbed() -> Classifier:
    return millisight.load("starter", threads=1)


@pytest.mark.parametrize("hazard", HAZARDS)
def test_a_classifier_answers_explains_and_embeds_as_before(
    tmp_path: Path, undisturbed: Classifier, hazard: Callable[[Path], None]
) -> None:
    build(tmp_path, "own", "own")
    with millisight.load("own", home=tmp_path, threads=1) as one:
        before = one.classify(JPEG, 5).predictions
        hazard(store(tmp_path) / "own")
        assert one.classify(JPEG, 5).predictions == before
        assert np.array_equal(one.embed(JPEG).vector, undisturbed.embed(JPEG).vector)
        for got, expected in zip(
            one.explain(JPEG).maps, undisturbed.explain(JPEG).maps, strict=True
        ):
            assert np.array_equal(got.cells, expected.cells)
            assert got.prediction.label == f"own {expected.prediction.label}"


# One after the other, to start fewer servers: before the first embedding, and before the first map.
@pytest.mark.parametrize(("first", "second"), [(overwrite, truncate), (replace, shutil.rmtree)])
def test_a_server_does_so_and_tells_no_path(
    tmp_path: Path,
    undisturbed: Classifier,
    first: Callable[[Path], None],
    second: Callable[[Path], None],
) -> None:
    build(tmp_path, "own", "own")
    folder = store(tmp_path) / "own"
    arguments = ("--model", "own", "--threads", "1", "--cache-entries", "0")
    with (
        running(tmp_path, *arguments) as server,
        httpx.Client(base_url=server.url, timeout=60) as client,
    ):

        def told(path: str, **headers: str) -> bytes:
            answer = client.post(path, content=JPEG, headers=headers)
            assert answer.status_code == 200, answer.text
            assert str(tmp_path).encode() not in answer.content
            return answer.content

        def predictions() -> str:
            found = re.search(rb'"predictions":\[.*?\]', told("/predict?top_k=5"))
            assert found
            return found[0].decode()

        before = predictions()
        first(folder)
        vector = np.load(BytesIO(told("/embed", accept="application/x-npy")))
        assert np.array_equal(vector, undisturbed.embed(JPEG).vector)
        assert predictions() == before
        second(folder)
        maps = httpx.Response(200, content=told("/explain")).json()["maps"]
        for got, expected in zip(maps, undisturbed.explain(JPEG).maps, strict=True):
            assert got["label"] == f"own {expected.prediction.label}"
            np.testing.assert_allclose(got["map"], expected.cells, atol=1e-3)
        assert predictions() == before
        assert server.stop() == 0
