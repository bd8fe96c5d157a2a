"""TensorFlow Serving's REST API and KServe's first protocol."""

import base64
import gzip
import json
from typing import Any

import httpx
import numpy as np
import pytest

from tests.dialects.conftest import PICTURES, PREPARED, pixels

PATH = "/v1/models/starter:predict"
B64 = [base64.b64encode(one).decode() for one in PICTURES]


def best(answer: httpx.Response) -> list[int]:
    assert answer.status_code == 200, answer.text
    assert list(answer.json()) == ["predictions"]
    return [int(np.argmax(row)) for row in answer.json()["predictions"]]


@pytest.mark.parametrize(
    "instances",
    [
        [{"b64": one} for one in B64],
        [{"image_bytes": {"b64": one}, "key": "a text"} for one in B64],
        [{"data": one, "target": 0} for one in B64],
    ],
    ids=["b64", "b64 under a name", "base64 under a name"],
)
@pytest.mark.parametrize("path", [PATH, "/v1/models/starter/versions/1:predict"])
def test_each_instance_is_answered_with_the_probabilities_of_all_classes(
    http: httpx.Client, expected: list[list[dict[str, Any]]], instances: Any, path: str
) -> None:
    answer = http.post(path, json={"signature_name": "serving_default", "instances": instances})
    assert best(answer) == [predictions[0]["index"] for predictions in expected]
    for row, predictions in zip(answer.json()["predictions"], expected, strict=True):
        assert len(row) == 1000
        for one in predictions:
            assert row[one["index"]] == pytest.approx(one["confidence"], abs=1e-6)


@pytest.mark.parametrize("named", [False, True])
def test_pixels_are_taken_prepared_or_whole(
    http: httpx.Client, expected: list[list[dict[str, Any]]], named: bool
) -> None:
    arrays = [PREPARED[0].tolist(), pixels(1)[::2, ::2].tolist()]
    instances = [{"input_1": one} for one in arrays] if named else arrays
    answer = http.post(PATH, json={"instances": instances})
    assert best(answer)[0] == expected[0][0]["index"]
    assert len(answer.json()["predictions"]) == 2


def test_a_compressed_body_is_unpacked(
    http: httpx.Client, expected: list[list[dict[str, Any]]]
) -> None:
    body = gzip.compress(json.dumps({"instances": [{"b64": B64[0]}]}).encode())
    answer = http.post(PATH, content=body, headers={"Content-Encoding": "gzip"})
    assert best(answer) == [expected[0][0]["index"]]


def test_the_status_is_what_either_kind_of_client_looks_for(http: httpx.Client) -> None:
    assert http.get("/v1/models").json() == {"models": ["starter", "steel"]}
    for path in ("/v1/models/steel", "/v1/models/steel/versions/1"):
        status = http.get(path).json()
        assert status["name"] == "steel"
        assert status["ready"] is True
        assert [one["state"] for one in status["model_version_status"]] == ["AVAILABLE"]


@pytest.mark.parametrize(
    ("path", "body", "status", "sentence"),
    [
        ("/v1/models/copper:predict", {"instances": [{"b64": B64[0]}]}, 404, "copper"),
        ("/v1/models/starter/versions/2:predict", {"instances": []}, 404, "version '2'"),
        (PATH, {}, 400, "instances: Field required"),
        (PATH, {"instances": []}, 400, "0 pictures"),
        (PATH, {"instances": ["te!t", 7]}, 400, "not base64"),
        (PATH, {"instances": [7]}, 400, "not a picture"),
        (PATH, {"instances": [{}]}, 400, "not a picture"),
        (PATH, {"instances": [{"a": "x", "b": "y"}]}, 400, "not a picture"),
        (PATH, {"instances": [{"b64": 7}]}, 400, "not a picture"),
        (PATH, {"instances": [[[1, 2, 3]]]}, 400, "not a picture"),
        (PATH, {"instances": [[[[0.5, 0.5, 0.5]]]]}, 400, "whole number"),
        (PATH, {"instances": [[["x" * 200_000, *[1] * 500_000]]]}, 400, "whole number"),
        (PATH, {"instances": ["!"] * 257}, 400, "257 pictures; it may have 1 to 256"),
        (PATH, {"instances": [{"b64": "!"}]}, 400, "not base64"),
        (PATH, {"instances": [{"b64": ""}]}, 422, "empty"),
        (PATH, {"instances": [{"b64": B64[0]}, {"b64": "AAAA"}]}, 415, "Picture 2 of 2"),
        ("/v1/models/starter:explain", {}, 405, "not allowed"),
    ],
)
def test_what_cannot_be_answered_says_why(
    http: httpx.Client, path: str, body: Any, status: int, sentence: str
) -> None:
    answer = http.post(path, json=body)
    assert answer.status_code == status, answer.text
    assert sentence in answer.json()["error"]
