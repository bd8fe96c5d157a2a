"""The Open Inference Protocol over HTTP, asked by its own clients."""

import asyncio
import base64
import gzip
import json
import zlib
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.http as triton
import tritonclient.http.aio as triton_aio
from tritonclient.utils import InferenceServerException

from tests.dialects.conftest import IMAGES, PICTURES, PREPARED, encoded, firsts
from tests.e2e.conftest import Server

INFER = "/v2/models/starter/infer"


@pytest.fixture
def client(server: Server) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(server.url.removeprefix("http://")) as one:
        yield one


def tensor(array: Any, *, binary: bool = True) -> triton.InferInput:
    """``array`` as the client's input."""
    datatype = "BYTES" if array.dtype == np.object_ else "UINT8"
    given = triton.InferInput("image", list(array.shape), datatype)
    given.set_data_from_numpy(array, binary_data=binary)
    return given


def best(scores: Any) -> list[int]:
    return [int(row.argmax()) for row in scores]


def test_a_client_lists_and_inspects_what_is_served(client: triton.InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.get_server_metadata() == {
        "name": "millisight",
        "version": "2",
        "extensions": ["binary_tensor_data", "classification", "model_configuration"],
    }
    index = client.get_model_repository_index()
    assert [(one["name"], one["version"], one["state"]) for one in index] == [
        ("starter", "1", "READY"),
        ("steel", "1", "READY"),
    ]
    for version in ("", "1"):
        assert client.is_model_ready("steel", version)
        assert client.get_model_metadata("steel", version) == {
            "name": "steel",
            "versions": ["1"],
            "platform": "openvino_ir",
            "inputs": [{"name": "image", "datatype": "UINT8", "shape": [-1, -1, -1, 3]}],
            "outputs": [{"name": "probabilities", "datatype": "FP32", "shape": [-1, 1000]}],
        }
        assert client.get_model_config("steel", version)["max_batch_size"] == 256
    assert not client.is_model_ready("steel", "2")
    assert not client.is_model_ready("copper")


@pytest.mark.parametrize("compression", [None, "gzip", "deflate"])
@pytest.mark.parametrize("form", ["pictures", "prepared", "pixels"])
def test_pictures_and_tensors_in_batches_are_answered_as_by_predict(
    client: triton.InferenceServerClient,
    expected: list[list[dict[str, Any]]],
    form: str,
    compression: str | None,
) -> None:
    array = {
        "pictures": encoded(PICTURES),
        "prepared": PREPARED,
        "pixels": np.stack([np.asarray(image) for image in IMAGES]),
    }[form]
    result = client.infer(
        "starter",
        [tensor(array)],
        request_id="mine",
        request_compression_algorithm=compression,
        response_compression_algorithm=compression,
    )
    scores = result.as_numpy("probabilities")
    assert result.get_response()["id"] == "mine"
    assert scores.shape == (3, 1000)
    assert scores.dtype == np.float32
    assert scores.sum(axis=1) == pytest.approx([1, 1, 1], abs=1e-5)
    assert best(scores) == firsts(expected)
    for row, predictions in zip(scores, expected, strict=True):
        assert row.max() == pytest.approx(predictions[0]["confidence"], abs=0.05)


@pytest.mark.parametrize("binary", [True, False])
def test_classes_by_name_come_with_their_probabilities(
    client: triton.InferenceServerClient, expected: list[list[dict[str, Any]]], binary: bool
) -> None:
    output = triton.InferRequestedOutput("probabilities", binary_data=binary, class_count=3)
    result = client.infer("steel", [tensor(encoded(PICTURES))], outputs=[output])
    lines = result.as_numpy("probabilities")
    assert lines.shape == (3, 3)
    for row, predictions in zip(lines, expected, strict=True):
        texts = [one.decode() if binary else one for one in row]
        assert texts == [
            f"{one['confidence']:f}:{one['index']}:steel {one['label']}" for one in predictions
        ]


@pytest.mark.parametrize("shape", [(3,), (3, 1)])
def test_everything_may_be_json(
    client: triton.InferenceServerClient,
    expected: list[list[dict[str, Any]]],
    shape: tuple[int, ...],
) -> None:
    texts = encoded([base64.b64encode(one) for one in PICTURES]).reshape(shape)
    plain = triton.InferRequestedOutput("probabilities", binary_data=False)
    answered = [
        client.infer("starter", [tensor(array, binary=False)], outputs=[plain]).as_numpy(
            "probabilities"
        )
        for array in (texts, PREPARED[:1])
    ]
    assert best(answered[0]) == firsts(expected)
    assert best(answered[1]) == firsts(expected)[:1]


def test_many_pictures_may_be_one_request(client: triton.InferenceServerClient) -> None:
    small = np.random.default_rng(0).integers(0, 256, (64, 16, 16, 3), np.uint8)
    binary = client.infer("starter", [tensor(small)]).as_numpy("probabilities")
    plain = triton.InferRequestedOutput("probabilities", binary_data=False)
    again = client.infer("starter", [tensor(small)], outputs=[plain]).as_numpy("probabilities")
    assert binary.shape == (64, 1000)
    assert np.array_equal(binary, again)


def test_a_picture_alone_is_a_request(
    http: httpx.Client, expected: list[list[dict[str, Any]]]
) -> None:
    """As ``curl --data-binary @photo.png -H "Inference-Header-Content-Length: 0"`` sends it."""
    headers = {"Inference-Header-Content-Length": "0"}
    answer = http.post(INFER, content=PICTURES[0], headers=headers)
    assert answer.headers["content-type"] == "application/octet-stream"
    at = int(answer.headers["inference-header-content-length"])
    scores = np.frombuffer(answer.content[at:], np.float32)
    assert json.loads(answer.content[:at])["outputs"][0]["shape"] == [1, 1000]
    assert scores.argmax() == expected[0][0]["index"]


def test_the_aio_client_does_all_of_it_too(
    server: Server, expected: list[list[dict[str, Any]]]
) -> None:
    async def ask() -> None:
        async with triton_aio.InferenceServerClient(server.url.removeprefix("http://")) as client:
            assert await client.is_server_ready()
            assert (await client.get_server_metadata())["name"] == "millisight"
            assert (await client.get_model_metadata("starter"))["versions"] == ["1"]
            assert len(await client.get_model_repository_index()) == 2
            for compression in (None, "gzip", "deflate"):
                result = await client.infer(
                    "starter",
                    [tensor(encoded(PICTURES))],
                    request_compression_algorithm=compression,
                    response_compression_algorithm=compression,
                )
                assert best(result.as_numpy("probabilities")) == firsts(expected)
            with pytest.raises(InferenceServerException, match="No model is served as 'copper'"):
                await client.get_model_metadata("copper")

    asyncio.run(ask())


def test_requests_that_are_sent_without_waiting_are_answered(
    client: triton.InferenceServerClient, expected: list[list[dict[str, Any]]]
) -> None:
    requests = [
        client.async_infer("starter", [tensor(encoded([picture]))]) for picture in PICTURES * 4
    ]
    answers = [request.get_result().as_numpy("probabilities")[0] for request in requests]
    assert best(answers) == firsts(expected) * 4


def sized(shape: list[int], datatype: str, size: int) -> triton.InferInput:
    given = triton.InferInput("image", shape, datatype)
    given._raw_data = bytes(size)
    given._parameters["binary_data_size"] = size
    return given


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (encoded([PICTURES[0], PICTURES[1][:500]]), "Picture 2 of 2: The picture cannot be read"),
        (encoded([b"no picture"]), "not a picture"),
        (encoded([b""]), "empty"),
        (PREPARED[0], r"shape \[224, 224, 3\] is not pictures"),
        (PREPARED[..., :1], r"shape \[3, 224, 224, 1\] is not pictures"),
        (sized([1, 8, 8, 3], "UINT8", 191), "191 elements, and its shape says 192"),
        (sized([1, 8, 8, 3], "FP32", 768), "no tensors of type 'FP32'"),
        (sized([-1, 8, 8, 3], "UINT8", 192), "each from 1 to 2147483647"),
        (sized([1], "BYTES", 3), "ends within an element"),
        (sized([2], "BYTES", 4), "1 elements, and its shape says 2"),
        (sized([2], "BYTES", 1_000_000), "more elements than the 2 that its shape says"),
        (sized([300, 2, 2, 3], "UINT8", 3600), "300 pictures; it may have 1 to 256"),
        (sized([300, 2, 2, 3], "UINT8", 1), "300 pictures; it may have 1 to 256"),
        (sized([250_000], "BYTES", 1_000_000), "250000 pictures; it may have 1 to 256"),
    ],
)
def test_what_cannot_be_answered_is_refused_in_a_sentence(
    client: triton.InferenceServerClient, given: Any, sentence: str
) -> None:
    one = given if isinstance(given, triton.InferInput) else tensor(given)
    with pytest.raises(InferenceServerException, match=sentence):
        client.infer("starter", [one])


