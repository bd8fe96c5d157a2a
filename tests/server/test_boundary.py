"""Request ids on every route, and clients that leave."""

import asyncio
import logging
import re
from functools import partial

import httpx
import pytest

from millisight.bundle import read_bundle, starter_path
from millisight.classifier import Classifier
from millisight.engine import FakeEngine
from millisight.server import create_app
from millisight.settings import Settings
from tests.models import without_network
from tests.server.conftest import Against
from tests.server.test_predict import JPEG, problem

MADE = re.compile("[0-9a-f]{32}")


@pytest.mark.parametrize(
    "path", ["/", "/static/page.js", "/docs", "/openapi.json", "/model", "/nothing", "/predict"]
)
def test_every_route_gives_the_callers_id_back_or_makes_one(against: Against, path: str) -> None:
    async def check(client: httpx.AsyncClient) -> None:
        mine = await client.get(path, headers={"X-Request-ID": "7f3c:1.2_x-Y"})
        made = [(await client.get(path)).headers["X-Request-ID"] for _ in range(2)]
        assert mine.headers["X-Request-ID"] == "7f3c:1.2_x-Y"
        assert all(MADE.fullmatch(one) for one in made)
        assert made[0] != made[1]

    against(check)


@pytest.mark.parametrize(
    "given", [b"a\nb", b"a\n", b"a\r\nSet-Cookie: b", b"<script>", "ид".encode(), b"\0", b"a/b"]
)
def test_an_id_that_could_forge_a_log_line_or_a_header_is_replaced(
    against: Against, given: bytes
) -> None:
    async def check(client: httpx.AsyncClient) -> None:
        response = await client.post("/predict", headers=[(b"X-Request-ID", given)])
        assert MADE.fullmatch(response.headers["X-Request-ID"])
        assert response.json()["request_id"] == response.headers["X-Request-ID"]
        assert "set-cookie" not in response.headers

    against(check)


@pytest.mark.parametrize("path", ["/nothing", "/nothing?", "/model"])
def test_a_query_that_is_not_text_is_no_fault(path: str) -> None:
    statuses = []

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, object]) -> None:
        statuses.append(message.get("status"))

    app = create_app({"starter": read_bundle(starter_path())}, Settings())
    request = {"type": "http", "method": "GET", "path": path, "query_string": b"a=\xff&\xff"}
    asyncio.run(app(request | {"headers": []}, receive, send))
    assert statuses[0] == (200 if path == "/model" else 404)


def test_a_client_that_leaves_during_its_upload_is_no_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sent = []

    async def receive() -> dict[str, object]:
        return {"type": "http.disconnect"}

    async def send(message: object) -> None:
        sent.append(message)

    async def whole() -> None:
        ready = asyncio.Event()
        app = create_app({"starter": read_bundle(starter_path())}, Settings(), on_ready=ready.set)
        request = {"type": "http", "method": "POST", "path": "/predict"}
        async with app.router.lifespan_context(app):
            await asyncio.wait_for(ready.wait(), 30)
            await app({**request, "query_string": b"", "headers": []}, receive, send)

    asyncio.run(whole())
    assert sent == []
    assert [one.getMessage() for one in caplog.records if one.levelno > logging.INFO] == []


def test_what_is_wrong_with_a_bundle_stands_in_the_log_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ready = asyncio.Event()
    bundle = without_network(read_bundle(starter_path()))
    settings = Settings()
    # What answers is no network: that of the bundle is first needed for an embedding.
    load = partial(Classifier, settings=settings, engine=FakeEngine(1000))

    async def whole() -> None:
        app = create_app({"own": bundle}, settings, load=load, on_ready=ready.set)
        transport = httpx.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://test") as client,
        ):
            await ready.wait()
            for path in ("/embed", "/explain"):
                caplog.clear()
                answer = await client.post(path, content=JPEG)
                body = problem(answer, 500, "bad_bundle")
                assert body["error"] == "Something went wrong inside the server."
                assert "model.xml" not in answer.text
                [line] = [one.getMessage() for one in caplog.records if one.levelname == "ERROR"]
                assert body["request_id"] in line
                assert f"OpenVINO cannot load {bundle.graph.path}." in line

    asyncio.run(whole())
