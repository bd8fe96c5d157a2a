"""The dialects where there are several workers, and keys."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path

import httpx
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from tritonclient.utils import InferenceServerException

from millisight.errors import SettingsError
from millisight.server.listeners import reserve
from tests.dialects.conftest import PICTURES, encoded, free_port
from tests.e2e.conftest import Server, running

KEY = "a-key-of-some-length"
HEADERS = {"authorization": f"Bearer {KEY}"}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, str]]:
    """Two workers that answer who has a key, and where they do over gRPC."""
    home: Path = tmp_path_factory.mktemp("home")
    keys = home / "keys.txt"
    keys.write_text(KEY)
    port = free_port()
    options = ("--workers", "2", "--grpc-port", str(port), "--api-keys-file", str(keys))
    with running(home, *options) as server:
        assert f"  gRPC     127.0.0.1:{port}" in server.printed
        yield server, f"127.0.0.1:{port}"


def tensor(kind: type) -> object:
    array = encoded(PICTURES)
    given = kind("image", list(array.shape), "BYTES")
    given.set_data_from_numpy(array)
    return given


def test_every_worker_answers_over_grpc(guarded: tuple[Server, str]) -> None:
    answers = set()
    for _ in range(8):
        # Otherwise the clients would share a connection, and so a worker.
        own = [("grpc.use_local_subchannel_pool", 1)]
        with triton_grpc.InferenceServerClient(guarded[1], channel_args=own) as client:
            result = client.infer(
                "starter", [tensor(triton_grpc.InferInput)], headers=HEADERS, client_timeout=30
            )
            answers.add(result.as_numpy("probabilities").tobytes())
    assert len(answers) == 1


def test_who_has_no_key_may_ask_only_whether_it_lives(guarded: tuple[Server, str]) -> None:
    server, url = guarded
    with triton_grpc.InferenceServerClient(url) as client:
        assert client.is_server_live()
        assert client.is_server_ready()
        with pytest.raises(InferenceServerException, match="only those who have a key") as refused:
            client.infer("starter", [tensor(triton_grpc.InferInput)])
        assert refused.value.status() == "StatusCode.UNAUTHENTICATED"
        assert client.get_model_metadata("starter", headers=HEADERS).name == "starter"
    with triton_http.InferenceServerClient(server.url.removeprefix("http://")) as over_http:
        assert over_http.is_server_ready()
        with pytest.raises(InferenceServerException, match="only those who have a key"):
            over_http.infer("starter", [tensor(triton_http.InferInput)])
        # The client adds its own to what it is given.
        assert over_http.infer("starter", [tensor(triton_http.InferInput)], headers={**HEADERS})
    for path, status in (("/ping", 200), ("/v1/models", 401), ("/predictions/starter", 401)):
        assert httpx.request(
            "POST" if "pred" in path else "GET", server.url + path
        ).status_code == (status)


def test_what_was_begun_over_grpc_is_answered_when_the_server_stops(
    guarded: tuple[Server, str],
) -> None:
    """The last to use the server."""
    server, url = guarded
    with triton_grpc.InferenceServerClient(url) as client, ThreadPoolExecutor(32) as pool:
        given = [tensor(triton_grpc.InferInput)]
        assert client.is_server_live()
        answers = [pool.submit(client.infer, "starter", given, headers=HEADERS) for _ in range(32)]
        wait(answers, return_when=FIRST_COMPLETED)
        assert server.stop() == 0
        for answer in answers:
            assert answer.result().as_numpy("probabilities").shape == (3, 1000)


def test_a_grpc_port_that_is_taken_is_refused_at_the_start() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(SettingsError, match="Cannot listen") as refused:
            reserve("127.0.0.1", other.getsockname()[1], "--grpc-port")
    assert refused.value.hint == "Choose another with --grpc-port."


def test_where_its_packages_are_missing_grpc_is_refused_with_what_to_install() -> None:
    code = "import sys; sys.modules['grpc'] = None; from millisight.cli import main; main()"
    command = [sys.executable, "-c", code, "serve", "--grpc-port", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "pip install 'millisight[grpc]'" in done.stderr
