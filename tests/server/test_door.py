"""API keys, other origins, and what every answer says to browsers."""

from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import httpx
import pytest

from millisight.errors import SettingsError
from millisight.server.door import is_one_of, read_keys
from millisight.settings import load_settings
from tests.server.conftest import Against
from tests.server.test_predict import JPEG, problem

KEY, OTHER = "a-key-of-some-length", "another-key-of-some-length"
MANY = [f"{'k' * (length - 2)}{length % 100:02}" for length in (16, 17, 31, 32, 33, 64, 65, 4000)]
"""Keys of odd lengths; what differs is at their ends."""


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def test_without_keys_everybody_may_ask(against: Against) -> None:
    async def check(client: httpx.AsyncClient) -> None:
        assert (await client.post("/predict", content=JPEG)).status_code == 200

    against(check)


@pytest.mark.parametrize("path", ["/predict", "/explain", "/model", "/metrics", "/nothing"])
def test_who_shows_no_key_or_a_wrong_one_is_refused(against: Against, path: str) -> None:
    wrong = [{}, bearer("wrong"), bearer(""), bearer(KEY[:-1]), bearer(KEY + "x")]
    wrong += [{"Authorization": f"Basic {KEY}"}, {"Authorization": KEY}, {"X-API-Key": "wrong"}]

    async def check(client: httpx.AsyncClient) -> None:
        for headers in wrong:
            method = "POST" if path in ("/predict", "/explain") else "GET"
            answer = await client.request(method, path, content=JPEG, headers=headers)
            problem(answer, 401, "unauthorized")
            assert answer.headers["WWW-Authenticate"] == "Bearer"

    against(check, api_keys=f"{KEY},{OTHER}")


@pytest.mark.parametrize("key", [KEY, OTHER])
def test_each_key_opens_in_either_header(against: Against, key: str) -> None:
    async def check(client: httpx.AsyncClient) -> None:
        for headers in (bearer(key), {"authorization": f"bearer {key}"}, {"X-API-Key": key}):
            assert (await client.post("/predict", content=JPEG, headers=headers)).is_success
            assert (await client.get("/model", headers=headers)).is_success

    against(check, api_keys=f"{KEY}, {OTHER}")


@pytest.mark.parametrize(
    "path", ["/", "/static/page.js", "/health/live", "/health/ready", "/docs", "/openapi.json"]
)
def test_the_page_the_documentation_and_health_need_no_key(against: Against, path: str) -> None:
    async def check(client: httpx.AsyncClient) -> None:
        assert (await client.get(path)).status_code == 200

    against(check, api_keys=KEY)


def test_a_path_that_only_looks_open_is_not(against: Against) -> None:
    async def check(client: httpx.AsyncClient) -> None:
        for path in ("/static", "/health", "//predict", "/docsx", "/model/", "/static/../model"):
            answer = await client.get(httpx.URL("http://test", raw_path=path.encode()))
            assert answer.status_code in {401, 404}
            assert "manifest" not in answer.text

    against(check, api_keys=KEY)


def test_a_key_opens_wherever_it_stands_and_however_long_it_is(
    against: Against, tmp_path: Path
) -> None:
    file = tmp_path / "keys"
    file.write_text("\n".join(MANY))

    async def check(client: httpx.AsyncClient) -> None:
        for key in MANY:
            assert (await client.get("/model", headers=bearer(key))).is_success
            for wrong in (key[:-1], key + "0", key[:-1] + "x", key.upper()):
                problem(await client.get("/model", headers=bearer(wrong)), 401, "unauthorized")

    against(check, api_keys_file=str(file))


@pytest.mark.parametrize("name", ["Authorization", "X-API-Key"])
@pytest.mark.parametrize("shown", ["schlüssel-für-den-laden".encode(), b"\xff" * 32, KEY.encode()])
def test_who_shows_what_is_not_ascii_has_no_key(against: Against, name: str, shown: bytes) -> None:
    scheme = b"Bearer " if name == "Authorization" else b""
    headers = {name.encode(): scheme + shown + b"\xe9"}

    async def check(client: httpx.AsyncClient) -> None:
        problem(await client.get("/model", headers=headers), 401, "unauthorized")

    against(check, api_keys=KEY)


class Digest(bytes):
    """One that cannot be compared in a way that ends at the first byte which differs."""

    def __eq__(self, _: object) -> NoReturn:
        raise AssertionError("How long this takes tells where the difference is.")

    __hash__ = None  # type: ignore[assignment]


