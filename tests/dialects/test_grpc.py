"""The Open Inference Protocol over gRPC, asked by its own clients."""

import asyncio
import queue
from collections.abc import Iterator
from typing import Any

import grpc
import httpx
import numpy as np
import pytest
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException

from tests.dialects.conftest import PICTURES, PREPARED, encoded, firsts, pixels
from tests.e2e.conftest import Server


@pytest.fixture
def client(server: Server, grpc_url: str) -> Iterator[triton.InferenceServerClient]:
    assert server.url
    with triton.InferenceServerClient(grpc_url) as one:
        yield one


def tensor(array: Any) -> triton.InferInput:
    datatype = "BYTES" if array.dtype == np.object_ else "UINT8"
    given = triton.InferInput("image", list(array.shape), datatype)
    given.set_data_from_numpy(array)
    return given


def best(result: triton.InferResult) -> list[int]:
    scores = result.as_numpy("probabilities")
    assert scores.dtype == np.float32
    assert scores.sum(axis=1) == pytest.approx(np.ones(len(scores)), abs=1e-5)
    return [int(row.argmax()) for row in scores]


def test_a_client_lists_and_inspects_what_is_served(client: triton.InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    server = client.get_server_metadata(as_json=True)
    assert (server["name"], server["version"]) == ("millisight", "2")
    index = client.get_model_repository_index(as_json=True)["models"]
    assert index == [
        {"name": name, "version": "1", "state": "READY"} for name in ("starter", "steel")
    ]
    for version in ("", "1"):
        assert client.is_model_ready("steel", version)
        metadata = client.get_model_metadata("steel", version, as_json=True)
        assert metadata == {
            "name": "steel",
            "versions": ["1"],
            "platform": "openvino_ir",
            "inputs": [{"name": "image", "datatype": "UINT8", "shape": ["-1", "-1", "-1", "3"]}],
            "outputs": [{"name": "probabilities", "datatype": "FP32", "shape": ["-1", "1000"]}],
        }
        config = client.get_model_config("steel", version).config
        assert config.backend == "openvino"
        assert config.max_batch_size == 256
        assert list(config.input[0].dims) == [-1, -1, 3]
        assert list(config.output[0].dims) == [1000]


@pytest.mark.parametrize("compression", [None, "gzip", "deflate"])
@pytest.mark.parametrize(
    "array", [encoded(PICTURES), PREPARED], ids=["encoded pictures", "prepared pixels"]
)
def test_pictures_and_tensors_in_batches_are_answered_as_by_predict(
    client: triton.InferenceServerClient,
    expected: list[list[dict[str, Any]]],
    array: Any,
    compression: str | None,
) -> None:
    result = client.infer(
        "starter", [tensor(array)], request_id="mine", compression_algorithm=compression
    )
    assert result.get_response().id == "mine"
    assert best(result) == firsts(expected)


def test_classes_by_name_come_with_their_probabilities(
    client: triton.InferenceServerClient, expected: list[list[dict[str, Any]]]
) -> None:
    output = triton.InferRequestedOutput("probabilities", class_count=3)
    result = client.infer("steel", [tensor(encoded(PICTURES))], outputs=[output])
    assert [[one.decode() for one in row] for row in result.as_numpy("probabilities")] == [
        [f"{one['confidence']:f}:{one['index']}:steel {one['label']}" for one in predictions]
        for predictions in expected
    ]


def test_requests_that_are_sent_without_waiting_are_answered(
    client: triton.InferenceServerClient, expected: list[list[dict[str, Any]]]
) -> None:
    answers: queue.Queue[Any] = queue.Queue()
    for _ in range(8):
        client.async_infer(
            "starter",
            [tensor(encoded(PICTURES))],
            callback=lambda result, error: answers.put(error or best(result)),
        )
    assert [answers.get(timeout=30) for _ in range(8)] == [firsts(expected)] * 8


def test_the_aio_client_does_all_of_it_too(
    server: Server, grpc_url: str, expected: list[list[dict[str, Any]]]
) -> None:
    async def ask() -> None:
        async with triton_aio.InferenceServerClient(grpc_url) as client:
            assert await client.is_server_ready()
            assert (await client.get_model_metadata("starter")).versions == ["1"]
            for compression in (None, "gzip", "deflate"):
                result = await client.infer(
                    "starter", [tensor(encoded(PICTURES))], compression_algorithm=compression
                )
                assert best(result) == firsts(expected)
            with pytest.raises(InferenceServerException, match="No model is served as 'copper'"):
                await client.get_model_metadata("copper")

    assert server.url
    asyncio.run(ask())


@pytest.mark.parametrize("kind", ["UINT8", "BYTES"])
def test_contents_need_not_be_raw(
    server: Server, grpc_url: str, expected: list[list[dict[str, Any]]], kind: str
) -> None:
    request = service_pb2.ModelInferRequest(model_name="starter")
    one = request.inputs.add(name="image", datatype=kind)
    if kind == "UINT8":
        one.shape.extend([1, 224, 224, 3])
        one.contents.uint_contents.extend(PREPARED[0].ravel().tolist())
    else:
        one.shape.extend([1])
        one.contents.bytes_contents.append(PICTURES[0])
    assert server.url
    with grpc.insecure_channel(grpc_url) as channel:
        answer = service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer(request)
    scores = np.frombuffer(answer.raw_output_contents[0], np.float32)
    assert scores.argmax() == expected[0][0]["index"]


def test_contents_that_come_twice_are_refused(server: Server, grpc_url: str) -> None:
    request = service_pb2.ModelInferRequest(model_name="starter", raw_input_contents=[b""])
    one = request.inputs.add(name="image", datatype="BYTES", shape=[1])
    one.contents.bytes_contents.append(PICTURES[0])
    assert server.url
    with grpc.insecure_channel(grpc_url) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        with pytest.raises(grpc.RpcError, match="either contents, or one of"):
            stub.ModelInfer(request)


@pytest.mark.parametrize(
    ("model", "array", "status", "sentence"),
    [
        ("copper", PREPARED, "NOT_FOUND", "No model is served as 'copper'"),
        ("starter", encoded([PICTURES[0], b"no picture"]), "INVALID_ARGUMENT", "Picture 2 of 2"),
        ("starter", PREPARED[0], "INVALID_ARGUMENT", "is not pictures"),
        ("starter", np.zeros((9, 400, 300, 3), np.uint8), "RESOURCE_EXHAUSTED", "larger than max"),
    ],
)
def test_what_cannot_be_answered_is_refused_in_a_sentence(
    client: triton.InferenceServerClient, model: str, array: Any, status: str, sentence: str
) -> None:
    with pytest.raises(InferenceServerException, match=sentence) as refused:
        client.infer(model, [tensor(array)])
    assert refused.value.status() == f"StatusCode.{status}"


def asked(datatype: str, shape: list[int], **contents: Any) -> service_pb2.ModelInferRequest:
    """A request whose tensor has ``contents``."""
    request = service_pb2.ModelInferRequest(model_name="starter")
    one = request.inputs.add(name="image", datatype=datatype, shape=shape)
    for kind, values in contents.items():
        getattr(one.contents, kind).extend(values)
    return request


def named(*outputs: str) -> service_pb2.ModelInferRequest:
    request = asked("BYTES", [1], bytes_contents=[PICTURES[0]])
    for name in outputs:
        request.outputs.add(name=name)
    return request


def patient(microseconds: int) -> service_pb2.ModelInferRequest:
    request = named()
    request.parameters["timeout"].uint64_param = microseconds
    return request


@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        (asked("UINT8", [2**62] * 100), "1 to 8 whole numbers"),
        (asked("UINT8", [2**62] * 100_000), "more than 2000 fields"),
        (asked("UINT8", [1, 2**31, 1, 3]), "each from 1 to 2147483647"),
        (asked("UINT8", [-1, 1, 1, 3]), "each from 1 to 2147483647"),
        (asked("UINT8", [400_000, 1, 1, 3]), "400000 pictures; it may have 1 to 256"),
        (
            asked("UINT8", [1, 1, 1, 3], uint_contents=[1] * 1_000_000),
            "1000000 elements, and its shape says 3",
        ),
        (asked("UINT8", [1, 1, 1, 3], uint_contents=[1, 2, 256]), "not a whole number"),
        (
            asked("BYTES", [2], bytes_contents=[b""] * 1000),
            "more elements than the 2 that its shape says",
        ),
        (asked("BYTES", [2], bytes_contents=[b""] * 500_000), "more than 2000 fields"),
        (named("logits"), "no output 'logits'"),
        (named(*["probabilities"] * 900), "The model has one output; name it once."),
        (named(*["probabilities"] * 50_000), "more than 2000 fields"),
        (patient(2**63), "timeout is too long"),
    ],
)
def test_what_would_take_the_servers_memory_or_time_is_refused_before_it_does(
    server: Server, grpc_url: str, message: service_pb2.ModelInferRequest, sentence: str
) -> None:
    assert server.url
    with grpc.insecure_channel(grpc_url) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        with pytest.raises(grpc.RpcError, match=sentence) as refused:
            stub.ModelInfer(message)
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_deadlines_hold_the_clients_own_too(client: triton.InferenceServerClient) -> None:
    with pytest.raises(InferenceServerException, match="deadline passed"):
        client.infer("starter", [tensor(PREPARED + 1)], timeout=1)
    with pytest.raises(InferenceServerException, match=r"[Dd]eadline"):
        client.infer("starter", [tensor(pixels(7)[None])], client_timeout=0.001)


def test_what_is_not_offered_is_refused(client: triton.InferenceServerClient) -> None:
    with pytest.raises(InferenceServerException, match="Method not found"):
        client.get_inference_statistics()
    shared = triton.InferInput("image", [1], "BYTES")
    shared.set_shared_memory("region", 10)
    with pytest.raises(InferenceServerException, match="Shared memory is not offered"):
        client.infer("starter", [shared])


def test_what_is_asked_over_grpc_is_counted(
    client: triton.InferenceServerClient, http: httpx.Client
) -> None:
    def count(status: int) -> float:
        start = (
            'millisight_requests_total{route="/inference.GRPCInferenceService/ModelMetadata",'
            f'status="{status}"}} '
        )
        lines = http.get("/metrics").text.splitlines()
        return sum(float(line.removeprefix(start)) for line in lines if line.startswith(start))

    before = count(200), count(404)
    client.get_model_metadata("starter")
    with pytest.raises(InferenceServerException):
        client.get_model_metadata("copper")
    assert (count(200), count(404)) == (before[0] + 1, before[1] + 1)
