"""What comes late, or in another order than it was asked for, and what is asked meanwhile."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from tests.e2e.conftest import Server
from tests.page.conftest import Open
from tests.support import encode, texture

ROWS = "#predictions .row"


class Gate:
    """Holds requests back until they are let through."""

    def __init__(self, page: Page, pattern: str) -> None:
        self.held: list[Route] = []
        self.open = False
        page.route(pattern, self._meet)

    def _meet(self, route: Route) -> None:
        if self.open:
            route.continue_()
        else:
            self.held.append(route)

    def let_through(self) -> None:
        self.open = True
        for route in self.held:
            route.continue_()


def wait_for(page: Page, condition: Callable[[], bool]) -> None:
    for _ in range(100):
        if condition():
            return
        page.wait_for_timeout(50)
    pytest.fail("it did not happen")


def test_the_answer_to_the_first_comes_though_the_second_fails(page: Page, tmp_path: Path) -> None:
    gate = Gate(page, "**/predict*")
    (tmp_path / "slow.png").write_bytes(encode(texture(90, 70, 31), "PNG"))
    page.set_input_files("#file", tmp_path / "slow.png")
    wait_for(page, lambda: len(gate.held) == 1)
    (tmp_path / "large.jpg").write_bytes(bytes(10_000_001))
    page.set_input_files("#file", tmp_path / "large.jpg")
    expect(page.get_by_role("alert")).to_contain_text("large.jpg: ")
    expect(page.locator("#name")).to_have_text("slow.png")
    gate.let_through()
    expect(page.locator(ROWS)).to_have_count(3)
    expect(page.locator("#name")).to_have_text("slow.png")
    # What is wrong with the other is still so.
    expect(page.get_by_role("alert")).to_contain_text("large.jpg: ")


def test_labels_of_the_last_picture_do_nothing_while_the_next_is_waited_for(page: Page) -> None:
    page.get_by_role("button", name="Example: a cat").click()
    expect(page.locator(ROWS).first).to_contain_text("cat")
    gate = Gate(page, "**/predict*")
    page.get_by_role("button", name="Example: a coat").click()
    wait_for(page, lambda: len(gate.held) == 1)
    expect(page.locator("#words")).to_have_attribute("inert", "")
    page.locator(ROWS).first.dispatch_event("click")
    gate.let_through()
    expect(page.locator(ROWS).first).to_contain_text("trench coat")
    expect(page.locator("#heat")).to_be_hidden()
    expect(page.locator('[aria-pressed="true"]')).to_have_count(0)


def test_the_map_of_one_picture_never_lies_over_another(page: Page) -> None:
    page.get_by_role("button", name="Example: a cat").click()
    page.locator(ROWS).first.click()
    expect(page.locator("#heat")).to_be_visible()
    page.get_by_role("button", name="Example: a cup of coffee").click()
    expect(page.locator(ROWS).first).to_contain_text("espresso")
    expect(page.locator("#heat")).to_be_hidden()
    gate = Gate(page, "**/explain*")
    page.locator(ROWS).first.click()
    expect(page.locator("#why-hint")).to_have_text("Looking …")
    page.locator("#k").fill("5")
    expect(page.locator(ROWS)).to_have_count(5)
    expect(page.locator("#heat")).to_be_hidden()
    gate.let_through()
    expect(page.locator("#heat")).to_be_visible()
    expect(page.locator("#why-hint")).to_contain_text("espresso")


def test_a_map_that_comes_late_is_not_drawn_over_the_next_picture(page: Page) -> None:
    gate = Gate(page, "**/explain*")
    page.get_by_role("button", name="Example: a cat").click()
    page.locator(ROWS).first.click()
    wait_for(page, lambda: len(gate.held) == 1)
    page.get_by_role("button", name="Example: a coat").click()
    expect(page.locator(ROWS).first).to_contain_text("trench coat")
    with page.expect_response("**/explain*"):
        gate.let_through()
    page.wait_for_timeout(200)
    expect(page.locator("#heat")).to_be_hidden()


def test_a_map_that_cannot_be_had_is_said_and_can_be_asked_for_again(page: Page) -> None:
    page.get_by_role("button", name="Example: a cat").click()
    page.route("**/explain*", lambda route: route.abort())
    page.locator(ROWS).first.click()
    expect(page.locator("#why-hint")).to_contain_text("does not answer")
    expect(page.locator("#status")).to_contain_text("does not answer")
    expect(page.locator('[aria-pressed="true"]')).to_have_count(0)
    page.unroute("**/explain*")
    page.locator(ROWS).first.click()
    expect(page.locator("#heat")).to_be_visible()


def test_files_under_way_are_stopped_by_new_ones(page: Page, tmp_path: Path) -> None:
    paths = []
    for number in range(40):
        paths.append(tmp_path / f"{number}.png")
        paths[-1].write_bytes(encode(texture(60, 40, number), "PNG"))
    asked: list[str] = []
    gate = Gate(page, "**/predict*")
    page.on("request", lambda request: asked.append(request.url))
    page.set_input_files("#file", paths)
    wait_for(page, lambda: len(gate.held) == 4)
    gate.open = True
    page.set_input_files("#file", paths[:2])
    expect(page.locator("#count")).to_have_text("2 of 2")
    page.wait_for_timeout(300)
    assert len([url for url in asked if "/predict" in url]) == 6


def test_a_model_that_was_not_there_at_first_is_asked_for_again(
    open_page: Open, server: Server, picture: Path
) -> None:
    page = open_page(server)
    page.route("**/model", lambda route: route.abort())
    page.reload()
    expect(page.get_by_role("alert")).to_contain_text("does not answer")
    page.locator("#model summary").click()
    page.locator("#search").fill("cat")
    page.unroute("**/model")
    page.set_input_files("#file", picture)
    expect(page.locator(ROWS)).to_have_count(3)
    expect(page.get_by_role("alert")).to_be_hidden()
    expect(page.locator("#facts dt").first).to_be_visible()
    expect(page.locator("button.row")).to_have_count(3)


def test_what_other_programs_left_in_the_browser_does_no_harm(
    open_page: Open, server: Server
) -> None:
    page = open_page(server)
    page.evaluate(
        """for (const key of ["language", "theme", "millisight.language", "millisight.theme"])
        localStorage.setItem(key, "constructor")"""
    )
    page.reload()
    expect(page.get_by_role("button", name="Choose pictures")).to_be_visible()
    expect(page.get_by_role("button", name="Theme: auto")).to_be_visible()


def test_the_focus_stays_where_the_hand_is(page: Page, tmp_path: Path) -> None:
    for name in ("a cat", "a coat"):
        page.get_by_role("button", name=f"Example: {name}").click()
        expect(page.locator("#name")).to_have_text(f"{name.split()[-1]}.avif")
        expect(page.locator("#answer")).not_to_have_class("waiting")
    page.locator("#history button").last.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#name")).to_have_text("cat.avif")
    expect(page.locator("#history button").last).to_be_focused()
    expect(page.locator("#status")).to_contain_text("cat")
    gate = Gate(page, "**/predict*")
    paths = []
    for number in range(8):
        paths.append(tmp_path / f"{number}.png")
        paths[-1].write_bytes(encode(texture(60, 40, number), "PNG"))
    page.set_input_files("#file", paths)
    wait_for(page, lambda: len(gate.held) == 4)
    expect(page.locator("#stop")).to_be_enabled()
    page.locator("#stop").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#stop")).to_be_disabled()
    expect(page.locator("#scroller")).to_be_focused()
    expect(page.locator("#status")).to_have_text("8 of 8")


def test_a_name_that_looks_like_a_formula_is_none_in_the_csv(page: Page, tmp_path: Path) -> None:
    names = ["=1+1.png", "@SUM(1).png", "-2.png"]
    for number, name in enumerate(names):
        (tmp_path / name).write_bytes(encode(texture(40, 30, number), "PNG"))
    page.set_input_files("#file", [tmp_path / name for name in names])
    expect(page.locator("#count")).to_have_text("3 of 3")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download CSV").click()
    text = Path(download.value.path()).read_text(encoding="utf-8-sig")
    assert [line.split(",")[0] for line in text.splitlines()[1:]] == [
        f'"\'{name}"' for name in names
    ]
