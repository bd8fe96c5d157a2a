"""Other servers' protocols where the server is starting, stopping, full or broken."""

import asyncio
import base64
import json
import struct
from collections.abc import Callable

import httpx
import pytest
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from tritonclient.utils import InferenceServerException

from millisight.engine import FakeEngine
from tests.dialects.conftest import encoded, free_port
from tests.server.conftest import Against
from tests.server.test_predict import JPEG, BrokenOnBlack, another, problem
from tests.support import encode, solid


def open_inference(*pictures: bytes) -> httpx.Request:
    """All of ``pictures`` in one request."""
    tail = b"".join(struct.pack("<I", len(one)) + one for one in pictures)
    tensor = {
        "name": "image",
        "datatype": "BYTES",
        "shape": [len(pictures)],
        "parameters": {"binary_data_size": len(tail)},
    }
    text = json.dumps({"inputs": [tensor]})
    return httpx.Request(
        "POST",
        "http://test/v2/models/starter/infer",
        content=text.encode() + tail,
        headers={"Inference-Header-Content-Length": str(len(text))},
    )


def torchserve(picture: bytes) -> httpx.Request:
    return httpx.Request("PUT", "http://test/predictions/starter", content=picture)


def tfserving(picture: bytes) -> httpx.Request:
    body = {"instances": [{"b64": base64.b64encode(picture).decode()}]}
    return httpx.Request("POST", "http://test/v1/models/starter:predict", json=body)


each = pytest.mark.parametrize("ask", [open_inference, torchserve, tfserving])
Ask = Callable[[bytes], httpx.Request]


@each
def test_before_the_model_is_loaded_everybody_is_told_to_wait(against: Against, ask: Ask) -> None:
    async def check(client: httpx.AsyncClient) -> None:
        problem(await client.send(ask(JPEG)), 503, "not_ready")
        for path in ("/v2/health/ready", "/v2/models/starter/ready", "/ping"):
            problem(await client.get(path), 503, "not_ready")
        assert (await client.get("/v2/health/live")).json() == {"live": True}
        assert (await client.get("/v1/models/starter")).json()["ready"] is False
        index = (await client.post("/v2/repository/index")).json()
        assert [one["state"] for one in index] == ["UNAVAILABLE"]

    against(check, wait=False)


@each
def test_the_same_picture_again_is_remembered(against: Against, ask: Ask) -> None:
    async def check(client: httpx.AsyncClient) -> None:
        answers = [await client.send(ask(JPEG)) for _ in range(3)]
        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.content for answer in answers}) == 1
        metrics = (await client.get("/metrics")).text
        assert 'answers_total{model="starter",source="computed"} 1.0' in metrics
        assert 'answers_total{model="starter",source="remembered"} 2.0' in metrics

    against(check)


def test_pictures_of_one_request_are_batched_with_those_of_others(against: Against) -> None:
    engine = FakeEngine(1000, seconds=0.05)

    async def check(client: httpx.AsyncClient) -> None:
        answer = await client.send(open_inference(*(another(number) for number in range(9))))
        assert answer.status_code == 200
        assert max(engine.batch_sizes) == 4

    against(check, engine, max_batch=4, cache_entries=0)


def test_a_batch_that_does_not_fit_the_queue_is_refused_whole(against: Against) -> None:
    async def check(client: httpx.AsyncClient) -> None:
        first, second = (
            open_inference(*(another(number) for number in range(start, start + 4)))
            for start in (0, 4)
        )
        answers = await asyncio.gather(client.send(first), client.send(second))
        served, refused = sorted(answers, key=lambda answer: answer.status_code)
        assert served.status_code == 200
        problem(refused, 429, "overloaded")
        assert refused.headers["Retry-After"] == "1"
        five = await client.send(open_inference(*(another(number) for number in range(5))))
        assert "1 to 4" in problem(five, 400, "bad_request")["error"]

    against(check, FakeEngine(1000, seconds=0.1), max_queue=4, cache_entries=0)


@each
def test_a_fault_of_the_server_tells_nothing_of_itself(against: Against, ask: Ask) -> None:
    async def check(client: httpx.AsyncClient) -> None:
        answer = await client.send(ask(encode(solid((0, 0, 0)), "PNG")))
        assert problem(answer, 500, "internal")["error"] == (
            "Something went wrong inside the server."
        )
        assert (await client.send(ask(JPEG))).status_code == 200

    against(check, BrokenOnBlack(1000))


def test_over_grpc_too(against: Against) -> None:
    port = free_port()

    async def infer(client: triton_aio.InferenceServerClient, picture: bytes) -> None:
        array = encoded([picture])
        image = triton.InferInput("image", [1], "BYTES")
        image.set_data_from_numpy(array)
        await client.infer("starter", [image])

    async def check(_: httpx.AsyncClient) -> None:
        async with triton_aio.InferenceServerClient(f"127.0.0.1:{port}") as client:
            with pytest.raises(InferenceServerException, match="Something went wrong") as failed:
                await infer(client, encode(solid((0, 0, 0)), "PNG"))
            assert failed.value.status() == "StatusCode.INTERNAL"
            await infer(client, JPEG)

    against(check, BrokenOnBlack(1000), grpc_port=port)
