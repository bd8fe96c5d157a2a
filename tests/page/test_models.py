"""The choice of the model, where several are served."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import Server
from tests.models import build
from tests.page.conftest import Open, assert_accessible, running, screenshot


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("home")
    build(home, "steel", "steel")
    with running(home, "--model", "starter", "--model", "steel") as one:
        yield one


def test_one_model_is_no_choice(page: Page) -> None:
    expect(page.locator("#choice")).to_be_hidden()


def test_the_model_that_is_chosen_answers_also_what_is_shown(
    open_page: Open, several: Server, picture: Path
) -> None:
    page = open_page(several)
    best = page.locator("#predictions li").first
    expect(page.locator("#served option")).to_have_text(["starter", "steel"])
    page.locator("#file").set_input_files(picture)
    expect(page.locator("#predictions li")).to_have_count(3)
    expect(best).not_to_contain_text("steel ")
    plain = page.locator("#history button img")
    page.locator("#served").select_option("steel")
    expect(best).to_contain_text("steel ")
    expect(page.locator("#answerer")).to_have_text("steel")
    expect(page.locator("#facts")).to_contain_text("steel (efficientnet_lite0)")
    page.locator("#code summary").click()
    expect(page.locator("#code pre").first).to_contain_text("/predict?top_k=3&model=steel")
    assert_accessible(page)
    screenshot(page, "models")
    # What another model answered keeps that model's words, and its maps.
    expect(plain).to_have_count(2)
    page.locator("#history button").nth(1).click()
    expect(best).not_to_contain_text("steel ")
    with page.expect_request("**/explain?*") as asked:
        best.locator("button").click()
    assert asked.value.url.endswith("&model=starter")
    expect(page.locator("#heat")).to_be_visible()
    page.locator("#language").click()
    expect(page.locator("#choice span")).to_have_text("使用模型")
    expect(page.locator("#served")).to_have_value("steel")
