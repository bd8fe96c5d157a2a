"""From loading to stopping: what is answered when, and what is given up."""

import asyncio
import logging
import time
import weakref
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from millisight.bundle import Bundle, open_bundles, read_bundle, starter_path
from millisight.engine import FakeEngine
from millisight.errors import BadImage, NotReady
from millisight.server import create_app
from millisight.server.dialects.inference import infer
from millisight.server.dialects.tensors import Asked
from millisight.server.service import Service
from millisight.settings import Settings
from tests.models import build, without_network
from tests.server.conftest import Against
from tests.server.test_predict import JPEG, HeldEngine, another, problem
from tests.support import encode, solid


def test_nothing_is_answered_after_the_end() -> None:
    async def whole() -> None:
        app = create_app({"starter": read_bundle(starter_path())}, Settings())
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://test"
        ) as client:
            async with app.router.lifespan_context(app):
                pass
            problem(await client.post("/predict", content=JPEG), 503, "not_ready")
            problem(await client.get("/health/ready"), 503, "not_ready")

    asyncio.run(whole())


def test_a_start_in_the_foreground_is_ready_or_fails() -> None:
    starter = read_bundle(starter_path())
    broken = without_network(starter)

    async def start(bundle: Bundle) -> None:
        app = create_app({"own": bundle}, Settings(), background=False)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client,
        ):
            assert (await client.get("/health/ready")).status_code == 200

    asyncio.run(start(starter))
    with pytest.raises(NotReady):
        asyncio.run(start(broken))


def test_a_model_that_cannot_be_loaded_is_reported_once_and_never_ready(
    caplog: pytest.LogCaptureFixture,
) -> None:
    reports = []

    async def whole() -> None:
        failed = asyncio.Event()
        app = create_app(
            {"own": without_network(read_bundle(starter_path()))},
            Settings(),
            on_ready=lambda: reports.append("ready"),
            on_failure=lambda: (reports.append("failed"), failed.set()),
        )
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client,
        ):
            await asyncio.wait_for(failed.wait(), 30)
            problem(await client.get("/health/ready"), 503, "not_ready")

    asyncio.run(whole())
    assert reports == ["failed"]
    [record] = [one for one in caplog.records if one.levelno >= logging.ERROR]
    assert "OpenVINO cannot load" in str(record.exc_info)


def test_a_slow_upload_is_given_up(against: Against) -> None:
    async def stalls() -> AsyncIterator[bytes]:
        yield JPEG[:10]
        await asyncio.Event().wait()

    async def check(client: httpx.AsyncClient) -> None:
        async with asyncio.timeout(30):
            response = await client.post("/predict", content=stalls())
        assert "50 ms" in problem(response, 504, "deadline_exceeded")["error"]

    against(check, deadline_ms=50)


def test_no_work_is_spent_on_what_was_given_up(against: Against) -> None:
    engine = HeldEngine()

    async def check(client: httpx.AsyncClient) -> None:
        posts = [client.post("/predict", content=another(number)) for number in range(4)]
        for response in await asyncio.gather(*posts):
            problem(response, 504, "deadline_exceeded")
        engine.go.set()

    against(check, engine, max_batch=1, deadline_ms=200)
    assert engine.batch_sizes == [1]


def test_a_batch_whose_model_is_exchanged_before_it_is_asked_is_answered_by_the_new_one(
    tmp_path: Path,
) -> None:
    build(tmp_path, "steel", "old")
    settings = Settings(model=("steel",), home=tmp_path)

    async def whole() -> None:
        service = Service(open_bundles(settings.model, tmp_path), settings)
        await service.start(lambda: None, lambda: None)
        old = service.find()
        build(tmp_path, "steel", "new")
        await service.reload()
        asked = Asked([JPEG, another(1)])
        deadline = time.monotonic() + 30
        # The old one was found when it was still served.
        found = iter([old])
        answer = await infer(service, lambda: next(found, service.find()), asked, deadline=deadline)
        assert answer.tensor.shape[0] == 2
        # Where there is no other, it is as it was.
        with pytest.raises(NotReady):
            await infer(service, lambda: old, asked, deadline=deadline)
        await service.stop()

    asyncio.run(whole())


def test_of_a_model_that_was_exchanged_nothing_is_kept(tmp_path: Path) -> None:
    build(tmp_path, "steel", "old")
    settings = Settings(model=("steel",), home=tmp_path, threads=1)

    async def use(service: Service) -> None:
        deadline = time.monotonic() + 60
        await service.embed(None, JPEG, normalize=False, deadline=deadline)
        await service.explain(None, JPEG, 3, (), deadline=deadline)
        with pytest.raises(BadImage):
            await service.embed(None, JPEG[:300], normalize=False, deadline=deadline)

    def parts(service: Service) -> list[weakref.ref[object]]:
        classifier = service.ready_one(None).ready()
        graphs = [part.prepare().engine for part in (classifier.embedder, classifier.explainer)]
        every = [classifier, classifier.embedder, classifier.explainer, *graphs]
        return [weakref.ref(one) for one in every]

    async def whole() -> None:
        service = Service(open_bundles(settings.model, tmp_path), settings)
        await service.start(lambda: None, lambda: None)
        await use(service)
        old = parts(service)
        build(tmp_path, "steel", "new")
        await service.reload()
        assert [one() for one in old] == [None] * len(old)
        await service.stop()

    asyncio.run(whole())


def test_concurrent_requests_each_get_their_own_answer(against: Against) -> None:
    engine = FakeEngine(1000)
    pictures = [encode(solid((shade, 0, 0)), "PNG") for shade in range(40)]

    async def check(client: httpx.AsyncClient) -> None:
        posts = [client.post("/predict", content=picture) for picture in pictures]
        answers = [response.json() for response in await asyncio.gather(*posts)]
        assert [one["predictions"][0]["index"] for one in answers] == list(range(40))

    against(check, engine)
    assert sum(engine.batch_sizes) == 40
