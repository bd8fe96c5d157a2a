"""``POST /explain``: maps as numbers or as a picture."""

import asyncio
import threading
from io import BytesIO

import httpx
import numpy as np
import pytest
from PIL import Image

import millisight
from millisight.engine import Engine, Logits, Pixels
from tests.server.conftest import Against
from tests.server.test_predict import problem
from tests.support import encode, texture

JPEG = encode(texture(400, 300), "JPEG")
PNG = {"accept": "image/png"}


def test_the_maps_are_those_of_the_python_api(against: Against) -> None:
    async def check(client: httpx.AsyncClient) -> None:
        response = await client.post("/explain?top_k=2", content=JPEG)
        assert response.status_code == 200, response.text
        assert response.headers["vary"] == "Accept"
        assert "inference;dur=" in response.headers["server-timing"]
        body = response.json()
        with millisight.load("starter") as classifier:
            expected = classifier.explain(JPEG, 2)
        assert body["box"] == pytest.approx(expected.box, abs=1e-5)
        assert body["model"] == "efficientnet_lite0"
        assert body["warnings"] == list(expected.warnings)
        assert set(body["timings_ms"]) == {"decode", "queue", "inference", "total"}
        for got, one in zip(body["maps"], expected.maps, strict=True):
            assert got["label"] == one.prediction.label
            assert got["index"] == one.prediction.index
            assert got["confidence"] == pytest.approx(one.prediction.confidence, abs=1e-5)
            np.testing.assert_allclose(got["map"], one.cells, atol=1e-3)

    against(check)


def test_a_form_works_as_for_predict_and_classes_can_be_chosen(against: Against) -> None:
    async def check(client: httpx.AsyncClient) -> None:
        response = await client.post("/explain?class=7&class=950", files={"file": JPEG})
        assert [one["index"] for one in response.json()["maps"]] == [7, 950]
        assert len((await client.post("/explain", content=JPEG)).json()["maps"]) == 3

    against(check)


def test_a_picture_is_drawn_for_who_asks_for_one(against: Against) -> None:
    async def check(client: httpx.AsyncClient) -> None:
        images = []
        for query in ("", "?class=7"):
            response = await client.post("/explain" + query, content=JPEG, headers=PNG)
            assert response.headers["content-type"] == "image/png"
            images.append(np.asarray(Image.open(BytesIO(response.content)).convert("RGB")))
            assert images[-1].shape == (224, 224, 3)
        assert (images[0] != images[1]).any()

    against(check)


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (None, "application/json"),
        ("*/*", "application/json"),
        ("text/html,application/json;q=0.9,image/png;q=0.8", "application/json"),
        ("image/png;q=0.9, application/json;q=0.2", "image/png"),
        ("image/avif,image/*,*/*;q=0.8", "image/png"),
    ],
)
def test_the_kind_of_answer_is_what_the_client_likes_best(
    against: Against, accept: str | None, kind: str
) -> None:
    async def check(client: httpx.AsyncClient) -> None:
        request = client.build_request("POST", "/explain", content=JPEG)
        request.headers.pop("accept")
        if accept is not None:
            request.headers["accept"] = accept
        assert (await client.send(request)).headers["content-type"] == kind

    against(check)


def test_what_is_wrong_with_the_classes_asked_for_is_said(against: Against) -> None:
    async def check(client: httpx.AsyncClient) -> None:
        for query in ("class=1000", "class=cat", "class=1&top_k=1", "top_k=101"):
            problem(await client.post(f"/explain?{query}", content=JPEG), 422, "bad_parameter")

    against(check)


def test_no_map_is_made_for_who_has_gone(against: Against) -> None:
    async def check(client: httpx.AsyncClient) -> None:
        assert (await client.post("/explain", content=JPEG)).status_code == 200
        service = client._transport.app.state.service  # type: ignore[attr-defined]
        line = service.find().ready().explainer.prepare()
        counting = Counting(line.engine)
        line.engine = counting
        posts = [asyncio.create_task(client.post("/explain", content=JPEG)) for _ in range(12)]
        await asyncio.to_thread(counting.running.wait, 20)
        for post in posts:
            post.cancel()
        await asyncio.gather(*posts, return_exceptions=True)
        assert (await client.post("/explain", content=JPEG)).status_code == 200
        assert counting.begun <= 4

    against(check)


class Counting:
    """An engine that counts its runs."""

    lanes = 1

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.begun = 0
        self.running = threading.Event()

    def infer(self, batch: Pixels, *, alone: bool = False) -> Logits:
        self.begun += 1
        self.running.set()
        return self.engine.infer(batch, alone=alone)


@pytest.mark.parametrize("accept", ["IMAGE/PNG", "text/html, image/png"])
def test_the_case_of_a_type_does_not_matter(against: Against, accept: str) -> None:
    async def check(client: httpx.AsyncClient) -> None:
        answer = await client.post("/explain", content=JPEG, headers={"Accept": accept})
        assert answer.headers["content-type"] == "image/png"

    against(check)
