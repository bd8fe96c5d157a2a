"""One real server for all, in front of which a client of either colour asks."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from millisight import AsyncClient, Client
from millisight.bundle import starter_path
from tests.e2e.conftest import Server, running
from tests.support import encode, solid

KEY = "a-key-that-nobody-guesses"
EXAMPLES = starter_path().parent / "server" / "static" / "examples"
CAT = EXAMPLES / "cat.avif"
COFFEE = EXAMPLES / "coffee.avif"
SLOW = encode(solid(0, size=(3000, 2500)), "PNG")
"""A picture that takes some tens of milliseconds."""

Ask = Callable[..., Any]
"""Takes the name of a method and its arguments; ``url`` and ``options`` are those of the client."""


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """It wants a key, and two pictures are all that may wait."""
    home = tmp_path_factory.mktemp("home")
    limits = {"threads": 1, "max-queue": 2, "max-upload-mb": 4, "deadline-ms": 60_000}
    options = [text for name, value in limits.items() for text in (f"--{name}", str(value))]
    with ExitStack() as stack:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("MILLISIGHT_API_KEYS", KEY)
            one = stack.enter_context(running(home, *options))
        yield one


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with Client(server.url, api_key=KEY) as one:
        yield one


@pytest.fixture(params=[Client, AsyncClient])
def ask(request: pytest.FixtureRequest) -> Ask:
    """One question with a client of its own; of both kinds, one after the other."""

    def run(url: str, method: str, *arguments: Any, **options: Any) -> Any:
        named = {
            name: options.pop(name) for name in ("api_key", "timeout", "retry") & options.keys()
        }
        if request.param is Client:
            with Client(url, **named) as client:
                return getattr(client, method)(*arguments, **options)

        async def whole() -> Any:
            async with AsyncClient(url, **named) as client:
                return await getattr(client, method)(*arguments, **options)

        return asyncio.run(whole())

    return run


def numbered(path: Path, number: int) -> bytes:
    """The picture with bytes behind its end: another question for the cache, the same answer."""
    return path.read_bytes() + b"%d" % number
