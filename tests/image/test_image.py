"""The container image: what is in it, and that it answers with all that may be taken away taken.

It runs as its own user, as process 1, without capabilities, in a network that has only itself,
on a file system that cannot be written to, /tmp included.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from millisight.bundle import read_bundle, starter_path
from millisight.pictures import labelled_pictures
from tests.image.engine import Container, Image, finish, running
from tests.support import encode, texture

MAX_BYTES = 500e6


def stored_bytes(root: Path) -> int:
    """Size of all files, those with two names once."""
    found = (path.lstat() for path in root.rglob("*"))
    return sum({status.st_ino: status.st_size for status in found}.values())


def test_it_is_small_with_all_its_layers(image: Image) -> None:
    assert 100e6 < stored_bytes(image.root) < MAX_BYTES
    name = os.environ["MILLISIGHT_IMAGE"]
    described = subprocess.run(
        ["buildah", "images", "--json", name], capture_output=True, text=True, check=True
    )
    number, unit = json.loads(described.stdout)[0]["size"].split()
    assert unit == "MB"
    assert float(number) * 1e6 < MAX_BYTES


def test_it_serves_and_cannot_build_or_install(image: Image) -> None:
    packages = next((image.root / "opt/millisight/lib").glob("python3*/site-packages"))
    names = {path.name.lower() for path in packages.iterdir()}
    assert {"millisight", "openvino"} <= names
    assert names.isdisjoint({"torch", "torchvision", "nncf", "onnx", "pip", "setuptools", "pytest"})
    for program in ("pip", "pip3", "cc", "gcc", "make", "git", "curl", "wget"):
        folders = ("opt/millisight/bin", "usr/local/bin", "usr/bin", "usr/sbin")
        assert not any(os.path.lexists(image.root / folder / program) for folder in folders)
    assert not list(image.root.glob("usr/**/ensurepip"))


def test_no_file_raises_rights_and_none_belongs_to_its_user(image: Image) -> None:
    find = ["find", str(image.root), "-xdev"]
    found = subprocess.run(
        [*find, "(", "-type", "f", "-perm", "/6000", "-o", "-uid", "10001", ")"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert found.stdout == ""


def test_it_says_of_itself_what_engines_ask(image: Image) -> None:
    # A number: Kubernetes cannot tell whether a name is root.
    assert image.user == "10001:10001"
    assert image.config["StopSignal"] == "SIGTERM"
    assert image.config["ExposedPorts"] == {"8000/tcp": {}}
    assert image.config["Labels"]["org.opencontainers.image.title"] == "millisight"
    assert image.config["Healthcheck"]["Test"][0] == "CMD"


def test_it_answers_a_photograph(container: Container, photograph: Path) -> None:
    answer = json.loads(container.curl("/predict", "-F", f"file=@{photograph}"))
    assert answer["predictions"][0]["label"] == "espresso"


def test_it_answers_an_upload_that_others_would_put_on_the_disk(
    container: Container, tmp_path: Path
) -> None:
    picture = tmp_path / "large.png"
    picture.write_bytes(encode(texture(1500, 1200), "PNG"))
    assert picture.stat().st_size > 2_000_000
    assert "predictions" in json.loads(container.curl("/predict", "-F", f"file=@{picture}"))


@pytest.mark.parametrize(
    ("path", "posts", "says"),
    [
        ("/explain", True, '"label":"espresso"'),
        ("/embed", True, '"embedding":['),
        ("/", False, "<html"),
        ("/docs", False, "<html"),
        ("/metrics", False, "millisight_requests_total"),
    ],
)
def test_what_else_it_serves_works_without_what_was_left_out(
    container: Container, photograph: Path, path: str, posts: bool, says: str
) -> None:
    picture = ["--form", f"file=@{photograph}"] if posts else []
    assert says in container.curl(path, "--fail", *picture)


def test_it_recognises_photographs_of_many_classes(container: Container, samples: Path) -> None:
    labelled = labelled_pictures(samples, read_bundle(starter_path()).labels)[::10]
    answers = [
        json.loads(container.curl("/predict", "--data-binary", f"@{path}")) for path, _ in labelled
    ]
    right = [
        answer["predictions"][0]["index"] == index
        for answer, (_, index) in zip(answers, labelled, strict=True)
    ]
    assert sum(right) >= 0.8 * len(right)


def test_its_own_check_says_that_it_is_healthy(container: Container) -> None:
    status, output = container.healthy()
    assert status == 0, output
    assert output.startswith("200 ")


def test_its_own_check_says_when_nobody_answers(image: Image, tmp_path: Path) -> None:
    with running(image, tmp_path / "log", "MILLISIGHT_PORT=8001") as container:
        assert container.healthy()[0] == 1  # It asks at the image's own port.
        status, output = container.inside(
            "env", "MILLISIGHT_PORT=8001", *image.config["Healthcheck"]["Test"][1:]
        )
    assert status == 0, output


def test_it_has_no_rights_no_network_and_no_place_to_write(container: Container) -> None:
    status = Path(f"/proc/{container.pid}/status").read_text(encoding="ascii")
    told = dict(line.split(":", 1) for line in status.splitlines())
    assert set(told["Uid"].split()) == set(told["Gid"].split()) == {"10001"}
    assert told["NSpid"].split()[-1] == "1"
    assert told["NoNewPrivs"].strip() == "1"
    assert {told[name].strip("\t0") for name in ("CapPrm", "CapEff", "CapBnd", "CapAmb")} == {""}
    interfaces = Path(f"/proc/{container.pid}/net/dev").read_text(encoding="ascii")
    assert [line.split(":")[0].strip() for line in interfaces.splitlines()[2:]] == ["lo"]
    for folder in ("/tmp", "/var/lib/millisight", "/opt/millisight", "/"):  # noqa: S108
        code, output = container.inside("touch", f"{folder}/x")
        assert code == 1
        assert "Read-only file system" in output


def test_its_greeting_names_nothing_that_it_does_not_have(container: Container) -> None:
    assert "This is the starter model." in container.printed()
    assert "make " not in container.printed()


def test_sigterm_answers_what_is_in_flight_and_ends_with_0(image: Image, tmp_path: Path) -> None:
    picture = tmp_path / "large.png"
    picture.write_bytes(encode(texture(2500, 2000), "PNG"))
    with running(image, tmp_path / "log") as container:
        sent = [container.start_curl("/predict", "--data-binary", f"@{picture}") for _ in range(4)]
        first = finish(sent[0])
        os.kill(container.pid, signal.SIGTERM)
        answers = [first, *(finish(one) for one in sent[1:])]
        assert container.process.wait(timeout=20) == 0, container.printed()
    assert ["predictions" in json.loads(answer) for answer in answers] == [True] * 4


def test_several_workers_need_only_a_little_memory_for_files(
    image: Image, tmp_path: Path, photograph: Path
) -> None:
    with running(image, tmp_path / "log", "MILLISIGHT_WORKERS=2", tmpfs=True) as container:
        for _ in range(6):
            answer = json.loads(container.curl("/predict", "--data-binary", f"@{photograph}"))
            assert answer["predictions"][0]["label"] == "espresso"
        families = text_string_to_metric_families(container.curl("/metrics"))
        answered = sum(
            sample.value
            for family in families
            for sample in family.samples
            if sample.name == "millisight_answers_total"
        )
        os.kill(container.pid, signal.SIGTERM)
        assert container.process.wait(timeout=20) == 0, container.printed()
    assert answered == 6


ASK = """
import sys
from pathlib import Path
import numpy as np
from tritonclient.grpc import InferenceServerClient, InferInput, InferRequestedOutput
image = InferInput("image", [1], "BYTES")
image.set_data_from_numpy(np.array([Path(sys.argv[1]).read_bytes()], object))
names = InferRequestedOutput("probabilities", class_count=1)
with InferenceServerClient("127.0.0.1:8001") as client:
    print(client.infer("starter", [image], outputs=[names]).as_numpy("probabilities"))
