"""TorchServe's inference API, as its documentation's commands ask."""

import json
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.dialects.conftest import PICTURES
from tests.e2e.conftest import Server

PATH = "/predictions/steel"


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    file = tmp_path / "kitten.png"
    file.write_bytes(PICTURES[0])
    return file


@pytest.mark.parametrize(
    "how", [("-T", "kitten.png"), ("-X", "POST", "-T", "kitten.png"), ("-F", "data=@kitten.png")]
)
def test_curl_gets_the_five_best_with_their_probabilities(
    server: Server, photo: Path, expected: list[list[dict[str, Any]]], how: tuple[str, ...]
) -> None:
    command = ["curl", "--silent", "--fail", f"{server.url}{PATH}", *how]
    done = subprocess.run(command, cwd=photo.parent, capture_output=True, check=True)
    answer = json.loads(done.stdout)
    assert len(answer) == 5
    best = expected[0]
    assert list(answer)[:3] == [f"steel {one['label']}" for one in best]
    assert list(answer.values())[:3] == pytest.approx([one["confidence"] for one in best], abs=1e-6)


@pytest.mark.parametrize("path", [PATH, f"{PATH}/1.0"])
def test_a_form_may_call_the_picture_data_or_body(http: httpx.Client, path: str) -> None:
    answers = [http.post(path, files={name: PICTURES[0]}) for name in ("data", "body")]
    answers.append(http.put(path, content=PICTURES[0]))
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert answers[0].text == answers[1].text == answers[2].text
    assert answers[0].headers["content-type"] == "application/json"


def test_ping_says_healthy(http: httpx.Client) -> None:
    assert http.get("/ping").json() == {"status": "Healthy"}


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/predictions/copper", PICTURES[0], 404),
        ("POST", f"{PATH}/9.9", PICTURES[0], 404),
        ("PUT", PATH, b"", 400),
        ("PUT", PATH, b"no picture", 415),
        ("PUT", PATH, PICTURES[0][:500], 422),
        ("PUT", PATH, bytes(2_000_001), 413),
        ("GET", PATH, b"", 405),
    ],
)
def test_what_cannot_be_answered_says_why(
    http: httpx.Client, method: str, path: str, body: bytes, status: int
) -> None:
    answer = http.request(method, path, content=body)
    assert answer.status_code == status
    assert answer.json()["error"]


def test_a_form_without_the_field_says_which(http: httpx.Client) -> None:
    answer = http.post(PATH, files={"file": PICTURES[0]})
    assert answer.status_code == 400
    assert answer.json()["hint"] == "With curl: -F data=@photo.jpg"
