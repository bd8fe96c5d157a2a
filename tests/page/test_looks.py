"""Languages, themes, a phone, the keyboard alone, and what an accessibility checker says."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from millisight.bundle import read_bundle, starter_path
from tests.e2e.conftest import Server
from tests.page.conftest import Open, assert_accessible, screenshot

ROWS = "#predictions .row"
STATIC = starter_path().parent / "server" / "static"


def test_the_whole_page_is_small() -> None:
    assert sum(path.stat().st_size for path in STATIC.rglob("*") if path.is_file()) < 60_000


def test_the_language_is_the_browsers_and_can_be_switched(open_page: Open, server: Server) -> None:
    page = open_page(server, locale="zh-CN")
    expect(page.locator("html")).to_have_attribute("lang", "zh-Hans")
    expect(page.get_by_role("button", name="选择图片")).to_be_visible()
    page.get_by_role("button", name="示例：一杯咖啡").click()
    row = page.locator(ROWS).first
    expect(row).to_contain_text("浓缩咖啡")
    expect(row.locator("small[lang=en]")).to_have_text("espresso")
    screenshot(page, "chinese")
    page.get_by_role("button", name="English").click()
    expect(page.locator("html")).to_have_attribute("lang", "en")
    expect(row).to_contain_text("espresso")
    expect(row).not_to_contain_text("浓缩咖啡")
    page.reload()
    expect(page.get_by_role("button", name="Choose pictures")).to_be_visible()


def test_no_word_is_missing_in_either_language(page: Page) -> None:
    page.get_by_role("button", name="Example: a cat").click()
    page.locator(ROWS).first.click()
    for other in ("中文", "English"):
        assert "undefined" not in page.locator("body").inner_text()
        for node in page.locator("[data-text]").all():
            assert node.text_content()
        page.get_by_role("button", name=other).click()


def background(page: Page) -> str:
    return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_theme_is_the_systems_and_can_be_switched(
    open_page: Open, server: Server, scheme: str
) -> None:
    page = open_page(server, color_scheme=scheme)
    light, dark = "rgb(244, 247, 245)", "rgb(19, 24, 21)"
    assert background(page) == (light if scheme == "light" else dark)
    page.get_by_role("button", name="Theme: auto").click()
    assert background(page) == light
    page.get_by_role("button", name="Theme: light").click()
    assert background(page) == dark
    page.reload()
    expect(page.get_by_role("button", name="Theme: dark")).to_be_visible()
    assert background(page) == dark
    page.get_by_role("button", name="Theme: dark").click()
    assert background(page) == (light if scheme == "light" else dark)


@pytest.mark.parametrize("locale", ["en-GB", pytest.param("zh-CN", marks=pytest.mark.long)])
def test_it_fits_a_phone(open_page: Open, server: Server, locale: str) -> None:
    page = open_page(
        server,
        locale=locale,
        viewport={"width": 360, "height": 740},
        is_mobile=True,
        has_touch=True,
        color_scheme="dark",
    )
    expect(page.locator("#shoot")).to_be_visible()
    with page.expect_file_chooser() as chooser:
        page.locator("#shoot").tap()
    assert chooser.value.element.get_attribute("capture") == "environment"
    files = [STATIC / "examples" / f"{name}.avif" for name in ("cat", "coffee", "camera", "coat")]
    page.set_input_files("#file", files)
    expect(page.locator("#count")).to_contain_text("4")
    page.locator("#examples button").first.tap()
    page.locator(ROWS).first.tap()
    for summary in page.locator("summary").all():
        summary.tap()
    expect(page.locator("#heat")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    screenshot(page, f"phone-{locale}")
    assert_accessible(page)


@pytest.mark.parametrize(
    ("scheme", "locale"),
    [
        ("light", "en-GB"),
        ("dark", "zh-CN"),
        pytest.param("dark", "en-GB", marks=pytest.mark.long),
        pytest.param("light", "zh-CN", marks=pytest.mark.long),
    ],
)
def test_a_checker_finds_nothing_wrong(
    open_page: Open, server: Server, scheme: str, locale: str
) -> None:
    page = open_page(server, color_scheme=scheme, locale=locale)
    assert_accessible(page)
    page.locator("#examples button").first.click()
    expect(page.locator(ROWS)).to_have_count(3)
    page.locator("#examples button").last.click()
    # What is shown is the first one's until the example is fetched.
    expect(page.locator("#history button")).to_have_count(2)
    page.locator(ROWS).first.click()
    expect(page.locator("#heat")).to_be_visible()
    page.set_input_files("#file", [STATIC / "icon.svg", STATIC / "examples" / "cat.avif"])
    expect(page.locator("#count")).to_contain_text("1")
    for summary in page.locator("summary").all():
        summary.click()
    assert_accessible(page)
    screenshot(page, f"everything-{locale}-{scheme}")


def focus(page: Page, wanted: str) -> None:
    """Tab on until ``wanted`` has the focus; what has it must be seen to have it."""
    for _ in range(60):
        page.keyboard.press("Tab")
        ring = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        if page.evaluate("wanted => document.activeElement.matches(wanted)", wanted):
            assert ring == "solid"
            return
    raise AssertionError(f"{wanted} is never reached")


def test_everything_can_be_done_with_the_keyboard(page: Page, picture: Path) -> None:
    order = page.evaluate(
        """[...document.querySelectorAll("button, input, summary, a")]
        .every((node) => node.tabIndex <= 0)"""
    )
    assert order, "the order of focus is that of the page"
    # Told early: Playwright does not wait until the browser knows that it is to report choosers.
    page.on("filechooser", lambda _: None)
    focus(page, "#choose")
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files(picture)
    expect(page.locator("#name")).to_have_text("picture.jpg")
    # The name is there before the answer, and the strip is in the order of the answers.
    expect(page.locator(ROWS)).to_have_count(3)
    focus(page, "#examples button")
    page.keyboard.press("Space")
    expect(page.locator("#name")).to_have_text("cat.avif")
    expect(page.locator("#answer")).not_to_have_class("waiting")
    expect(page.locator(ROWS).first).to_contain_text("Egyptian cat")
    focus(page, "#k")
    page.keyboard.press("ArrowUp")
    expect(page.locator(ROWS)).to_have_count(4)
    focus(page, ".row")
    page.keyboard.press("Enter")
    expect(page.locator(ROWS).first).to_have_attribute("aria-pressed", "true")
    expect(page.locator(ROWS).first).to_be_focused()
    expect(page.locator("#heat")).to_be_visible()
    focus(page, "#strength")
    page.keyboard.press("Home")
    expect(page.locator("#heat")).to_have_css("opacity", "0")
    focus(page, "#history li:last-child button")
    page.keyboard.press("Enter")
    expect(page.locator("#name")).to_have_text("picture.jpg")
    focus(page, "#model summary")
    page.keyboard.press("Enter")
    focus(page, "#search")
    page.keyboard.type("espresso")
    expect(page.locator("#classes li")).to_have_text(["espresso maker", "espresso"])


def test_the_model_tells_where_it_comes_from(page: Page) -> None:
    manifest = read_bundle(starter_path()).manifest
    page.locator("#model summary").click()
    facts = page.locator("#facts")
    for text in (
        manifest.weights.source,
        manifest.weights.sha256,
        "int8",
        f"{manifest.size / 1e6:.1f} MB",
        "top-1 89.9 %",
        "224 × 224",
        manifest.digest(),
    ):
        expect(facts).to_contain_text(text)
    expect(page.locator("#classes li")).to_have_count(1000)
    page.locator("#search").fill("猫")
    expect(page.locator("#classes li").filter(has_text="Egyptian cat")).to_have_count(1)
    page.locator("#search").fill("no such thing")
    expect(page.locator("#found")).to_have_text("0 classes")


def sample(page: Page, name: str) -> str:
    """What the copy button of a sample puts on the clipboard."""
    page.get_by_role("button", name=f"Copy: {name}").click()
    page.wait_for_function("() => navigator.clipboard.readText().then((text) => text.length > 20)")
    copied: str = page.evaluate("navigator.clipboard.readText()")
    return copied


@pytest.mark.parametrize("name", ["curl", "Python", "JavaScript"])
def test_the_samples_run_as_they_are_copied(
    open_page: Open, server: Server, picture: Path, name: str
) -> None:
    page = open_page(server, permissions=["clipboard-read", "clipboard-write"])
    page.locator("#code summary").click()
    code = sample(page, name)
    folder = picture.parent
    picture.rename(folder / "photo.jpg")
    (folder / "sample.mjs").write_text(code)
    command = {
        "curl": ["sh", "-c", code],
        "Python": [sys.executable, "-c", code],
        "JavaScript": ["node", "sample.mjs"],
    }[name]
    if shutil.which("node" if name == "JavaScript" else "curl") is None:
        pytest.skip(f"needs what runs {name}")
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    page.set_input_files("#file", folder / "photo.jpg")
    expect(page.locator(ROWS)).to_have_count(3)
    for row in page.locator(ROWS).all():
        assert row.inner_text().split("\n")[0] in done.stdout
