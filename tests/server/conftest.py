"""The app without a network: called in-process, with an engine a test can hold or break."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, nullcontext
from functools import partial
from typing import Any

import httpx
import pytest

from millisight.bundle import open_bundles
from millisight.classifier import Classifier
from millisight.engine import Engine, FakeEngine
from millisight.server import create_app
from millisight.settings import load_settings


@asynccontextmanager
async def serving(
    engine: Engine | None = None, *, wait: bool = True, **settings: Any
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the app once it is ready; without ``wait``, of one that has not started."""
    ready = asyncio.Event()
    chosen = load_settings(settings, {})
    bundles = open_bundles(chosen.model, chosen.home)
    load = partial(Classifier, settings=chosen, engine=engine or FakeEngine(1000))
    app = create_app(bundles, chosen, load=load, on_ready=ready.set)
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app) if wait else nullcontext(),
        httpx.AsyncClient(transport=transport, base_url="http://test") as client,
    ):
        if wait:
            await ready.wait()
        yield client


Check = Callable[[httpx.AsyncClient], Awaitable[None]]
Against = Callable[..., None]
"""Takes a check, then optionally an engine and settings by name."""


@pytest.fixture
def against() -> Against:
    """Runs an async check with a client of a fresh app."""

    def run(check: Check, engine: Engine | None = None, **options: Any) -> None:
        async def whole() -> None:
            async with serving(engine, **options) as client:
                await check(client)

        asyncio.run(whole())

    return run