@pytest.mark.parametrize(
    ("model", "version", "outputs", "sentence"),
    [
        ("copper", "", None, "No model is served as 'copper'"),
        ("starter", "7", None, "no version '7'"),
        ("starter", "", ["logits"], "no output 'logits'"),
    ],
)
def test_names_that_are_not_there_are_told(
    client: triton.InferenceServerClient,
    model: str,
    version: str,
    outputs: list[str] | None,
    sentence: str,
) -> None:
    wanted = outputs and [triton.InferRequestedOutput(one) for one in outputs]
    with pytest.raises(InferenceServerException, match=sentence):
        client.infer(model, [tensor(PREPARED)], model_version=version, outputs=wanted)


def test_a_timeout_in_microseconds_holds(client: triton.InferenceServerClient) -> None:
    with pytest.raises(InferenceServerException, match="deadline passed"):
        client.infer("starter", [tensor(PREPARED + 1)], timeout=1)
    client.infer("starter", [tensor(PREPARED)], timeout=5_000_000, priority=1)


IMAGE = {"name": "image", "shape": [1], "datatype": "BYTES"}
PIXEL = {"name": "image", "shape": [1, 1, 1, 3], "datatype": "UINT8"}


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"", {}, 400),
        (b"{", {}, 400),
        (b"[]", {}, 400),
        (b'{"inputs": [[]]}', {}, 400),
        (b'{"inputs": ' + b"[" * 100_000, {}, 400),
        ({"inputs": []}, {}, 400),
        ({"inputs": [IMAGE]}, {}, 400),
        ({"inputs": [IMAGE | {"data": ["?"]}]}, {}, 400),
        ({"inputs": [IMAGE | {"data": [7]}]}, {}, 400),
        ({"inputs": [IMAGE | {"data": []}]}, {}, 400),
        ({"inputs": [IMAGE | {"name": "data_0", "data": [""]}]}, {}, 400),
        ({"inputs": [IMAGE | {"data": [""]}], "parameters": {"timeout": -1}}, {}, 400),
        ({"inputs": [IMAGE | {"parameters": {"shared_memory_region": "x"}}]}, {}, 400),
        ({"inputs": [IMAGE | {"parameters": {"binary_data_size": 9}}]}, {}, 400),
        *(
            ({"inputs": [PIXEL | {"data": data}]}, {}, 400)
            for data in ([1, 2, 256], [1, 2, -1], [1, 2], [1, 2, 0.5], [[1], [2, 3]], [10**30] * 3)
        ),
        (b'{"inputs": [' + b"[]," * 300_000 + b"[]]}", {}, 400),
        ({"id": "\ud800", "inputs": [IMAGE | {"data": [""]}]}, {}, 400),
        (b"{}", {"Inference-Header-Content-Length": "3"}, 400),
        (b"{}", {"Inference-Header-Content-Length": "-1"}, 400),
        (b"{}", {"Inference-Header-Content-Length": "x"}, 400),
        (b"no gzip", {"Content-Encoding": "gzip"}, 400),
        (gzip.compress(b"{}", mtime=0)[:-1], {"Content-Encoding": "gzip"}, 400),
        (gzip.compress(b"{}", mtime=0) + b"x", {"Content-Encoding": "gzip"}, 400),
        (b"{}", {"Content-Encoding": "br"}, 400),
        (zlib.compress(bytes(2_000_001)), {"Content-Encoding": "deflate"}, 413),
        (bytes(2_000_001), {}, 413),
    ],
)
def test_bodies_that_break_the_protocol_are_answered_in_its_form(
    http: httpx.Client, body: Any, headers: dict[str, str], status: int
) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = http.post(INFER, content=content, headers=headers)
    assert answer.status_code == status
    assert isinstance(answer.json()["error"], str)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"inputs": [PIXEL | {"shape": [10**18] * 90_000, "data": [1]}]}, "1 to 8 whole numbers"),
        ({"inputs": [IMAGE | {"shape": [1] * 9, "data": [""]}]}, "1 to 8 whole numbers"),
        ({"inputs": [IMAGE | {"shape": [], "data": [""]}]}, "1 to 8 whole numbers"),
        *(
            ({"inputs": [PIXEL | {"shape": [1, long, long, 3], "data": [1]}]}, "to 2147483647")
            for long in (10**4000 - 1, 2**31, 0, 1 - 10**4000)
        ),
        (
            {"inputs": [PIXEL | {"shape": [1, *[2**31 - 1] * 6, 3], "data": [1]}]},
            "is not pictures",
        ),
        (
            {"inputs": [IMAGE | {"data": [""]}], "parameters": {"timeout": 10**400}},
            "timeout is too long",
        ),
        (
            {"inputs": [IMAGE | {"data": [""]}], "outputs": [{"name": "probabilities"}] * 60_000},
            "wrong at outputs: List should have at most 1000 items",
        ),
        (
            {"inputs": [PIXEL | {"data": ["x" * 200_000] + [1] * 500_000}]},
            "not a whole number from 0 to 255",
        ),
        ({"inputs": [PIXEL | {"data": [[[[[1, 2, 3]]]]]}]}, "not a whole number from 0 to 255"),
        ({"inputs": [PIXEL | {"data": [True] * 3}]}, "not a whole number from 0 to 255"),
        ({"inputs": [IMAGE | {"data": [""] * 300_000}]}, "more elements than the 1 that its"),
        ({"inputs": [IMAGE | {"shape": [257], "data": ["!"] * 257}]}, "257 pictures; it may"),
    ],
)
def test_what_would_take_the_servers_memory_or_time_is_refused_before_it_does(
    http: httpx.Client, body: Any, sentence: str
) -> None:
    answer = http.post(INFER, content=json.dumps(body).encode())
    assert answer.status_code == 400, answer.text
    assert sentence in answer.json()["error"]


def test_there_are_no_redirects_and_no_compression_that_was_not_asked_for(
    http: httpx.Client,
) -> None:
    for path, status in (("/v2", 200), ("/v2/", 200), ("/v2/models/starter/", 404)):
        answer = http.get(path, headers={"Accept-Encoding": "gzip, deflate, br"})
        assert answer.status_code == status
        assert "content-encoding" not in answer.headers
    assert isinstance(http.get("/v2/models/starter/stats").json()["error"], str)
