"""Ray Serve: the answers of one process, replicas that come and go, and no request lost."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

pytest.importorskip("ray", reason="the extra ray is not installed")

import millisight
from millisight.bundle import store
from tests.scale.cluster import Cluster, Served, cluster, served
from tests.scale.load import load
from tests.support import encode, texture

QUICK = {"upscale_delay_s": 1, "downscale_delay_s": 3, "look_back_period_s": 2}
"""Seconds instead of minutes."""


@pytest.fixture(scope="module")
def one(home: Path) -> Iterator[Cluster]:
    """A head without cores for replicas, and two nodes with two each."""
    with cluster(0, 2, 2, environ={"MILLISIGHT_HOME": str(home)}) as found:
        yield found


@pytest.fixture(scope="module")
def application(one: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("serve")
    scaling = QUICK | {"min_replicas": 1, "max_replicas": 3, "target_ongoing_requests": 2}
    deployment = {"name": "millisight", "autoscaling_config": scaling, "health_check_period_s": 1}
    with served(
        one, folder, args={"model": "old", "cache_entries": 0}, deployments=[deployment]
    ) as found:
        yield found


def test_answers_are_those_of_one_process(application: Served, home: Path) -> None:
    pictures = [encode(texture(300, 200, seed), "PNG") for seed in range(5)]
    with millisight.load(str(store(home) / "old")) as classifier:
        expected = [classifier.classify(one, top_k=5) for one in pictures]
    with httpx.Client(base_url=application.url, timeout=30) as client:
        for picture, result in zip(pictures, expected, strict=True):
            answer = client.post("/predict?top_k=5", content=picture).json()
            assert answer["model"] == result.model
            assert [one["label"] for one in answer["predictions"]] == [
                one.label for one in result.predictions
            ]
            assert [one["confidence"] for one in answer["predictions"]] == pytest.approx(
                [one.confidence for one in result.predictions], abs=1e-6
            )


def test_all_of_the_server_is_there(application: Served) -> None:
    with httpx.Client(base_url=application.url, timeout=30) as client:
        assert client.get("/health/live").json() == {"live": True}
        assert "millisight" in client.get("/").text
        assert client.get("/v2/models/old").json()["platform"] == "openvino_ir"
        refused = client.post("/predict", content=b"no picture at all")
        assert refused.status_code == 415
        assert refused.json()["code"] == "unsupported_format"
        assert client.post("/admin/reload").status_code == 404


def test_ray_adds_up_what_replicas_count(application: Served, pictures: list[bytes]) -> None:
    one = application.cluster
    httpx.post(f"{application.url}/predict", content=pictures[0]).raise_for_status()
    line = r'ray_millisight_answers_total{[^\n]*model="old"[^\n]*source="computed"[^\n]*} [1-9]'
    one.wait_for(lambda: re.search(line, one.exported()), "the number of answers")


def test_replicas_follow_the_load_up_and_down(application: Served, pictures: list[bytes]) -> None:
    one = application.cluster
    with load(f"{application.url}/predict", pictures, 12) as seen:
        one.wait_for(lambda: len(one.replicas()) == 3, "a third replica")
    assert (seen.lost, seen.troubles) == (0, {})
    one.wait_for(lambda: len(one.replicas()) == 1, "the last replica alone", 90)


def test_a_killed_replica_loses_nothing(application: Served, pictures: list[bytes]) -> None:
    one = application.cluster
    with load(f"{application.url}/predict", pictures, 12) as seen:
        one.wait_for(lambda: len(one.replicas()) == 3, "a third replica")
        name, pid = next(iter(one.replicas().items()))
        os.kill(pid, signal.SIGKILL)
        before = len(seen.answers)
        one.wait_for(lambda: len(one.replicas().keys() - {name}) == 3, "its successor")
        one.wait_for(lambda: len(seen.answers) > before + 50, "answers")
    # What pytest -s shows.
    print(f"{len(seen.answers)} answers, tried again: {dict(seen.troubles)}")
    assert seen.lost == 0


ROLL_OUT = """
import sys
import ray
from ray import serve
from millisight.scale.ray_serve import Arguments, app
ray.init(sys.argv[1], log_to_driver=False)
wanted = Arguments(model=sys.argv[2], cache_entries=0, min_replicas=2, max_replicas=3)
serve.run(app(wanted), name="millisight", route_prefix="/")
"""


def test_another_model_rolls_out_under_load(application: Served, pictures: list[bytes]) -> None:
    one = application.cluster
    with load(f"{application.url}/predict", pictures, 4) as seen:
        subprocess.run(
            [sys.executable, "-c", ROLL_OUT, one.address, "new"], env=one.environ, check=True
        )
        before = len(seen.answers)
        one.wait_for(lambda: len(seen.answers) > before + 50, "answers")
    assert (seen.lost, seen.troubles) == (0, {})
    labels = [answer["predictions"][0]["label"].split()[0] for answer in seen.answers]
    assert set(labels) == {"old", "new"}
    assert set(labels[-20:]) == {"new"}


def test_a_killed_node_loses_nothing(application: Served, pictures: list[bytes]) -> None:
    one = application.cluster
    with load(f"{application.url}/predict", pictures, 12) as seen:
        one.wait_for(lambda: len(one.replicas()) == 3, "a third replica")
        one.nodes[-1].kill()
        before = len(seen.answers)
        one.wait_for(lambda: len(seen.answers) > before + 100, "answers")
        time.sleep(1)
    # What pytest -s shows.
    print(f"{len(seen.answers)} answers, tried again: {dict(seen.troubles)}")
    assert seen.lost == 0
