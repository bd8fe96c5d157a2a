"""``POST /predict``: answers, and each error through the route with its status and shape."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from typing import Any

import httpx
import pytest

from millisight.bundle import open_bundles
from millisight.classifier import Classifier
from millisight.engine import FakeEngine, Logits, Pixels
from millisight.server import create_app
from millisight.settings import load_settings
from tests.server.conftest import Against
from tests.support import encode, solid, texture

JPEG = encode(solid((7, 7, 7)), "JPEG", quality=100)


class HeldEngine(FakeEngine):
    """Answers only once ``go`` is set."""

    def __init__(self) -> None:
        super().__init__(1000)
        self.running = threading.Event()
        self.go = threading.Event()

    def infer(self, batch: Pixels, *, alone: bool = False) -> Logits:
        self.running.set()
        self.go.wait(20)
        return super().infer(batch, alone=alone)


class BrokenOnBlack(FakeEngine):
    """Fails on black pictures."""

    def infer(self, batch: Pixels, *, alone: bool = False) -> Logits:
        if not batch.any():
            raise RuntimeError("secret detail")
        return super().infer(batch, alone=alone)


def another(number: int) -> bytes:
    """The same picture in different bytes, so that no answer is shared."""
    return JPEG + b"%d" % number


def problem(response: httpx.Response, status: int, code: str) -> dict[str, str]:
    body: dict[str, str] = response.json()
    assert response.status_code == status, body
    assert set(body) == {"error", "code", "hint", "request_id"}
    assert all(isinstance(value, str) for value in body.values())
    assert body["code"] == code
    assert body["request_id"] == response.headers["X-Request-ID"]
    return body


def test_a_form_field_and_a_bare_body_get_the_same_answer(against: Against) -> None:
    async def check(client: httpx.AsyncClient) -> None:
        form = await client.post("/predict", files={"file": ("x.jpg", JPEG)})
        bare = await client.post("/predict", content=JPEG)
        assert form.status_code == bare.status_code == 200
        body = form.json()
        assert set(body) == {
            "predictions", "inference_time_ms", "model", "timings_ms", "cached", "warnings",
        }  # fmt: skip
        assert body["predictions"] == bare.json()["predictions"]
        best = body["predictions"][0]
        assert (best["index"], best["label"]) == (7, "cock")
        assert best["confidence"] == pytest.approx(0.9566, abs=1e-3)
        assert len(body["predictions"]) == 3
        assert body["model"] == "efficientnet_lite0"
        assert body["cached"] is False
        assert body["warnings"] == []
        assert body["inference_time_ms"] == body["timings_ms"]["inference"]

    against(check)


def test_server_timing_carries_the_same_parts(against: Against) -> None:
    async def check(client: httpx.AsyncClient) -> None:
        response = await client.post("/predict", content=JPEG)
        parts = dict(
            part.strip().split(";dur=") for part in response.headers["Server-Timing"].split(",")
        )
        timings = response.json()["timings_ms"]
        assert list(parts) == ["decode", "queue", "inference", "total"]
        assert {name: float(value) for name, value in parts.items()} == pytest.approx(timings)

    against(check)


def test_the_number_of_classes_is_a_parameter(against: Against) -> None:
    async def check(client: httpx.AsyncClient) -> None:
        for top_k in (1, 100):
            response = await client.post("/predict", content=JPEG, params={"top_k": top_k})
            assert len(response.json()["predictions"]) == top_k
        for top_k in ("0", "101", "many", "1.5"):
            response = await client.post("/predict", content=JPEG, params={"top_k": top_k})
            body = problem(response, 422, "bad_parameter")
            assert "top_k" in body["error"]
            assert top_k in body["error"]

    against(check)


def test_what_was_done_to_the_picture_is_told(against: Against) -> None:
    async def check(client: httpx.AsyncClient) -> None:
        cut_out = encode(solid((0, 0, 0, 0), "RGBA"), "PNG")
        response = await client.post("/predict", content=cut_out)
        assert response.json()["warnings"] == ["alpha_on_white"]
        assert response.json()["predictions"][0]["index"] == 255

    against(check)


BOUNDARY = {"Content-Type": "multipart/form-data; boundary=b"}
BAD_REQUESTS: dict[str, tuple[dict[str, Any], int, str]] = {
    "empty body": ({"content": b""}, 400, "bad_request"),
    "empty file": ({"files": {"file": ("x.jpg", b"")}}, 400, "bad_request"),
    "other field": ({"files": {"picture": ("x.jpg", JPEG)}}, 400, "bad_request"),
    "text field": (
        {"content": b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\nhi\r\n--b--\r\n',
         "headers": BOUNDARY}, 400, "bad_request"),
    "broken form": ({"content": b"nonsense", "headers": BOUNDARY}, 400, "bad_request"),
    "no boundary": (
        {"content": b"x", "headers": {"Content-Type": "multipart/form-data"}}, 400, "bad_request"),
    "garbage": ({"content": b"not a picture"}, 415, "unsupported_format"),
    "program": ({"content": b"%!PS-Adobe-3.0 EPSF-3.0\n"}, 415, "unsupported_format"),
    "truncated": ({"content": JPEG[: len(JPEG) // 2]}, 422, "bad_image"),
    "too large": ({"content": bytes(1_000_001)}, 413, "upload_too_large"),
    "too large in a form": ({"files": {"file": bytes(1_000_001)}}, 413, "upload_too_large"),
    "too many pixels": ({"content": encode(solid(0, "1", (2000, 1001)), "PNG")}, 413,
                        "image_too_large"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_REQUESTS)
def test_a_bad_request_gets_a_sentence_and_the_server_goes_on(against: Against, name: str) -> None:
    request, status, code = BAD_REQUESTS[name]

    async def check(client: httpx.AsyncClient) -> None:
        body = problem(await client.post("/predict", **request), status, code)
        assert body["error"].endswith(".")
        assert "/" not in body["error"].replace("/predict", "")
        assert (await client.post("/predict", content=JPEG)).status_code == 200

    against(check, max_upload_mb=1, max_megapixels=2)


def test_an_upload_without_a_length_is_stopped_while_it_arrives(against: Against) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(1000):
            sent += 100_000
            yield bytes(100_000)

    async def check(client: httpx.AsyncClient) -> None:
        problem(await client.post("/predict", content=endless()), 413, "upload_too_large")
        assert sent <= 1_200_000

    against(check, max_upload_mb=1)


def test_a_request_id_is_taken_over_only_when_harmless(against: Against) -> None:
    async def check(client: httpx.AsyncClient) -> None:
        for given, kept in (("abc-1", True), ("a b", False), ("x" * 129, False), ("", False)):
            response = await client.get("/nothing", headers={"X-Request-ID": given})
            body = problem(response, 404, "not_found")
            assert (body["request_id"] == given) is kept

    against(check)


def test_a_wrong_method_says_which_is_right(against: Against) -> None:
    async def check(client: httpx.AsyncClient) -> None:
        response = await client.get("/predict")
        problem(response, 405, "method_not_allowed")
        assert response.headers["Allow"] == "POST"

    against(check)


def test_a_full_queue_is_429_with_a_time_to_come_back(against: Against) -> None:
    engine = HeldEngine()

    async def check(client: httpx.AsyncClient) -> None:
        first = asyncio.create_task(client.post("/predict", content=JPEG))
        await asyncio.to_thread(engine.running.wait, 20)
        posts = [asyncio.create_task(client.post("/predict", content=another(i))) for i in range(7)]
        while sum(post.done() for post in posts) < 6:
            await asyncio.wait(posts, return_when=asyncio.FIRST_COMPLETED, timeout=0.01)
        for post in posts:
            if post.done():
                problem(post.result(), 429, "overloaded")
                assert int(post.result().headers["Retry-After"]) >= 1
        engine.go.set()
        answers = await asyncio.gather(first, *posts)
        assert sorted(answer.status_code for answer in answers) == [200] * 2 + [429] * 6

    against(check, engine, max_queue=1, max_batch=1)


def test_an_answer_that_takes_too_long_is_504(against: Against) -> None:
    engine = HeldEngine()

    async def check(client: httpx.AsyncClient) -> None:
        problem(await client.post("/predict", content=JPEG), 504, "deadline_exceeded")
        engine.go.set()
        assert (await client.get("/health/live")).status_code == 200

    against(check, engine, deadline_ms=100)


def test_a_fault_inside_answers_500_with_an_id_found_in_the_log(
    against: Against, caplog: pytest.LogCaptureFixture
) -> None:
    async def check(client: httpx.AsyncClient) -> None:
        black = encode(solid((0, 0, 0)), "PNG")
        body = problem(await client.post("/predict", content=black), 500, "internal")
        assert "secret" not in str(body)
        logged = [record for record in caplog.records if body["request_id"] in record.getMessage()]
        assert "secret detail" in str(logged[0].exc_info)
        assert (await client.post("/predict", content=JPEG)).status_code == 200

    with caplog.at_level(logging.ERROR):
        against(check, BrokenOnBlack(1000))


def test_so_does_one_in_making_its_pixels(caplog: pytest.LogCaptureFixture) -> None:
    settings = load_settings({}, {})
    [(name, bundle)] = open_bundles(["starter"], settings.home).items()
    preprocess = bundle.manifest.preprocess.model_copy(update={"interpolation": "secret"})
    manifest = bundle.manifest.model_copy(update={"preprocess": preprocess})
    load = partial(Classifier, settings=settings, engine=FakeEngine(1000))
    app = create_app(
        {name: replace(bundle, manifest=manifest)}, settings, load=load, background=False
    )

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://test") as client,
        ):
            return await client.post("/predict", content=JPEG)

    with caplog.at_level(logging.ERROR):
        body = problem(asyncio.run(ask()), 500, "internal")
    assert "secret" not in str(body)
    logged = [record for record in caplog.records if body["request_id"] in record.getMessage()]
    assert "secret" in str(logged[0].exc_info)


def test_a_real_network_answers_through_the_same_door(against: Against) -> None:
    async def check(client: httpx.AsyncClient) -> None:
        pictures = [encode(texture(300, 200, seed=n), "JPEG") for n in range(12)]
        posts = [client.post("/predict", content=picture) for picture in pictures]
        together = [answer.json()["predictions"] for answer in await asyncio.gather(*posts)]
        for picture, shared in zip(pictures, together, strict=True):
            alone = (await client.post("/predict", content=picture)).json()["predictions"]
            assert [one["index"] for one in alone] == [one["index"] for one in shared]

    from millisight.bundle import read_bundle, starter_path
    from millisight.engine import OpenVINOEngine

    against(check, OpenVINOEngine(read_bundle(starter_path()).graph, precision="int8"))
