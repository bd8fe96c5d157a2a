"""Two models in a real server, in one process and in several."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.conftest import Server, running
from tests.e2e.test_reload import asking
from tests.e2e.test_workers import until
from tests.models import build, damage
from tests.support import encode, texture

PICTURE = encode(texture(300, 200), "JPEG")


@pytest.fixture(
    params=["1", pytest.param("2", marks=pytest.mark.long)], ids=["one process", "two workers"]
)
def served(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Server, Path]]:
    build(tmp_path, "steel", "steel")
    models = ("--model", "starter", "--model", "steel")
    with running(tmp_path, *models, "--workers", request.param) as server:
        yield server, tmp_path


def labels_of(server: Server, name: str) -> set[str]:
    """The first word of what it answers; of several workers, on many connections."""
    url = f"{server.url}/predict?top_k=1&model={name}"
    answers = [httpx.post(url, content=PICTURE, timeout=30).json() for _ in range(12)]
    return {answer["predictions"][0]["label"].split()[0] for answer in answers}


def test_both_answer_and_a_reload_exchanges_them_together_or_not_at_all(
    served: tuple[Server, Path],
) -> None:
    server, home = served
    assert any(line.startswith("  models   starter: ") for line in server.printed)
    assert any(line.startswith("           steel: ") for line in server.printed)
    assert labels_of(server, "steel") == {"steel"}
    assert labels_of(server, "starter").isdisjoint({"steel"})
    build(home, "steel", "new")
    damage(home, "steel")
    server.process.send_signal(signal.SIGHUP)
    time.sleep(1.5)
    assert labels_of(server, "steel") == {"steel"}
    with asking(server) as answers:
        build(home, "steel", "new")
        server.process.send_signal(signal.SIGHUP)
        until(lambda: labels_of(server, "steel") == {"new"}, "the new model", seconds=60)
    assert set(answers) == {"200"}
    assert httpx.post(f"{server.url}/predict?model=x", content=PICTURE).status_code == 404
    assert server.stop() == 0
