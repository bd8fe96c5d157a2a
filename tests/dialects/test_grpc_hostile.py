"""What a gRPC port is sent by those who mean it no good."""

import http.client
import json
import re
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import grpc
import httpx
import pytest
import tritonclient.grpc as triton
from tenacity import Retrying, stop_after_delay, wait_fixed
from tritonclient.grpc import service_pb2
from tritonclient.utils import InferenceServerException

from tests.dialects import http2
from tests.dialects.conftest import PICTURES, encoded, free_port
from tests.dialects.test_grpc import tensor
from tests.e2e.conftest import Server, running
from tests.e2e.test_stopping import wait_until_refused

KEY = "0123456789abcdef"
SHOWN = {"authorization": f"Bearer {KEY}"}
DEADLINE_SECONDS = 1.5
PLACES = 4
BODY = 1_950_000
"""Bytes of a body: with three of them, the budget that is left has room for no picture more."""
INFER = "/inference.GRPCInferenceService/ModelInfer"
LIVE = "/inference.GRPCInferenceService/ServerLive"
MOST_GROWTH_KB = 40_000


@pytest.fixture(scope="module")
def url() -> str:
    return f"127.0.0.1:{free_port()}"


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory, url: str) -> Iterator[Server]:
    """A server of few places, little patience and a key. One message may be on the way."""
    home = tmp_path_factory.mktemp("home")
    keys = home / "keys"
    keys.write_text(KEY)
    options = {
        "--model": "starter",
        "--workers": "1",
        "--grpc-port": url.split(":")[1],
        "--deadline-ms": str(int(DEADLINE_SECONDS * 1e3)),
        "--max-queue": str(PLACES),
        "--max-upload-mb": "2",
        "--max-bodies-mb": "8",
        "--api-keys-file": str(keys),
    }
    with running(home, *(part for option in options.items() for part in option)) as one:
        yield one


@pytest.fixture
def client(target: Server, url: str) -> Iterator[triton.InferenceServerClient]:
    assert target.url
    with triton.InferenceServerClient(url) as one:
        yield one


@contextmanager
def channel(url: str) -> Iterator[grpc.Channel]:
    """A connection that no other channel shares."""
    with grpc.insecure_channel(url, options=[("grpc.use_local_subchannel_pool", 1)]) as one:
        yield one


def nothing_for(seconds: float) -> Iterator[bytes]:
    """The messages of a client that has none, and does not say so."""
    time.sleep(seconds)
    yield from ()


def asked(one: grpc.Channel, messages: Iterator[bytes]) -> None:
    one.stream_unary(INFER)(messages, metadata=[*SHOWN.items()], timeout=30)


def peak_kb(server: Server) -> int:
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1])


def answers(client: triton.InferenceServerClient) -> None:
    result = client.infer("starter", [tensor(encoded(PICTURES[:1]))], headers=SHOWN)
    assert result.as_numpy("probabilities").shape == (1, 1000)


def test_a_message_that_does_not_come_ends_its_request_at_the_deadline(
    target: Server, url: str
) -> None:
    assert target.url
    with channel(url) as one, pytest.raises(grpc.RpcError, match="before the deadline") as refused:
        asked(one, nothing_for(4 * DEADLINE_SECONDS))
    assert refused.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED


def test_who_shows_no_key_is_refused_before_a_message_is_read(target: Server, url: str) -> None:
    assert target.url
    started = time.monotonic()
    with channel(url) as one, pytest.raises(grpc.RpcError, match="have a key") as refused:
        one.stream_unary(INFER)(nothing_for(4 * DEADLINE_SECONDS), timeout=30)
    assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED
    assert time.monotonic() - started < DEADLINE_SECONDS


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"\x2a\x00" * 999_000, "more than 2000 fields"),
        (b"\x2a\x82\x20" + b"\x42\x00" * 2049, "more than 2000 fields"),
        (b"\x2a\xd4\x3c\x1a\xd1\x3c" + b"\x01" * 7761, "more than 2000 fields"),
        (b"\x2a\xff\xff\xff\xff\x0f", "damaged, or of another kind"),
        (b"\x0a\x01\xff", "damaged, or of another kind"),
        (b"\x2b\x2c", "damaged, or of another kind"),
    ],
    ids=[
        "tensors of two bytes",
        "fields of a tensor",
        "axes of a shape",
        "a length beyond the end",
        "a name that is not UTF-8",
        "a group",
    ],
)
def test_fields_are_counted_before_a_message_is_made_of_them(
    target: Server, url: str, content: bytes, sentence: str
) -> None:
    before = peak_kb(target)
    with channel(url) as one, pytest.raises(grpc.RpcError, match=sentence) as refused:
        one.unary_unary(INFER)(content, metadata=[*SHOWN.items()], timeout=30)
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert peak_kb(target) - before < MOST_GROWTH_KB


