"""What the model is not sure of is said, and its report is one click away."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.conftest import Server
from tests.models import CONFIDENCE, build
from tests.page.conftest import Open, assert_accessible, opening, running, screenshot
from tests.support import encode, texture

REPORT = """<!doctype html><html lang="en"><title>steel</title>
<style>p { font-weight: 700 }</style>
<p id="it">as good as it is</p><script>document.body.textContent = "forged"</script>"""


@pytest.fixture(scope="module")
def unsure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("home")
    build(home, "steel", "steel", confidence=CONFIDENCE, report=REPORT)
    with running(home, "--model", "steel") as one:
        yield one


def test_an_uncertain_answer_is_marked_in_both_languages(
    open_page: Open, unsure: Server, picture: Path
) -> None:
    page = open_page(unsure)
    page.set_input_files("#file", picture)
    notice = page.locator("#uncertain")
    expect(notice).to_have_text("The model is not sure of this. Have a person look.")
    expect(page.locator("#status")).to_contain_text("not sure")
    screenshot(page, "uncertain")
    assert_accessible(page)
    page.locator("#language").click()
    expect(notice).to_have_text("模型对此没有把握，请人工确认。")


def test_among_many_the_uncertain_ones_are_marked(
    open_page: Open, unsure: Server, tmp_path: Path
) -> None:
    page = open_page(unsure)
    for number in range(2):
        (tmp_path / f"{number}.jpg").write_bytes(encode(texture(300, 200, number), "JPEG"))
    page.set_input_files("#file", [tmp_path / "0.jpg", tmp_path / "1.jpg"])
    expect(page.locator("#rows .badge")).to_have_text(["uncertain"] * 2)
    page.locator("#language").click()
    expect(page.locator("#rows .badge")).to_have_text(["不确定"] * 2)
    with page.expect_download() as download:
        page.locator("#csv").click()
    text = Path(download.value.path()).read_text(encoding="utf-8-sig")
    assert text.splitlines()[0].endswith('"cached","uncertain","error"')
    assert text.splitlines()[1].endswith('"true",""')


def test_a_model_without_a_threshold_is_never_called_unsure(page: Page, picture: Path) -> None:
    page.set_input_files("#file", picture)
    expect(page.locator("#predictions .row")).to_have_count(3)
    expect(page.locator("#uncertain")).to_be_hidden()
    page.locator("#model summary").click()
    expect(page.locator("#facts")).not_to_contain_text("Uncertain below")
    expect(page.locator("#report")).to_be_hidden()


def test_the_report_is_one_click_away_and_runs_nothing(browser: Browser, unsure: Server) -> None:
    # The browser complains of the script, as it should.
    context = browser.new_context()
    page = context.new_page()
    page.goto(unsure.url)
    page.locator("#model summary").click()
    expect(page.locator("#facts")).to_contain_text("50.0 %")
    with context.expect_page() as opened:
        page.locator("#report").click()
    expect(opened.value.locator("#it")).to_have_text("as good as it is")
    expect(opened.value.locator("#it")).to_have_css("font-weight", "700")
    context.close()


def test_the_report_is_fetched_with_the_key(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "a-key-of-some-length"
    monkeypatch.setenv("MILLISIGHT_API_KEYS", key)
    build(tmp_path, "steel", "steel", report=REPORT)
    with (
        running(tmp_path, "--model", "steel") as server,
        opening(browser) as open_page,
    ):
        page = open_page(server, wait=False)
        page.locator("#model summary").click()
        page.locator("#key").fill(key)
        expect(page.locator("#report")).to_be_hidden()  # Nobody has said yet whether there is one.
        page.locator("#again").click()
        with page.expect_download() as download:
            page.locator("#report").click()
        assert download.value.suggested_filename == "report.html"
        assert Path(download.value.path()).read_text() == REPORT
        server.stop()
        page.locator("#report").click()
        expect(page.get_by_role("alert")).to_contain_text("does not answer")
