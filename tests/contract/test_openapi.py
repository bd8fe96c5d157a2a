"""What a running server answers is what its OpenAPI document says, whatever it is asked."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import strategies as st
from schemathesis import Case, CheckContext, Response
from schemathesis.config import SchemathesisConfig

from millisight.bundle import read_bundle, starter_path
from millisight.server import create_app
from millisight.settings import Settings
from tests import hazards
from tests.e2e.conftest import Server, running
from tests.models import CONFIDENCE, build
from tests.support import encode, texture

PICTURE = encode(texture(40, 30), "PNG")
SLOW = encode(texture(1500, 1100), "JPEG", quality=10)
TOO_MANY_PIXELS = hazards.png(60_000, 60_000)

# Left to itself, schemathesis would send no picture that can be read, and so see no good answer.
UPLOADS = st.sampled_from(
    [
        *(encode(texture(40, 30), kind) for kind in ("JPEG", "PNG", "WEBP")),
        *(PICTURE[:200], TOO_MANY_PIXELS, b""),
    ]
) | st.binary(max_size=100)
for kind in ("image/*", "application/octet-stream"):
    schemathesis.openapi.media_type(kind, UPLOADS)
schemathesis.openapi.format("binary", UPLOADS)

DIALECTS = "^/(v1|v2|ping|predictions)"
CONFIG = SchemathesisConfig.from_dict(
    {
        "seed": 1,
        "generation": {"max-examples": 100, "database": "none"},
        "operations": [
            # Much of what is behind these is tried above, too.
            {"include-path-regex": DIALECTS, "generation": {"max-examples": 20}},
        ],
        "checks": {
            # Too short a deadline is a client's own choice, and 504 the answer to it.
            "not_a_server_error": {"expected-statuses": ["2xx", "3xx", "4xx", "504"]},
            # For all the document can say a body is any bytes, but not all bytes are a picture.
            "positive_data_acceptance": {"enabled": False},
        },
    }
)
DOCUMENT = create_app(
    {"starter": read_bundle(starter_path())}, Settings.model_validate({})
).openapi()
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT, config=CONFIG)
OPERATIONS = [(path, method) for path, item in DOCUMENT["paths"].items() for method in item]


@schemathesis.hook
def map_path_parameters(_: Any, path_parameters: dict[str, Any] | None) -> dict[str, Any] | None:
    """Every other model is one that there is, or all would be answered with 404."""
    made_up = (path_parameters or {}).get("model")
    is_kept = not isinstance(made_up, str) or len(made_up) % 2
    return path_parameters if is_kept else {**(path_parameters or {}), "model": "starter"}


def body_is_documented(_: CheckContext, response: Response, case: Case[Any]) -> None:
    """schemathesis itself lets any body pass where the document names no content type."""
    documented = case.operation.definition.raw["responses"].get(str(response.status_code))
    if documented is not None and response.content:
        assert "content" in documented, f"no content type for {response.status_code}"


def validate(case: Case[Any], response: Response, url: str) -> None:
    """All of schemathesis' checks that ``CONFIG`` leaves, and ours."""
    case.validate_response(
        response,
        additional_checks=[body_is_documented],
        transport_kwargs={"base_url": url},
    )


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("home"), "--max-upload-mb", "0.1") as one:
        yield one


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that answers only those who have a key."""
    keys: Path = tmp_path_factory.mktemp("keys") / "keys.txt"
    keys.write_text("a-key-of-some-length\n")
    with running(tmp_path_factory.mktemp("home"), "--api-keys-file", str(keys)) as one:
        yield one


def test_the_server_hands_out_the_document_that_is_tested_here(server: Server) -> None:
    assert httpx.get(f"{server.url}/openapi.json").json() == DOCUMENT


@SCHEMA.parametrize()
def test_every_operation_answers_as_documented(case: Case[Any], server: Server) -> None:
    validate(case, case.call(base_url=server.url), server.url)


@pytest.mark.parametrize(
    ("path", "headers", "picture", "status"),
    [
        ("/predict", {}, PICTURE, 200),
        ("/predict", {}, TOO_MANY_PIXELS, 413),
        ("/predict", {}, bytes(200_000), 413),
        ("/predict", {"X-Deadline-Ms": "1"}, SLOW, 504),
        ("/explain", {}, PICTURE, 200),
        ("/explain", {"Accept": "image/png"}, PICTURE, 200),
        ("/explain", {"Accept": "text/html"}, PICTURE, 406),
        ("/embed", {}, PICTURE, 200),
        ("/embed", {"Accept": "application/x-npy"}, PICTURE, 200),
        ("/embed", {"Accept": "text/html"}, PICTURE, 406),
        ("/embed", {}, TOO_MANY_PIXELS, 413),
        ("/embed", {"X-Deadline-Ms": "1"}, SLOW, 504),
    ],
)
def test_answers_that_need_a_certain_request_are_as_documented(
    server: Server, path: str, headers: dict[str, str], picture: bytes, status: int
) -> None:
    case = post(SCHEMA, path, headers, picture)
    response = case.call(base_url=server.url)
    assert response.status_code == status
    validate(case, response, server.url)


TENSOR = {"name": "image", "shape": [1], "datatype": "BYTES"}
FILE = base64.b64encode(PICTURE).decode()
BEST = {"outputs": [{"name": "probabilities", "parameters": {"classification": 2}}]}
BINARY = {"outputs": [{"name": "probabilities", "parameters": {"binary_data": True}}]}
BOTH = {"inputs": [TENSOR | {"data": [FILE]}]}


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v2/models/{model}/infer", BOTH, 200),
        ("/v2/models/{model}/infer", BOTH | BEST, 200),
        ("/v2/models/{model}/infer", BOTH | BINARY, 200),
        ("/v2/models/{model}/infer", {"inputs": [TENSOR | {"data": ["A" * 200_000]}]}, 413),
        ("/v1/models/{model}:predict", {"instances": [{"b64": FILE}] * 2}, 200),
        ("/v1/models/{model}:predict", {"instances": [{"b64": ""}]}, 422),
    ],
)
def test_what_clients_of_other_servers_are_answered_is_as_documented(
    server: Server, path: str, body: dict[str, Any], status: int
) -> None:
    case = SCHEMA[path]["post"].Case(
        path_parameters={"model": "starter"}, body=body, media_type="application/json"
    )
    response = case.call(base_url=server.url)
    assert response.status_code == status
    validate(case, response, server.url)


@pytest.mark.parametrize("method", ["post", "put"])
def test_what_clients_of_torchserve_are_answered_is_as_documented(
    server: Server, method: str
) -> None:
    case = SCHEMA["/predictions/{model}"][method].Case(
        path_parameters={"model": "starter"}, body=PICTURE, media_type="application/octet-stream"
    )
    response = case.call(base_url=server.url)
    assert len(response.json()) == 5
    validate(case, response, server.url)


def test_what_a_model_with_a_threshold_and_a_report_says_is_as_documented(tmp_path: Path) -> None:
    build(tmp_path, "steel", "steel", confidence=CONFIDENCE, report="<!doctype html>")
    with running(tmp_path, "--model", "steel") as server:
        asked = post(SCHEMA, "/predict", {}, PICTURE)
        answer = asked.call(base_url=server.url)
        assert answer.json()["uncertain"] in {True, False}
        validate(asked, answer, server.url)
        case: Case[Any] = SCHEMA["/model/report"]["get"].Case()
        response = case.call(base_url=server.url)
        assert response.status_code == 200
        validate(case, response, server.url)


def test_an_answer_that_has_not_changed_is_as_documented(server: Server) -> None:
    first = post(SCHEMA, "/predict", {}, PICTURE).call(base_url=server.url)
    again = post(SCHEMA, "/predict", {"If-None-Match": first.headers["etag"][0]}, PICTURE)
    response = again.call(base_url=server.url)
    assert response.status_code == 304
    validate(again, response, server.url)


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_who_has_no_key_is_answered_as_documented(guarded: Server, path: str, method: str) -> None:
    schema = schemathesis.openapi.from_url(f"{guarded.url}/openapi.json", config=CONFIG)
    operation = schema[path][method]
    kinds = operation.definition.raw.get("requestBody", {}).get("content", {})
    body = {"body": PICTURE, "media_type": "application/octet-stream"}
    if "application/octet-stream" not in kinds:
        body = {"body": {}, "media_type": "application/json"} if kinds else {}
    case = operation.Case(path_parameters={"model": "starter"}, **body)
    response = case.call(base_url=guarded.url)
    assert response.status_code == (200 if "/health/" in path or path == "/ping" else 401)
    validate(case, response, guarded.url)


def post(schema: Any, path: str, headers: dict[str, str], picture: bytes) -> Case[Any]:
    case: Case[Any] = schema[path]["post"].Case(
        headers=headers, body=picture, media_type="application/octet-stream"
    )
    return case