def test_requests_whose_messages_do_not_come_take_no_more_places_than_there_are(
    client: triton.InferenceServerClient, url: str
) -> None:
    answers(client)
    for _ in range(5):
        with ExitStack() as held:
            for _ in range(PLACES):
                half = held.enter_context(http2.opened(url, INFER, SHOWN))
                http2.send(half, http2.message(bytes(30_000))[:20_000])
            try:
                always_answers(client)
            except InferenceServerException as error:
                # It may have come before the last of them, and waited behind the others.
                if "before the deadline" in error.message():
                    continue
                assert "Too many requests are under way" in error.message()
                # Health is told all the same, and from the deadline on there is room again.
                assert client.is_server_live()
                time.sleep(DEADLINE_SECONDS)
                answers(client)
                return
    pytest.fail("never refused")


@contextmanager
def almost_sent(server: Server) -> Iterator[None]:
    """A body over HTTP that lacks its last byte."""
    url = urlsplit(server.url)
    with socket.create_connection((url.hostname or "", url.port or 0), timeout=30) as upload:
        head = f"POST /predict HTTP/1.1\r\nHost: here\r\nX-API-Key: {KEY}\r\n"
        upload.sendall(f"{head}Content-Length: {BODY}\r\n\r\n".encode() + bytes(BODY - 1))
        yield


def test_messages_share_the_budget_of_all_bodies(
    client: triton.InferenceServerClient, target: Server
) -> None:
    answers(client)
    with pytest.raises(InferenceServerException, match="as many bytes of other") as refused:
        always_answers_beside_bodies(client, target)
    assert refused.value.status() == "StatusCode.RESOURCE_EXHAUSTED"
    answers_again(client)


def test_no_more_messages_are_on_the_way_than_the_budget_has_room_for(
    client: triton.InferenceServerClient, url: str
) -> None:
    answers(client)
    longest = 0.0
    with http2.opened(url, INFER, SHOWN | {"grpc-timeout": "700m"}) as half:
        http2.send(half, http2.message(bytes(30_000))[:20_000])
        until = time.monotonic() + 0.7
        while (began := time.monotonic()) < until:
            answers(client)
            longest = max(longest, time.monotonic() - began)
    # The next one was waited for, until the first had no time left.
    assert longest > 0.3


def test_what_is_packed_is_not_unpacked_beyond_the_limit(
    client: triton.InferenceServerClient, target: Server, url: str
) -> None:
    answers(client)
    before = peak_kb(target)
    packed = SHOWN | {"grpc-encoding": "gzip"}
    with ExitStack() as held:
        for method in (INFER, LIVE) * PLACES:
            one = held.enter_context(http2.opened(url, method, packed))
            http2.send(one, http2.bomb())
        answers_again(client)
    assert peak_kb(target) - before < MOST_GROWTH_KB


def always_answers_beside_bodies(client: triton.InferenceServerClient, server: Server) -> None:
    # If a message comes while the bodies arrive, one of those may be refused in its place.
    for _ in range(20):
        with ExitStack() as held:
            for _ in range(3):
                held.enter_context(almost_sent(server))
            always_answers(client, seconds=0.5)


