"""Health, the model, the page and the documentation."""

import asyncio
import re

import httpx
import pytest

from millisight.bundle import read_bundle, starter_path
from millisight.engine import FakeEngine, Logits, Pixels
from tests.server.conftest import Against
from tests.server.test_predict import problem


class DeadlyEngine(FakeEngine):
    """Ends the dispatcher's thread itself, as no ordinary exception does."""

    def infer(self, batch: Pixels, *, alone: bool = False) -> Logits:  # noqa: ARG002
        raise SystemExit


def test_readiness_turns_true_once_the_model_is_loaded_and_liveness_holds(against: Against) -> None:
    async def before(client: httpx.AsyncClient) -> None:
        assert (await client.get("/health/live")).json() == {"live": True}
        problem(await client.get("/health/ready"), 503, "not_ready")
        problem(await client.post("/predict", content=b"x"), 503, "not_ready")

    async def after(client: httpx.AsyncClient) -> None:
        assert (await client.get("/health/ready")).json() == {"ready": True}

    against(before, wait=False)
    against(after)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_dead_dispatcher_makes_liveness_fail(against: Against) -> None:
    from tests.server.test_predict import JPEG

    async def check(client: httpx.AsyncClient) -> None:
        problem(await client.post("/predict", content=JPEG), 503, "not_ready")
        async with asyncio.timeout(10):  # the thread ends a moment after the answer
            while (await client.get("/health/live")).status_code == 200:
                pass
        problem(await client.get("/health/live"), 503, "not_ready")
        problem(await client.get("/health/ready"), 503, "not_ready")

    # With a window the picture is left to the dispatcher's own thread.
    against(check, DeadlyEngine(1000), max_wait_ms=1)


def test_the_model_tells_everything_about_itself(against: Against) -> None:
    async def check(client: httpx.AsyncClient) -> None:
        body = (await client.get("/model")).json()
        bundle = read_bundle(starter_path())
        assert body["manifest"] == bundle.manifest.model_dump(mode="json")
        assert body["labels"] == list(bundle.labels)
        assert body["translations"] == {tag: list(n) for tag, n in bundle.translations.items()}
        assert body["digest"] == bundle.manifest.digest()
        assert body["max_upload_mb"] == 10

    against(check)


def test_the_page_and_the_documentation_need_no_other_host(against: Against) -> None:
    async def check(client: httpx.AsyncClient) -> None:
        page = await client.get("/")
        policy = page.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
        assert "unsafe" not in policy
        assert not re.search(r"<script(?![^>]*src=)|<style|\son\w+=|style=", page.text)
        for text in (page.text, (await client.get("/docs")).text):
            links = re.findall(r"""(?:src|href)=["']([^"']+)""", text)
            assert len(links) >= 3
            assert [link for link in links if "//" in link] == []
            for link in links:
                assert (await client.get(link)).status_code == 200
        for path in ("/", "/static/page.js"):
            assert (await client.get(path)).headers["Cache-Control"] == "no-cache"
        paths = (await client.get("/openapi.json")).json()["paths"]
        assert set(paths) == {
            "/predict",
            "/explain",
            "/embed",
            "/health/live",
            "/health/ready",
            "/model",
            "/model/report",
            "/models",
            "/metrics",
            "/v2",
            "/v2/health/live",
            "/v2/health/ready",
            "/v2/repository/index",
            "/v2/models/{model}",
            "/v2/models/{model}/ready",
            "/v2/models/{model}/config",
            "/v2/models/{model}/infer",
            "/ping",
            "/predictions/{model}",
            "/v1/models",
            "/v1/models/{model}",
            "/v1/models/{model}:predict",
        }
        answers = paths["/predict"]["post"]["responses"]
        assert set(answers) >= {"200", "400", "413", "415", "422", "429", "500", "503", "504"}

    against(check)
