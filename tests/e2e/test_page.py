"""The page in a real browser, against a real server."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.e2e.conftest import Server
from tests.support import encode, texture

ARTIFACTS = Path(__file__).parents[1] / "artifacts"
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("needs Chromium")
    with sync_playwright() as playwright:
        one = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield one
        one.close()


@pytest.fixture
def page(browser: Browser, server: Server) -> Iterator[Page]:
    """The page in English; every complaint of the browser fails the test."""
    context = browser.new_context(locale="en-GB", viewport={"width": 900, "height": 900})
    one = context.new_page()
    complaints: list[str] = []
    asked: list[str] = []
    one.on("console", lambda message: complaints.append(message.text))
    one.on("pageerror", lambda error: complaints.append(str(error)))
    one.on("request", lambda request: asked.append(request.url))
    one.goto(server.url)
    yield one
    context.close()
    unexpected = [text for text in complaints if "415 (Unsupported Media Type)" not in text]
    assert unexpected == []
    assert [url for url in asked if not url.startswith((server.url, "blob:"))] == []


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "picture.jpg"
    path.write_bytes(encode(texture(500, 400, 3), "JPEG"))
    return path


def test_a_chosen_picture_is_answered_in_both_languages(page: Page, picture: Path) -> None:
    ARTIFACTS.mkdir(exist_ok=True)
    expect(page.locator("#model")).to_contain_text("efficientnet_lite0 (int8")
    expect(page.locator("#limit")).to_have_text("up to 10 MB")
    page.set_input_files("#file", picture)
    rows = page.locator("#predictions li")
    expect(rows).to_have_count(3)
    expect(rows.first).to_contain_text("%")
    expect(page.locator("#time")).to_contain_text("ms in the network")
    expect(page.locator("#picture")).to_be_visible()
    page.screenshot(path=ARTIFACTS / "page.png")
    page.get_by_role("button", name="中文").click()
    expect(page.locator("#time")).to_contain_text("毫秒")
    expect(page.locator("html")).to_have_attribute("lang", "zh-Hans")
    page.set_viewport_size({"width": 360, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.screenshot(path=ARTIFACTS / "page-phone-zh.png")


def test_a_dropped_picture_is_answered(page: Page, picture: Path) -> None:
    transfer = page.evaluate_handle(
        """bytes => { const data = new DataTransfer();
        data.items.add(new File([new Uint8Array(bytes)], "x.jpg", {type: "image/jpeg"}));
        return data; }""",
        list(picture.read_bytes()),
    )
    page.dispatch_event("#drop", "drop", {"dataTransfer": transfer})
    expect(page.locator("#predictions li")).to_have_count(3)


def test_errors_stand_in_their_place_in_plain_words(page: Page, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a picture")
    page.set_input_files("#file", tmp_path / "notes.txt")
    expect(page.locator("#error")).to_contain_text("not a picture in a supported format")
    (tmp_path / "large.jpg").write_bytes(bytes(10_000_001))
    page.set_input_files("#file", tmp_path / "large.jpg")
    expect(page.locator("#error")).to_contain_text("larger than 10 MB")
    page.get_by_role("button", name="中文").click()
    expect(page.locator("#error")).to_contain_text("超过 10 MB")
    expect(page.locator("#answer")).to_be_hidden()
