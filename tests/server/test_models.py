"""Several models side by side: each is asked by its name."""

import asyncio
import threading
from pathlib import Path

import httpx
import pytest

from millisight.bundle import open_bundles
from millisight.errors import BundleError
from millisight.server import create_app
from millisight.server.service import Service
from millisight.settings import load_settings
from tests.models import build, damage, without_network
from tests.server.conftest import Against
from tests.server.test_predict import JPEG, HeldEngine, another, problem


@pytest.fixture
def home(tmp_path: Path) -> Path:
    build(tmp_path, "steel", "steel")
    return tmp_path


def both(home: Path) -> dict[str, object]:
    return {"home": str(home), "model": ["starter", "steel"]}


def test_each_answers_to_its_name_and_the_first_without_one(against: Against, home: Path) -> None:
    async def check(client: httpx.AsyncClient) -> None:
        labels = {}
        for query in ("", "?model=starter", "?model=steel", "?top_k=1&model=steel"):
            answer = (await client.post("/predict" + query, content=JPEG)).json()
            labels[query] = answer["predictions"][0]["label"]
            assert answer["cached"] is (query == "?model=starter")
        first, *others = labels.values()
        assert others == [first, f"steel {first}", f"steel {first}"]
        metrics = (await client.get("/metrics")).text
        for line in (
            'answers_total{model="starter",source="remembered"} 1.0',
            'answers_total{model="steel",source="computed"} 2.0',
            'answers_total{model="steel",source="shared"} 0.0',
        ):
            assert line in metrics

    against(check, **both(home))


def test_each_explains_its_own_classes(against: Against, home: Path) -> None:
    async def check(client: httpx.AsyncClient) -> None:
        posts = [
            client.post(f"/explain?class=7&model={name}", content=JPEG)
            for name in ("starter", "steel")
        ]
        own, other = [answer.json() for answer in await asyncio.gather(*posts)]
        assert other["maps"][0]["label"] == f"steel {own['maps'][0]['label']}"
        assert (own["model"], other["model"]) == ("efficientnet_lite0", "steel")

    against(check, **both(home))


def test_each_embeds(against: Against, home: Path) -> None:
    async def check(client: httpx.AsyncClient) -> None:
        answers = [
            (await client.post(f"/embed{query}", content=JPEG)).json()
            for query in ("", "?model=steel")
        ]
        assert [one["dimensions"] for one in answers] == [1280, 1280]
        assert answers[1]["model"] != answers[0]["model"]
        problem(await client.post("/embed?model=none", content=JPEG), 404, "model_not_found")

    against(check, **both(home))


def test_what_is_served_is_listed(against: Against, home: Path) -> None:
    async def check(client: httpx.AsyncClient) -> None:
        listed = (await client.get("/models")).json()
        assert listed["default"] == "starter"
        assert [one["name"] for one in listed["models"]] == ["starter", "steel"]
        for one in listed["models"]:
            whole = (await client.get(f"/model?model={one['name']}")).json()
            assert one.items() <= whole.items()
        assert whole["labels"][0] == "steel tench"
        assert (await client.get("/model")).json()["name"] == "starter"

    against(check, **both(home))


@pytest.mark.parametrize("name", ["other", "", "Steel", "../steel"])
def test_an_unknown_one_is_not_found_and_the_served_are_named(
    against: Against, home: Path, name: str
) -> None:
    async def check(client: httpx.AsyncClient) -> None:
        query = f"?model={name}"
        for answer in (
            await client.post("/predict" + query, content=JPEG),
            await client.post("/explain" + query, content=JPEG),
            await client.get("/model" + query),
        ):
            body = problem(answer, 404, "model_not_found")
            assert body["error"] == f"No model is served as {name!r}."
            assert body["hint"] == "Served here: starter, steel."

    against(check, **both(home))


def test_an_etag_of_one_says_nothing_of_the_other(against: Against, home: Path) -> None:
    async def check(client: httpx.AsyncClient) -> None:
        tag = (await client.post("/predict", content=JPEG)).headers["ETag"]
        mine = {"If-None-Match": tag}
        assert (await client.post("/predict", content=JPEG, headers=mine)).status_code == 304
        other = await client.post("/predict?model=steel", content=JPEG, headers=mine)
        assert other.status_code == 200

    against(check, **both(home))


def test_a_flood_for_one_holds_up_no_other(against: Against, home: Path) -> None:
    engine = HeldEngine()

    async def check(client: httpx.AsyncClient) -> None:
        flood = [asyncio.create_task(client.post("/predict", content=another(0)))]
        await asyncio.to_thread(engine.running.wait, 20)
        flood += [
            asyncio.create_task(client.post("/predict", content=another(number)))
            for number in range(1, 40)
        ]
        # Eight wait and one runs; all others are refused, and only they have an answer yet.
        refused: set[asyncio.Task[httpx.Response]] = set()
        while len(refused) < 31:
            done, _ = await asyncio.wait(set(flood) - refused, return_when=asyncio.FIRST_COMPLETED)
            refused |= done
        assert {one.result().status_code for one in refused} == {429}
        steel = asyncio.create_task(client.post("/predict?model=steel", content=JPEG))
        await asyncio.sleep(0)
        engine.go.set()
        assert (await steel).status_code == 200
        statuses = [(await post).status_code for post in flood]
        assert statuses.count(200) == 9
        assert statuses.count(429) == 31

    against(check, engine, max_queue=8, max_batch=1, **both(home))


async def running(home: Path) -> Service:
    settings = load_settings(both(home) | {"threads": 2}, {})
    service = Service(open_bundles(settings.model, home), settings)
    await service.start(lambda: None, lambda: pytest.fail("it could not be loaded"))
    return service


def test_two_models_have_no_more_threads_than_one(home: Path) -> None:
    async def whole() -> None:
        service = await running(home)
        lanes = [one for one in threading.enumerate() if one.name.startswith("lane-")]
        assert len(lanes) == 2
        await service.stop()
        assert not any(one.is_alive() for one in lanes)

    asyncio.run(whole())


def test_a_reload_exchanges_what_has_changed_or_nothing(home: Path) -> None:
    async def whole() -> None:
        build(home, "third", "third")
        service = await running(home)
        before = dict(service.models)
        build(home, "steel", "new")
        damage(home, "steel")
        with pytest.raises(BundleError):
            await service.reload()
        assert dict(service.models) == before
        service.ready()
        build(home, "steel", "new")
        await service.reload()
        assert service.models["starter"] is before["starter"]
        assert service.models["steel"].bundle.labels[0] == "new tench"
        assert not before["steel"].alive
        service.ready()
        lanes = [one for one in threading.enumerate() if one.name.startswith("lane-")]
        assert len(lanes) == 2
        await service.stop()

    asyncio.run(whole())


def test_one_that_cannot_be_loaded_takes_the_others_with_it(home: Path) -> None:
    async def whole() -> None:
        settings = load_settings(both(home), {})
        bundles = open_bundles(settings.model, home)
        bundles["steel"] = without_network(bundles["steel"])
        failed = asyncio.Event()
        app = create_app(bundles, settings, on_failure=failed.set)
        async with app.router.lifespan_context(app):
            await asyncio.wait_for(failed.wait(), 30)
            assert [one for one in threading.enumerate() if one.name.startswith("lane-")] == []

    asyncio.run(whole())
