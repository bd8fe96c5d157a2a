"""Uncertain answers, and the report of a model."""

from pathlib import Path

import httpx
import pytest

from tests.models import CONFIDENCE, build
from tests.server.conftest import Against
from tests.server.test_predict import JPEG, problem

REPORT = "<!doctype html><title>steel</title><p>裂纹 99 %"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    build(tmp_path, "steel", "steel", confidence=CONFIDENCE, report=REPORT)
    return tmp_path


def only(home: Path) -> dict[str, object]:
    return {"home": str(home), "model": ["steel"]}


def test_confidences_are_those_of_the_bundles_temperature(against: Against, home: Path) -> None:
    async def check(client: httpx.AsyncClient) -> None:
        # The engine gives one class 10 and 999 others 0: at a temperature of 2.5, e^4 against 999.
        for cached in (False, True):
            answer = (await client.post("/predict", content=JPEG)).json()
            assert answer["predictions"][0]["confidence"] == 0.051821
            assert answer["predictions"][1]["confidence"] == 0.000949
            assert answer["uncertain"] is True
            assert answer["cached"] is cached

    against(check, **only(home))


def test_what_is_above_the_threshold_is_not_uncertain(against: Against, home: Path) -> None:
    certain = CONFIDENCE.model_copy(update={"temperature": 1.0})
    build(home, "steel", "steel", confidence=certain)

    async def check(client: httpx.AsyncClient) -> None:
        answer = (await client.post("/predict?top_k=1", content=JPEG)).json()
        assert answer["predictions"][0]["confidence"] == 0.956613
        assert answer["uncertain"] is False

    against(check, **only(home))


def test_a_model_without_a_threshold_says_nothing_of_it(against: Against, home: Path) -> None:
    unsaid = CONFIDENCE.model_copy(update={"threshold": None})
    build(home, "steel", "steel", confidence=unsaid)

    async def check(client: httpx.AsyncClient) -> None:
        for model in ("steel", "starter"):
            answer = (await client.post(f"/predict?model={model}", content=JPEG)).json()
            assert "uncertain" not in answer

    against(check, home=str(home), model=["steel", "starter"])


def test_a_model_shows_its_report_and_nothing_in_it_runs(against: Against, home: Path) -> None:
    async def check(client: httpx.AsyncClient) -> None:
        for query in ("", "?model=steel"):
            response = await client.get("/model/report" + query)
            assert response.status_code == 200
            assert response.text == REPORT
            assert response.headers["content-type"] == "text/html; charset=utf-8"
            policy = response.headers["content-security-policy"].split("; ")
            assert {"default-src 'none'", "img-src data:", "sandbox"} <= set(policy)
            assert not [rule for rule in policy if "script" in rule]

    against(check, **only(home))


def test_a_model_without_a_report_says_how_to_get_one(against: Against, home: Path) -> None:
    async def check(client: httpx.AsyncClient) -> None:
        body = problem(await client.get("/model/report?model=starter"), 404, "no_report")
        assert body["error"] == "Model starter has no report."
        assert "--validation" in body["hint"]
        problem(await client.get("/model/report?model=none"), 404, "model_not_found")

    against(check, home=str(home), model=["steel", "starter"])


def test_only_who_has_a_key_sees_the_report(against: Against, home: Path) -> None:
    key = "a-key-of-some-length"

    async def check(client: httpx.AsyncClient) -> None:
        problem(await client.get("/model/report"), 401, "unauthorized")
        shown = {"Authorization": f"Bearer {key}"}
        assert (await client.get("/model/report", headers=shown)).text == REPORT

    against(check, api_keys=key, **only(home))


def test_the_report_stays_that_of_the_model_which_answers(against: Against, home: Path) -> None:
    async def check(client: httpx.AsyncClient) -> None:
        build(home, "steel", "steel", report="another")
        assert (await client.get("/model/report")).text == REPORT

    against(check, **only(home))
