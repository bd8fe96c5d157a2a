"""``serve deploy``: the config file of deploy/ray on a cluster that is there, and what comes after.

The replica that is ended from within is one whose process goes on: only ``check_health`` tells.
"""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

pytest.importorskip("ray", reason="the extra ray is not installed")
pytest.importorskip("s3fs", reason="the extra buckets is not installed")

import fsspec

from millisight.bundle import store
from tests.scale.buckets import put, s3
from tests.scale.cluster import BIN, LOCAL, Cluster, cluster, free_port
from tests.scale.load import load

CONFIG = Path(__file__).parents[2] / "deploy" / "ray" / "serve.yaml"
FATE = Path(__file__).parent / "fate"


@dataclass
class Deployed:
    """A cluster to deploy to, as an operator has it: by the address of its dashboard."""

    cluster: Cluster
    folder: Path
    port: int

    @property
    def url(self) -> str:
        return f"http://{LOCAL}:{self.port}/predict"

    def serve(self, verb: str, *arguments: object) -> str:
        """What ``serve`` prints."""
        address = f"--address=http://{LOCAL}:{self.cluster.dashboard}"
        done = subprocess.run(
            [BIN / "serve", verb, address, *map(str, arguments)],
            env=self.cluster.environ, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def deploy(self, **arguments: Any) -> None:
        """The config file of deploy/ray, at a port that is free, with other ``arguments``."""
        content = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
        content["http_options"]["port"] = self.port
        [application] = content["applications"]
        application["args"] |= arguments
        changed = self.folder / "serve.yaml"
        changed.write_text(yaml.safe_dump(content), encoding="utf-8")
        self.serve("deploy", changed)

    def status(self) -> Any:
        """Of the application; ``None`` before it is known."""
        return yaml.safe_load(self.serve("status"))["applications"].get("millisight")

    def runs(self) -> bool:
        """Whether all of it is as it should be."""
        found = self.status()
        assert found is None or found["status"] != "DEPLOY_FAILED", found
        if found is None or found["status"] != "RUNNING":
            return False
        return bool(found["deployments"]["millisight"]["status"] == "HEALTHY")


@pytest.fixture(scope="module")
def fate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file by the number of a process in it ends the threads that answer there."""
    return tmp_path_factory.mktemp("fate")


@pytest.fixture(scope="module")
def bucket(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The variables that lead to a bucket ``models`` with both bundles."""
    with (
        s3(tmp_path_factory.mktemp("s3") / "log") as environ,
        pytest.MonkeyPatch.context() as patch,
    ):
        for name, value in environ.items():
            patch.setenv(name, value)
        fsspec.filesystem("s3").mkdir("models")
        for bundle in store(home).iterdir():
            put(bundle, f"s3://models/{bundle.name}")
        yield environ


@pytest.fixture(scope="module")
def deployed(
    bucket: dict[str, str], fate: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployed]:
    path = os.pathsep.join(filter(None, [str(FATE), os.environ.get("PYTHONPATH")]))
    environ = bucket | {"TESTED_FATE": str(fate), "PYTHONPATH": path}
    environ["MILLISIGHT_HOME"] = str(tmp_path_factory.mktemp("node"))
    with cluster(4, environ=environ, dashboard=True) as one:
        found = Deployed(one, tmp_path_factory.mktemp("serve"), free_port())
        found.deploy(model="s3://models/old", cache_entries=0)
        one.wait_for(found.runs, "the application")
        yield found


def labels(answers: list[dict[str, Any]]) -> set[str]:
    """Which models gave them."""
    return {answer["predictions"][0]["label"].split()[0] for answer in answers}


def test_the_config_file_is_deployed(deployed: Deployed, pictures: list[bytes]) -> None:
    answer = httpx.post(deployed.url, content=pictures[0], timeout=30)
    assert labels([answer.json()]) == {"old"}
    assert deployed.status()["deployments"]["millisight"]["replica_states"] == {"RUNNING": 2}
    [shown] = yaml.safe_load_all(deployed.serve("config"))
    assert shown["import_path"] == "millisight.scale.ray_serve:app"


def test_a_changed_config_file_changes_the_model_under_load(
    deployed: Deployed, pictures: list[bytes]
) -> None:
    one = deployed.cluster
    with load(deployed.url, pictures, 4) as seen:
        one.wait_for(lambda: len(seen.answers) > 20, "answers")
        deployed.deploy(model="s3://models/new", cache_entries=0)
        one.wait_for(lambda: labels(seen.answers[-50:]) == {"new"}, "the new model")
        one.wait_for(deployed.runs, "the end of the change")
    # What pytest -s shows.
    print(f"{len(seen.answers)} answers, tried again: {dict(seen.troubles)}")
    assert (seen.lost, seen.troubles) == (0, {})
    assert labels(seen.answers) == {"old", "new"}


def test_a_replica_whose_threads_have_died_is_replaced(
    deployed: Deployed, fate: Path, pictures: list[bytes]
) -> None:
    one = deployed.cluster
    before = one.replicas()
    name, pid = next(iter(before.items()))
    with load(deployed.url, pictures, 4) as seen:
        (fate / str(pid)).touch()
        one.wait_for(lambda: name not in one.replicas(), "the end of the replica")
        one.wait_for(lambda: len(one.replicas()) >= len(before), "its successor")
        one.wait_for(deployed.runs, "its first answer")
    print(f"{len(seen.answers)} answers, tried again: {dict(seen.troubles)}")
    assert seen.lost == 0
