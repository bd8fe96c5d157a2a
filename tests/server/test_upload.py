"""Forms and bodies at their edges: broken, cut off, and just too large."""

import asyncio
import gzip
from collections.abc import AsyncIterator

import httpx
import pytest

from tests.server.conftest import Against
from tests.server.test_predict import JPEG, problem

FORM = {"Content-Type": "multipart/form-data; boundary=x"}
PART = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n'
END = b"\r\n--x--\r\n"


class Upload:
    """A body in chunks that knows how many were taken."""

    def __init__(self, chunk: bytes, count: int) -> None:
        self.chunk = chunk
        self.count = count
        self.taken = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for _ in range(self.count):
            self.taken += 1
            yield self.chunk


@pytest.mark.parametrize(
    "body",
    [b"no boundary", b"--x\r\n\r\nno headers" + END, b"--x--\r\n", b""],
    ids=["garbage", "part without headers", "no parts", "nothing"],
)
def test_a_form_that_cannot_be_read_is_refused_in_one_sentence(
    against: Against, body: bytes
) -> None:
    async def check(client: httpx.AsyncClient) -> None:
        response = await client.post("/predict", content=body, headers=FORM)
        error = problem(response, 400, "bad_request")["error"]
        assert error.endswith(".")
        assert not error.endswith("..")

    against(check)


@pytest.mark.parametrize("body", [PART[:30], PART, PART + JPEG, PART + JPEG + END[:5]], ids=len)
def test_a_form_that_was_cut_off_is_called_so(against: Against, body: bytes) -> None:
    async def check(client: httpx.AsyncClient) -> None:
        response = await client.post("/predict", content=body, headers=FORM)
        assert "before its last boundary" in problem(response, 400, "bad_request")["error"]

    against(check)


@pytest.mark.parametrize("boundary", ["", "y", "x" * 1000, "\xff"], ids=["none", *"abc"])
def test_a_form_with_another_boundary_than_it_says_is_refused(
    against: Against, boundary: str
) -> None:
    async def check(client: httpx.AsyncClient) -> None:
        kind = f"multipart/form-data; boundary={boundary}".encode("latin-1")
        response = await client.post(
            "/predict", content=PART + JPEG + END, headers=[(b"Content-Type", kind)]
        )
        problem(response, 400, "bad_request")

    against(check)


def test_a_second_file_is_refused(against: Against) -> None:
    async def check(client: httpx.AsyncClient) -> None:
        files = [("file", ("a.jpg", JPEG)), ("file", ("b.jpg", JPEG))]
        problem(await client.post("/predict", files=files), 400, "bad_request")

    against(check)


def test_other_fields_and_the_case_of_the_type_do_not_matter(against: Against) -> None:
    note = b'--x\r\nContent-Disposition: form-data; name="note"\r\n\r\nmine\r\n'

    async def check(client: httpx.AsyncClient) -> None:
        for kind in ("multipart/form-data", "Multipart/Form-Data"):
            response = await client.post(
                "/predict",
                content=note + PART + JPEG + END,
                headers={"Content-Type": f"{kind}; boundary=x"},
            )
            assert response.json()["predictions"][0]["index"] == 7

    against(check)


@pytest.mark.parametrize("kind", ["image/png", "text/plain", "application/json", None])
def test_a_bare_body_is_the_picture_whatever_its_type_says(
    against: Against, kind: str | None
) -> None:
    async def check(client: httpx.AsyncClient) -> None:
        headers = {"Content-Type": kind} if kind else {}
        response = await client.post("/predict", content=JPEG, headers=headers)
        assert response.json()["predictions"][0]["index"] == 7

    against(check)


def test_an_upload_announced_too_large_is_refused_unread(against: Against) -> None:
    upload = Upload(bytes(1_000_000), 11)

    async def check(client: httpx.AsyncClient) -> None:
        headers = {"Content-Length": "11000000"}
        response = await client.post("/predict", content=upload, headers=headers)
        assert "10 MB" in problem(response, 413, "upload_too_large")["error"]
        assert upload.taken == 0

    against(check)


def test_a_form_without_a_length_is_stopped_while_it_arrives(against: Against) -> None:
    upload = Upload(PART + bytes(100_000), 1000)

    async def check(client: httpx.AsyncClient) -> None:
        response = await client.post("/predict", content=upload, headers=FORM)
        problem(response, 413, "upload_too_large")
        assert upload.taken <= 11

    against(check, max_upload_mb=1)


def test_the_limit_holds_to_the_byte_in_a_body_and_in_a_form(against: Against) -> None:
    async def check(client: httpx.AsyncClient) -> None:
        for padding, status in ((b"", 200), (b"\0", 413)):
            picture = JPEG + padding
            bare = await client.post("/predict", content=picture)
            form = await client.post("/predict", files={"file": ("a.jpg", picture)})
            assert (bare.status_code, form.status_code) == (status, status)

    against(check, max_upload_mb=len(JPEG) / 1e6)


def test_bodies_of_all_requests_have_a_limit_together(against: Against) -> None:
    async def check(client: httpx.AsyncClient) -> None:
        go = asyncio.Event()

        async def held() -> AsyncIterator[bytes]:
            yield JPEG
            yield bytes(600_000)
            await go.wait()

        first = asyncio.create_task(client.post("/predict", content=held()))
        await asyncio.sleep(0.1)
        packed = gzip.compress(bytes(600_000))
        for sent in (
            client.post("/predict", content=bytes(600_000)),
            client.post("/predict", files={"file": ("a.jpg", bytes(600_000))}),
            client.post("/embed", content=Upload(bytes(100_000), 6)),
            client.post(
                "/v1/models/starter:predict", content=packed, headers={"Content-Encoding": "gzip"}
            ),
        ):
            refused = await sent
            problem(refused, 429, "overloaded")
            assert int(refused.headers["Retry-After"]) >= 1
        assert (await client.post("/predict", content=JPEG)).status_code == 200
        go.set()
        assert (await first).status_code == 200
        # One alone may always come.
        assert (await client.post("/predict", content=JPEG + bytes(1_500_000))).status_code == 200

    against(check, max_bodies_mb=1)
