"""What goes wrong is said in its place, in plain words, and can be tried again."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.conftest import Server
from tests.page.conftest import Open, assert_accessible, opening, running, screenshot
from tests.support import encode, solid, texture


@pytest.mark.parametrize(
    ("name", "content", "english", "chinese"),
    [
        ("notes.txt", b"not a picture", "not a picture in a supported format", "不是受支持格式"),
        ("half.jpg", encode(texture(300, 200), "JPEG")[:900], "damaged", "已损坏"),
        ("vast.png", encode(solid(0, "1", (9000, 9000)), "PNG"), "50 megapixels", "像素过多"),
        ("empty.png", b"", "is empty", "图片是空的"),
    ],
)
def test_what_is_wrong_with_a_picture_is_said(
    page: Page, tmp_path: Path, name: str, content: bytes, english: str, chinese: str
) -> None:
    (tmp_path / name).write_bytes(content)
    page.set_input_files("#file", tmp_path / name)
    expect(page.get_by_role("alert")).to_contain_text(f"{name}: ")
    expect(page.get_by_role("alert")).to_contain_text(english)
    expect(page.locator("#answer")).to_be_hidden()
    page.get_by_role("button", name="中文").click()
    expect(page.get_by_role("alert")).to_contain_text(chinese)
    screenshot(page, "problem")
    assert_accessible(page)
    page.get_by_role("button", name="示例：一只猫").click()
    expect(page.get_by_role("alert")).to_be_hidden()
    expect(page.locator("#answer")).to_be_visible()


def test_an_error_leaves_the_last_answer_where_it_is(page: Page, tmp_path: Path) -> None:
    page.get_by_role("button", name="Example: a coat").click()
    expect(page.locator("#predictions .row")).to_have_count(3)
    (tmp_path / "notes.txt").write_text("not a picture")
    page.set_input_files("#file", tmp_path / "notes.txt")
    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.locator("#name")).to_have_text("coat.avif")
    expect(page.locator("#predictions .row").first).to_contain_text("trench coat")
    expect(page.locator("#answer")).not_to_have_class("waiting")


def test_what_is_too_large_is_not_even_sent(page: Page, tmp_path: Path) -> None:
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url))
    (tmp_path / "large.jpg").write_bytes(bytes(10_000_001))
    page.set_input_files("#file", tmp_path / "large.jpg")
    expect(page.get_by_role("alert")).to_contain_text("larger than 10 MB")
    page.get_by_role("button", name="中文").click()
    expect(page.get_by_role("alert")).to_contain_text("超过 10 MB")
    assert not [url for url in sent if "/predict" in url]


def test_the_limit_is_the_servers(open_page: Open, tmp_path: Path) -> None:
    with running(tmp_path, "--max-upload-mb", "0.5") as server:
        page = open_page(server)
        expect(page.locator("#limit")).to_contain_text("up to 0.5 MB")
        (tmp_path / "large.jpg").write_bytes(bytes(500_001))
        page.set_input_files("#file", tmp_path / "large.jpg")
        expect(page.get_by_role("alert")).to_contain_text("larger than 0.5 MB")


@contextmanager
def busy(server: Server) -> Iterator[None]:
    """More work than the server takes, until the block ends."""
    stop = threading.Event()
    picture = encode(texture(4000, 3000), "PNG", compress_level=1)

    def send(number: int) -> None:
        with httpx.Client(base_url=server.url, timeout=60) as client:
            while not stop.is_set():
                # Every one is new to the cache.
                client.post("/predict", content=picture + bytes([number]))

    threads = [threading.Thread(target=send, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_a_busy_server_is_asked_again_when_it_says(
    open_page: Open, tmp_path: Path, picture: Path
) -> None:
    options = ("--max-queue", "1", "--threads", "1", "--cache-entries", "0")
    with running(tmp_path, *options, "--max-upload-mb", "40") as server:
        page = open_page(server)
        with busy(server):
            for _ in range(20):
                page.set_input_files("#file", picture)
                page.wait_for_timeout(100)
                if "busy" in (page.locator("#error").text_content() or ""):
                    break
            expect(page.get_by_role("alert")).to_contain_text("Trying again in ")
        expect(page.locator("#predictions .row")).to_have_count(3)
        expect(page.get_by_role("alert")).to_be_hidden()


def test_a_server_that_wants_a_key_is_given_one(
    browser: Browser, tmp_path: Path, picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MILLISIGHT_API_KEYS", "a-key-of-some-length")
    with running(tmp_path) as server, opening(browser) as open_page:
        page = open_page(server, wait=False)
        expect(page.get_by_role("alert")).to_contain_text("only those who have a key")
        assert_accessible(page)
        page.get_by_label("API key").fill("a-key-of-some-length")
        page.get_by_role("button", name="Try again").click()
        expect(page.get_by_role("alert")).to_be_hidden()
        page.set_input_files("#file", picture)
        expect(page.locator("#predictions .row")).to_have_count(3)
        page.locator("#predictions .row").first.click()
        expect(page.locator("#heat")).to_be_visible()


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def test_a_server_that_is_gone_is_said_and_tried_again(
    open_page: Open, tmp_path: Path, picture: Path
) -> None:
    port = str(free_port())
    with running(tmp_path, "--port", port) as server:
        page = open_page(server)
    page.set_input_files("#file", picture)
    expect(page.get_by_role("alert")).to_contain_text("The server does not answer")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("alert")).to_contain_text("The server does not answer")
    with running(tmp_path, "--port", port):
        page.get_by_role("button", name="Try again").click()
        expect(page.locator("#predictions .row")).to_have_count(3)
        expect(page.get_by_role("alert")).to_be_hidden()
