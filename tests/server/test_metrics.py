"""Numbers that need an engine which a test can hold."""

import asyncio
import re

import httpx

from millisight.engine import FakeEngine
from tests.server.conftest import Against
from tests.server.test_predict import HeldEngine, another

QUEUE = 'millisight_queue_pictures{model="starter"}'


async def number(client: httpx.AsyncClient, name: str) -> float:
    text = (await client.get("/metrics")).text
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    assert found, text
    return float(found[1])


async def one_runs_and_three_wait(
    client: httpx.AsyncClient, engine: HeldEngine
) -> list["asyncio.Task[httpx.Response]"]:
    posts = [asyncio.create_task(client.post("/predict", content=another(0)))]
    await asyncio.to_thread(engine.running.wait, 20)
    posts += [
        asyncio.create_task(client.post("/predict", content=another(count))) for count in (1, 2, 3)
    ]
    for _ in range(2000):
        if await number(client, QUEUE) == 3:
            return posts
        await asyncio.sleep(0.01)
    raise AssertionError("they do not wait")


def test_those_that_wait_are_told_while_they_do(against: Against) -> None:
    engine = HeldEngine()

    async def check(client: httpx.AsyncClient) -> None:
        assert await number(client, QUEUE) == 0
        posts = await one_runs_and_three_wait(client, engine)
        engine.go.set()
        assert {answer.status_code for answer in await asyncio.gather(*posts)} == {200}
        assert await number(client, QUEUE) == 0

    against(check, engine)


def test_a_batch_counts_once_and_with_its_size(against: Against) -> None:
    engine = HeldEngine()

    async def check(client: httpx.AsyncClient) -> None:
        posts = await one_runs_and_three_wait(client, engine)
        engine.go.set()
        await asyncio.gather(*posts)
        size = "millisight_batch_pictures"
        assert await number(client, size + '_sum{model="starter"}') == 4
        assert await number(client, size + '_count{model="starter"}') == 2
        assert await number(client, size + '_bucket{le="2.0",model="starter"}') == 1

    against(check, engine, max_batch=4)
    assert engine.batch_sizes == [1, 3]


def test_overload_and_lateness_are_refusals_with_reasons_of_their_own(against: Against) -> None:
    async def check(client: httpx.AsyncClient) -> None:
        posts = [client.post("/predict", content=another(one)) for one in range(8)]
        answers = [answer.status_code for answer in await asyncio.gather(*posts)]
        for reason, status in (("overloaded", 429), ("deadline_exceeded", 504)):
            counted = await number(client, f'millisight_rejections_total{{reason="{reason}"}}')
            assert counted == answers.count(status)
        assert answers.count(429) > 0

    against(check, FakeEngine(1000, seconds=0.05), max_queue=2)


def test_who_has_no_key_is_refused_as_unauthorized(against: Against) -> None:
    key = "a-key-that-is-long-enough"

    async def check(client: httpx.AsyncClient) -> None:
        assert (await client.get("/metrics")).status_code == 401
        client.headers["X-API-Key"] = key
        assert await number(client, 'millisight_rejections_total{reason="unauthorized"}') == 1

    against(check, api_keys=key)