"""
COLLECT = """
from http.server import BaseHTTPRequestHandler, HTTPServer
class Collector(BaseHTTPRequestHandler):
    def do_POST(self):
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()
        print(self.path, content)
        self.server.done = b"ModelInfer" in content
server = HTTPServer(("127.0.0.1", 4318), Collector)
server.done = False
while not server.done:
    server.handle_request()
"""


def test_it_answers_by_grpc_and_is_followed_where_that_is_asked_for(
    image: Image, tmp_path: Path, photograph: Path
) -> None:
    variables = ["MILLISIGHT_MODEL=starter", "MILLISIGHT_GRPC_PORT=8001"]
    variables += ["MILLISIGHT_OTLP_ENDPOINT=http://127.0.0.1:4318", "OTEL_BSP_SCHEDULE_DELAY=500"]
    with running(image, tmp_path / "log", *variables) as container:
        collector = container.enter([sys.executable, "-c", COLLECT], user=False)
        try:
            asked = container.enter([sys.executable, "-c", ASK, str(photograph)], user=False)
            assert "espresso" in finish(asked)
            traces = finish(collector)
        finally:
            collector.kill()
    assert "/v1/traces " in traces
    assert "inference.GRPCInferenceService/ModelInfer" in traces


def test_a_bundle_in_its_store_is_served(image: Image, tmp_path: Path) -> None:
    folder = image.root / "var/lib/millisight/bundles/mine"
    shutil.copytree(starter_path(), folder)
    try:
        with running(image, tmp_path / "log", "MILLISIGHT_MODEL=mine") as container:
            assert json.loads(container.curl("/health/ready"))
            assert "mine" in container.curl("/models")
    finally:
        shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("MILLISIGHT_PROT=9000", "MILLISIGHT_PROT"),
        ("MILLISIGHT_MODEL=nobody", "There is no model 'nobody'"),
        ("MILLISIGHT_WORKERS=2", "--tmpfs /tmp"),
    ],
)
def test_what_is_wrong_ends_it_with_a_sentence(
    image: Image, tmp_path: Path, setting: str, says: str
) -> None:
    log = tmp_path / "log"
    with pytest.raises(AssertionError), running(image, log, setting):
        pass
    printed = log.read_text(encoding="utf-8")
    assert says in printed
    assert "Traceback" not in printed
