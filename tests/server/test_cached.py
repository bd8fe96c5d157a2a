"""Pictures that come again: answered from memory, computed once, or not sent again at all."""

import asyncio
import re

import httpx

from millisight.engine import FakeEngine
from tests.server.conftest import Against
from tests.server.test_predict import JPEG, BrokenOnBlack, HeldEngine, another, problem
from tests.support import encode, solid


def source(metrics: str, name: str) -> float:
    found = re.search(
        rf'^millisight_answers_total{{model="starter",source="{name}"}} (\S+)$',
        metrics,
        re.MULTILINE,
    )
    assert found
    return float(found[1])


def test_the_same_picture_again_costs_no_inference(against: Against) -> None:
    engine = FakeEngine(1000)

    async def check(client: httpx.AsyncClient) -> None:
        first = (await client.post("/predict", content=JPEG)).json()
        again = (await client.post("/predict", files={"file": ("other name.png", JPEG)})).json()
        assert (first["cached"], again["cached"]) == (False, True)
        assert again["predictions"] == first["predictions"]
        assert again["inference_time_ms"] == again["timings_ms"]["decode"] == 0
        assert again["timings_ms"]["total"] < first["timings_ms"]["total"]
        metrics = (await client.get("/metrics")).text
        assert (source(metrics, "computed"), source(metrics, "remembered")) == (1, 1)

    against(check, engine)
    assert engine.batch_sizes == [1]


def test_other_bytes_or_another_top_k_are_another_answer(against: Against) -> None:
    engine = FakeEngine(1000)

    async def check(client: httpx.AsyncClient) -> None:
        await client.post("/predict", content=JPEG)
        five = (await client.post("/predict?top_k=5", content=JPEG)).json()
        assert (five["cached"], len(five["predictions"])) == (False, 5)
        other = await client.post("/predict", content=encode(solid((9, 9, 9)), "PNG"))
        assert not other.json()["cached"]
        assert (await client.post("/predict?top_k=3", content=JPEG)).json()["cached"]

    against(check, engine)
    assert sum(engine.batch_sizes) == 3


def test_the_cache_can_be_switched_off(against: Against) -> None:
    engine = FakeEngine(1000)

    async def check(client: httpx.AsyncClient) -> None:
        for _ in range(3):
            response = await client.post("/predict", content=JPEG)
            assert response.json()["cached"] is False
            assert response.headers["ETag"]
        assert source((await client.get("/metrics")).text, "computed") == 3

    against(check, engine, cache_entries=0)
    assert sum(engine.batch_sizes) == 3


def test_the_oldest_of_too_many_is_computed_again(against: Against) -> None:
    async def check(client: httpx.AsyncClient) -> None:
        for number in range(3):
            await client.post("/predict", content=another(number))
        assert (await client.post("/predict", content=another(2))).json()["cached"]
        assert not (await client.post("/predict", content=another(0))).json()["cached"]

    against(check, cache_entries=2)


def test_identical_requests_in_flight_are_computed_once(against: Against) -> None:
    engine = HeldEngine()

    async def check(client: httpx.AsyncClient) -> None:
        posts = [asyncio.create_task(client.post("/predict", content=JPEG)) for _ in range(6)]
        await asyncio.to_thread(engine.running.wait, 20)
        engine.go.set()
        answers = [response.json() for response in await asyncio.gather(*posts)]
        assert sorted(answer["cached"] for answer in answers) == [False] + [True] * 5
        assert len({str(answer["predictions"]) for answer in answers}) == 1
        metrics = (await client.get("/metrics")).text
        assert source(metrics, "shared") + source(metrics, "remembered") == 5

    against(check, engine)
    assert engine.batch_sizes == [1]


def test_one_who_leaves_takes_nothing_from_the_others(against: Against) -> None:
    engine = HeldEngine()

    async def check(client: httpx.AsyncClient) -> None:
        posts = [asyncio.create_task(client.post("/predict", content=JPEG)) for _ in range(3)]
        await asyncio.to_thread(engine.running.wait, 20)
        posts[0].cancel()
        await asyncio.wait([posts[0]])
        engine.go.set()
        for post in posts[1:]:
            assert (await post).status_code == 200

    against(check, engine)


def test_a_failure_is_shared_and_forgotten(against: Against) -> None:
    black = encode(solid((0, 0, 0)), "PNG")

    async def check(client: httpx.AsyncClient) -> None:
        posts = [client.post("/predict", content=black) for _ in range(3)]
        for response in await asyncio.gather(*posts):
            problem(response, 500, "internal")
        bad = [client.post("/predict", content=b"no picture") for _ in range(2)]
        for response in await asyncio.gather(*bad):
            problem(response, 415, "unsupported_format")
        assert (await client.post("/predict", content=JPEG)).status_code == 200

    against(check, BrokenOnBlack(1000))


def test_an_answer_one_has_need_not_be_sent_again(against: Against) -> None:
    engine = FakeEngine(1000)

    async def check(client: httpx.AsyncClient) -> None:
        first = await client.post("/predict", content=JPEG)
        etag = first.headers["ETag"]
        assert re.fullmatch(r'W/"[0-9a-f]{64}"', etag)
        for sent in (etag, etag.removeprefix("W/"), f'"other", {etag}'):
            again = await client.post("/predict", content=JPEG, headers={"If-None-Match": sent})
            assert (again.status_code, again.content) == (304, b"")
            assert again.headers["ETag"] == etag
        for sent in ('"other"', "*", etag[:-3] + '"', "nonsense"):
            again = await client.post("/predict", content=JPEG, headers={"If-None-Match": sent})
            assert again.status_code == 200
        other = await client.post("/predict?top_k=4", content=JPEG, headers={"If-None-Match": etag})
        assert other.status_code == 200
        assert other.headers["ETag"] != etag

    against(check, engine)


def test_a_large_picture_is_remembered_too(against: Against) -> None:
    large = JPEG + bytes(2_000_000)

    async def check(client: httpx.AsyncClient) -> None:
        assert not (await client.post("/predict", content=large)).json()["cached"]
        assert (await client.post("/predict", content=large)).json()["cached"]

    against(check)


def test_requests_are_counted_by_route_and_status(against: Against) -> None:
    async def check(client: httpx.AsyncClient) -> None:
        await client.post("/predict", content=JPEG)
        await client.post("/predict", content=b"no picture")
        await client.post("/predict?top_k=0", content=JPEG)
        for path in ("/made-up-1", "/made-up-2"):
            await client.get(path)
        response = await client.get("/metrics")
        assert response.headers["Content-Type"].startswith("text/plain; version=")
        for route, status, count in [
            ("/predict", 200, 1), ("/predict", 415, 1), ("/predict", 422, 1), ("none", 404, 2),
        ]:  # fmt: skip
            line = f'millisight_requests_total{{route="{route}",status="{status}"}} {count}.0'
            assert line in response.text.splitlines()
        assert "made-up" not in response.text

    against(check)


def test_the_deadline_of_the_first_is_not_that_of_the_second(against: Against) -> None:
    engine = HeldEngine()

    async def check(client: httpx.AsyncClient) -> None:
        posts = [asyncio.create_task(client.post("/predict", content=another(0)))]
        await asyncio.to_thread(engine.running.wait, 20)
        posts.append(asyncio.create_task(client.post("/predict", content=JPEG)))
        await asyncio.sleep(0.5)
        second = asyncio.create_task(client.post("/predict", content=JPEG))
        for post in posts:
            problem(await post, 504, "deadline_exceeded")
        engine.go.set()
        assert (await second).status_code == 200

    against(check, engine, max_batch=1, deadline_ms=1000)
