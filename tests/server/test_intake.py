"""What holds for every route beside ``/predict`` that a picture is sent to."""

import asyncio

import httpx
import pytest

from tests.server.conftest import Against
from tests.server.test_predict import problem
from tests.support import encode, texture

JPEG = encode(texture(400, 300), "JPEG")

pytestmark = pytest.mark.parametrize("path", ["/explain", "/embed"])


def test_what_is_wrong_with_a_request_is_said(against: Against, path: str) -> None:
    async def check(client: httpx.AsyncClient) -> None:
        async def post(content: bytes = JPEG, **headers: str) -> httpx.Response:
            return await client.post(path, content=content, headers=headers)

        problem(await post(accept="text/html"), 406, "not_acceptable")
        problem(await post(accept="png"), 422, "bad_parameter")
        problem(await post(content=b""), 400, "bad_request")
        problem(await post(content=b"not a picture"), 415, "unsupported_format")
        problem(await post(content=JPEG[:200]), 422, "bad_image")
        problem(await post(content=bytes(10_000_001)), 413, "upload_too_large")

    against(check)


def test_before_the_model_is_ready_it_says_so(against: Against, path: str) -> None:
    async def check(client: httpx.AsyncClient) -> None:
        problem(await client.post(path, content=JPEG), 503, "not_ready")

    against(check, wait=False)


def test_too_many_are_refused_at_once_and_the_deadline_holds(against: Against, path: str) -> None:
    async def check(client: httpx.AsyncClient) -> None:
        assert (await client.post(path, content=JPEG)).status_code == 200
        posts = [client.post(path, content=JPEG) for _ in range(40)]
        answers = await asyncio.gather(*posts)
        assert {answer.status_code for answer in answers} == {200, 429}
        for answer in answers:
            if answer.status_code == 429:
                assert int(answer.headers["Retry-After"]) >= 1
        slow = encode(texture(4000, 3000), "PNG", compress_level=1)[:9_900_000]
        late = await client.post(path, content=slow, headers={"X-Deadline-Ms": "1"})
        problem(late, 504, "deadline_exceeded")

    against(check, max_queue=4)