class Digests(list[bytes]):
    """Counts how many of them were looked at."""

    looked_at = 0

    def __iter__(self) -> Iterator[bytes]:
        for one in super().__iter__():
            self.looked_at += 1
            yield one


@pytest.mark.parametrize(
    "key", [MANY[0], MANY[3], MANY[-1], "a-key-of-nobody-at-all", "", "é" * 20]
)
def test_how_long_it_takes_to_compare_keys_tells_nothing_of_them(key: str) -> None:
    plain = read_keys(load_settings({}, {"MILLISIGHT_API_KEYS": ",".join(MANY)}))
    # However long the keys are, what is compared is not.
    assert {len(one) for one in plain} == {32}
    digests = Digests(map(Digest, plain))
    assert is_one_of(key, digests) == (key in MANY)
    # The first that fits is not the last that is looked at.
    assert digests.looked_at == len(MANY)


def test_keys_come_from_a_file_too(against: Against, tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"# the keys of the shop\n{KEY}\n\n  {OTHER}  \n")
    third = "a-third-one-of-the-environment"

    async def check(client: httpx.AsyncClient) -> None:
        for key in (KEY, OTHER, third):
            assert (await client.get("/model", headers=bearer(key))).is_success
        comment = bearer("# the keys of the shop")
        problem(await client.get("/model", headers=comment), 401, "unauthorized")

    against(check, api_keys_file=str(file), api_keys=third)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read: No such file"),
        (b"", "has none"),
        (b"# nothing but this\n", "has none"),
        (b"short\n", "shorter than 16"),
        (b"\xff\xfe", "It is not text"),
        ("schlüssel-für-den-laden\n".encode(), "An API key has characters that are not ASCII"),
    ],
)
def test_keys_that_cannot_be_used_are_refused_at_the_start(
    tmp_path: Path, content: bytes | None, words: str
) -> None:
    file = tmp_path / "keys"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SettingsError, match=words):
        read_keys(load_settings({"api_keys_file": str(file)}, {}))


def test_a_token_that_nobody_could_show_is_refused_too() -> None:
    with pytest.raises(SettingsError, match="token has characters that are not ASCII"):
        read_keys(load_settings({}, {"MILLISIGHT_ADMIN_TOKEN": "schlüssel-für-den-laden"}))


def test_a_key_is_never_shown() -> None:
    settings = load_settings({}, {"MILLISIGHT_API_KEYS": KEY})
    assert KEY not in repr(settings)
    assert KEY not in str(settings.model_dump())
    with pytest.raises(SettingsError) as caught:
        load_settings({"api_keys": 123456}, {})
    assert "123456" not in str(caught.value)


def test_other_origins_are_refused_unless_the_settings_name_them(against: Against) -> None:
    origin = {"Origin": "https://shop.example"}
    preflight = origin | {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
    }

    async def closed(client: httpx.AsyncClient) -> None:
        answer = await client.post("/predict", content=JPEG, headers=origin)
        assert "access-control-allow-origin" not in answer.headers
        assert (await client.options("/predict", headers=preflight)).status_code == 405

    async def opened(client: httpx.AsyncClient) -> None:
        assert (await client.options("/predict", headers=preflight)).status_code == 200
        answer = await client.post("/predict", content=JPEG, headers=origin | bearer(KEY))
        assert answer.headers["access-control-allow-origin"] == "https://shop.example"
        assert "Retry-After" in answer.headers["access-control-expose-headers"]
        refused = await client.post("/predict", content=JPEG, headers=origin)
        assert problem(refused, 401, "unauthorized")
        assert refused.headers["access-control-allow-origin"] == "https://shop.example"
        stranger = {"Origin": "https://elsewhere.example"} | bearer(KEY)
        answer = await client.post("/predict", content=JPEG, headers=stranger)
        assert "access-control-allow-origin" not in answer.headers

    against(closed)
    against(opened, allow_origins="https://shop.example, https://b.example", api_keys=KEY)


@pytest.mark.parametrize("path", ["/", "/static/page.js", "/model", "/health/live", "/nothing"])
def test_every_answer_has_the_headers_that_keep_browsers_safe(against: Against, path: str) -> None:
    async def check(client: httpx.AsyncClient) -> None:
        headers = (await client.get(path)).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["X-Frame-Options"] == "DENY"
        assert "server" not in headers

    against(check)
