"""``POST /embed``: numbers as JSON or as a file for NumPy."""

from io import BytesIO

import httpx
import numpy as np
import pytest

import millisight
from tests.server.conftest import Against
from tests.server.test_predict import problem
from tests.support import encode, texture

JPEG = encode(texture(400, 300), "JPEG")
NPY = {"accept": "application/x-npy"}


def test_the_numbers_are_those_of_the_python_api(against: Against) -> None:
    async def check(client: httpx.AsyncClient) -> None:
        response = await client.post("/embed", content=JPEG)
        assert response.status_code == 200, response.text
        assert response.headers["vary"] == "Accept"
        assert "inference;dur=" in response.headers["server-timing"]
        body = response.json()
        with millisight.load("starter") as classifier:
            expected = classifier.embed(JPEG)
        np.testing.assert_allclose(body["embedding"], expected.vector, atol=1e-4)
        assert body["dimensions"] == len(body["embedding"]) == 1280
        assert (body["normalized"], body["model"]) == (False, "efficientnet_lite0")
        assert body["warnings"] == list(expected.warnings)
        assert set(body["timings_ms"]) == {"decode", "queue", "inference", "total"}

    against(check)


def test_a_file_for_numpy_has_the_same_numbers_to_the_last_bit(against: Against) -> None:
    async def check(client: httpx.AsyncClient) -> None:
        numbers = (await client.post("/embed", files={"file": JPEG})).json()["embedding"]
        response = await client.post("/embed", content=JPEG, headers=NPY)
        assert response.headers["content-type"] == "application/x-npy"
        vector = np.load(BytesIO(response.content), allow_pickle=False)
        assert (vector.dtype, vector.shape) == (np.float32, (1280,))
        assert np.array_equal(np.array(numbers, np.float32), vector)

    against(check, threads=1)


def test_normalized_has_length_one(against: Against) -> None:
    async def check(client: httpx.AsyncClient) -> None:
        body = (await client.post("/embed?normalize=true", content=JPEG)).json()
        assert body["normalized"] is True
        assert np.linalg.norm(body["embedding"]) == pytest.approx(1, abs=1e-6)

    against(check)


def test_normalize_is_true_or_false(against: Against) -> None:
    async def check(client: httpx.AsyncClient) -> None:
        for given in ("maybe", ""):
            answer = await client.post(f"/embed?normalize={given}", content=JPEG)
            problem(answer, 422, "bad_parameter")

    against(check)


def test_who_has_no_key_is_refused(against: Against) -> None:
    async def check(client: httpx.AsyncClient) -> None:
        problem(await client.post("/embed", content=JPEG), 401, "unauthorized")
        key = {"authorization": "Bearer a-key-of-some-length"}
        assert (await client.post("/embed", content=JPEG, headers=key)).status_code == 200

    against(check, api_keys="a-key-of-some-length")