def always_answers(
    client: triton.InferenceServerClient, *, seconds: float = 4 * DEADLINE_SECONDS
) -> None:
    """Returns if it is not refused within ``seconds``."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        answers(client)


def answers_again(client: triton.InferenceServerClient) -> None:
    """Returns once there is a place."""
    until = time.monotonic() + 4 * DEADLINE_SECONDS
    while True:
        try:
            answers(client)
        except InferenceServerException:
            assert time.monotonic() < until
        else:
            return


def test_a_request_without_a_message_is_told_so(target: Server, url: str) -> None:
    assert target.url
    with channel(url) as one, pytest.raises(grpc.RpcError, match="has no message") as refused:
        asked(one, iter(()))
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_soon_after_the_signal_no_more_is_taken_while_http_drains(tmp_path: Path) -> None:
    port = free_port()
    with (
        running(tmp_path, "--model", "starter", "--grpc-port", str(port)) as server,
        triton.InferenceServerClient(f"127.0.0.1:{port}") as client,
    ):
        assert client.is_server_ready()
        url = urlsplit(server.url)
        address = (url.hostname or "", url.port or 0)
        with socket.create_connection(address, timeout=30) as upload:
            head = "POST /predict HTTP/1.1\r\nHost: here\r\nExpect: 100-continue\r\n"
            upload.sendall(f"{head}Content-Length: {len(PICTURES[0])}\r\n\r\n".encode())
            assert upload.recv(100).startswith(b"HTTP/1.1 100 ")
            server.process.send_signal(signal.SIGTERM)
            wait_until_refused(address)
            # What has just come is taken yet.
            time.sleep(1)
            with pytest.raises(InferenceServerException, match="UNAVAILABLE"):
                client.get_server_metadata()
            upload.sendall(PICTURES[0])
            answer = http.client.HTTPResponse(upload)
            answer.begin()
            assert len(json.loads(answer.read())["predictions"]) == 3
        server.process.wait(30)
    assert server.process.returncode == 0


def test_connections_that_are_kept_for_nothing_leave_room_for_http_and_health(
    tmp_path: Path,
) -> None:
    url = f"127.0.0.1:{free_port()}"
    limit = ("sh", "-c", 'ulimit -n 150; exec "$@"', "sh")
    options = ("--workers", "1", "--grpc-port", url.split(":")[1])
    with running(tmp_path, *options, prefix=limit) as server, ExitStack() as held:
        idle = [held.enter_context(http2.opened(url, LIVE)) for _ in range(150)]
        kept = sum(bool(_first(one)) for one in idle)
        assert 1 <= kept < 50
        assert httpx.get(f"{server.url}/health/live", timeout=30).json() == {"live": True}
        for one in idle:
            one.close()
        # It takes a moment until they are known to have gone.
        for attempt in Retrying(stop=stop_after_delay(20), wait=wait_fixed(0.1), reraise=True):
            with attempt, channel(url) as again:
                again.unary_unary(LIVE)(b"", timeout=30)


def _first(connection: socket.socket) -> bytes:
    """What it is told first; nothing where it is hung up on."""
    try:
        return connection.recv(1)
    except ConnectionError:
        return b""


def test_a_request_that_was_under_way_is_answered_after_the_signal(tmp_path: Path) -> None:
    port = free_port()
    request = service_pb2.ModelInferRequest(
        model_name="starter",
        raw_input_contents=[len(PICTURES[0]).to_bytes(4, "little") + PICTURES[0]],
    )
    request.inputs.add(name="image", datatype="BYTES", shape=[1])

    def later() -> Iterator[bytes]:
        # The request itself is on its way; its message is not.
        time.sleep(0.3)
        server.process.send_signal(signal.SIGTERM)
        wait_until_refused((url.hostname or "", url.port or 0))
        yield request.SerializeToString()

    with (
        running(tmp_path, "--model", "starter", "--grpc-port", str(port)) as server,
        channel(f"127.0.0.1:{port}") as one,
    ):
        url = urlsplit(server.url)
        grpc.channel_ready_future(one).result(30)
        answer = one.stream_unary(INFER)(later(), timeout=30)
        assert b"probabilities" in answer
        server.process.wait(30)
    assert server.process.returncode == 0
