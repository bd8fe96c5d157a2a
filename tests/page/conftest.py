"""The page in a real browser, against a real server."""

import itertools
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.e2e import conftest as e2e
from tests.e2e.conftest import Server, client
from tests.support import encode, texture

__all__ = ["client"]

ARTIFACTS = Path(__file__).parents[1] / "artifacts"
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]

# What Chromium writes of any answer that is an error; the page has to show it in words.
_EXPECTED = "Failed to load resource"

# The first map of a picture needs a graph to be compiled, on a machine that has other things to do.
PATIENCE_MS = 15_000
expect.set_options(timeout=PATIENCE_MS)

Open = Callable[..., Page]


def running(home: Path, *arguments: str) -> AbstractContextManager[Server]:
    """``millisight serve``, as patient as the tests are."""
    return e2e.running(home, "--deadline-ms", str(PATIENCE_MS), *arguments)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One with an empty store, for tests that leave it as it was."""
    with running(tmp_path_factory.mktemp("home")) as one:
        yield one


@pytest.fixture(scope="package")  # Playwright's event loop is in the way of other tests' own.
def browser() -> Iterator[Browser]:
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("needs Chromium")
    with sync_playwright() as playwright:
        one = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield one
        one.close()


@contextmanager
def opening(browser: Browser) -> Iterator[Open]:
    """Opens pages; every complaint of the browser and every other host asked is a failure."""
    contexts = []
    complaints: list[str] = []
    asked: list[str] = []

    def opened(server: Server, *, wait: bool = True, **options: Any) -> Page:
        settings = {"locale": "en-GB", "viewport": {"width": 1000, "height": 900}} | options
        context = browser.new_context(**settings)
        context.set_default_timeout(PATIENCE_MS)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(server.url)
        if wait:
            expect(page.locator("#facts dt").first).to_be_attached()
        return page

    yield opened
    for context in contexts:
        context.close()
    assert [text for text in complaints if _EXPECTED not in text] == []
    assert [url for url in asked if "://127.0.0.1" not in url and not url.startswith("blob:")] == []


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    with opening(browser) as one:
        yield one


@pytest.fixture
def page(open_page: Open, server: Server) -> Page:
    """The page in English on a wide screen."""
    return open_page(server)


_seeds = itertools.count(1000)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """One that the server has not seen yet."""
    path = tmp_path / "picture.jpg"
    path.write_bytes(encode(texture(500, 400, next(_seeds)), "JPEG"))
    return path


def screenshot(page: Page, name: str) -> None:
    """For a person to look at."""
    ARTIFACTS.mkdir(exist_ok=True)
    page.screenshot(path=ARTIFACTS / f"{name}.png", full_page=True)


def assert_accessible(page: Page) -> None:
    """axe-core finds nothing wrong with what is shown now."""
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()
