"""Nothing the server sends makes a browser ask another host."""

import re

import httpx
import pytest

from millisight.server.about import STATIC
from tests.server.conftest import Against

NAMESPACE = "http://www.w3.org/2000/svg"
"""A name that looks like an address and is never fetched."""


def hosts_in(text: str) -> set[str]:
    return set(re.findall(r"(?:https?:|wss?:|[\"'`(=]\s*)//([\w.-]+)", text.replace(NAMESPACE, "")))


def test_the_search_for_hosts_finds_them() -> None:
    text = "<img src=//a.org> fetch('https://b.org/x') url( //c.org) // a remark"
    assert hosts_in(text) == {"a.org", "b.org", "c.org"}


@pytest.mark.parametrize(
    "path",
    ["/", "/docs", "/openapi.json", *sorted(f"/static/{one.name}" for one in STATIC.glob("*.*"))],
)
def test_what_is_sent_refers_to_no_other_host(against: Against, path: str) -> None:
    async def check(client: httpx.AsyncClient) -> None:
        response = await client.get(path)
        assert response.status_code == 200
        assert hosts_in(response.text) == set()

    against(check)


def test_there_is_no_redoc_because_it_fetches_a_logo_from_its_makers(against: Against) -> None:
    async def check(client: httpx.AsyncClient) -> None:
        assert (await client.get("/redoc")).status_code == 404

    against(check)


def test_the_policy_of_the_page_is_exactly_what_the_page_needs(against: Against) -> None:
    async def check(client: httpx.AsyncClient) -> None:
        headers = (await client.get("/")).headers
        parts = headers["Content-Security-Policy"].split("; ")
        assert dict(part.split(" ", 1) for part in parts) == {
            "default-src": "'none'",
            "script-src": "'self'",
            "style-src": "'self'",
            "img-src": "'self' blob:",
            "connect-src": "'self'",
            "base-uri": "'none'",
            "form-action": "'none'",
            "frame-ancestors": "'none'",
        }
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"

    against(check)
