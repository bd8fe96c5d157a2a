"""More than it can carry: who is refused, how soon, and when they are told to come back."""

import asyncio
from typing import Any

import httpx
import pytest

from millisight.engine import FakeEngine
from tests.server.conftest import Against
from tests.server.test_predict import another, problem


async def flood(client: httpx.AsyncClient, count: int, **headers: str) -> list[httpx.Response]:
    """As many different pictures at once."""
    posts = [
        client.post("/predict", content=another(number), headers=headers) for number in range(count)
    ]
    return await asyncio.gather(*posts)


async def learn(client: httpx.AsyncClient) -> None:
    assert (await client.post("/predict", content=another(200))).status_code == 200


def codes(answers: list[httpx.Response]) -> set[int]:
    return {answer.status_code for answer in answers}


def test_what_cannot_be_in_time_is_refused_and_what_is_taken_is_in_time(against: Against) -> None:
    engine = FakeEngine(1000, seconds=0.1)

    async def check(client: httpx.AsyncClient) -> None:
        await learn(client)
        before = len(engine.batch_sizes)
        answers = await flood(client, 30)
        refused = [answer for answer in answers if answer.status_code == 429]
        assert codes(answers) == {200, 429}
        # A second is enough for ten of them, and no work was spent on the rest.
        assert 5 <= len(answers) - len(refused) <= 10
        assert len(engine.batch_sizes) - before == len(answers) - len(refused)
        for answer in refused:
            assert "in time" in problem(answer, 429, "overloaded")["error"]
            assert answer.headers["Retry-After"] == "1"

    against(check, engine, deadline_ms=1000)


def test_a_client_in_a_hurry_says_so(against: Against) -> None:
    async def check(client: httpx.AsyncClient) -> None:
        await learn(client)
        hurried = await flood(client, 6, **{"X-Deadline-Ms": "250"})
        assert codes(hurried) == {200, 429}
        assert codes(await flood(client, 6)) == {200}

    against(check, FakeEngine(1000, seconds=0.1), cache_entries=0)


def test_a_full_queue_says_how_long_it_takes_to_empty(against: Against) -> None:
    async def check(client: httpx.AsyncClient) -> None:
        await learn(client)
        answers = await flood(client, 20)
        refused = [answer for answer in answers if answer.status_code == 429]
        assert len(refused) == 20 - 1 - 6
        # Six wait for 0.4 seconds each, which is 2.4.
        assert {answer.headers["Retry-After"] for answer in refused} == {"3"}

    against(check, FakeEngine(1000, seconds=0.4), max_queue=6)


@pytest.mark.parametrize("value", ["soon", "0", "-1", "1.5", "", "9" * 5000, "²"])
def test_a_deadline_that_is_no_number_is_refused(against: Against, value: str) -> None:
    async def check(client: httpx.AsyncClient) -> None:
        headers: Any = {"X-Deadline-Ms": value.encode("latin-1")}
        answer = await client.post("/predict", content=another(0), headers=headers)
        assert "X-Deadline-Ms" in problem(answer, 422, "bad_parameter")["error"]

    against(check)


def test_the_servers_own_limit_holds_whatever_a_client_would_wait(against: Against) -> None:
    async def check(client: httpx.AsyncClient) -> None:
        answers = await flood(client, 1, **{"X-Deadline-Ms": "600000"})
        problem(answers[0], 504, "deadline_exceeded")
        assert "100 ms" in answers[0].json()["error"]

    against(check, FakeEngine(1000, seconds=0.3), deadline_ms=100)
