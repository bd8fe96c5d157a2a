"""One picture in, by every way there is; its answer, and going back to earlier ones."""

import re
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, Route, expect

from tests.e2e.conftest import Server
from tests.page.conftest import Open, screenshot
from tests.support import encode, texture

ROWS = "#predictions .row"


def labels(page: Page) -> list[str]:
    return [text.split("\n")[0] for text in page.locator(ROWS).all_inner_texts()]


def test_a_chosen_picture_is_answered_as_the_api_does(
    page: Page, client: httpx.Client, picture: Path
) -> None:
    expect(page.locator("#limit")).to_contain_text("up to 10 MB")
    page.set_input_files("#file", picture)
    expect(page.locator(ROWS)).to_have_count(3)
    answer = client.post("/predict?top_k=20", content=picture.read_bytes()).json()
    assert answer["cached"]
    for row, one in zip(page.locator(ROWS).all(), answer["predictions"], strict=False):
        expect(row).to_contain_text(one["label"])
        expect(row).to_contain_text(f"{100 * one['confidence']:.1f} %")
    expect(page.locator("#answerer")).to_have_text("efficientnet_lite0")
    expect(page.locator("#name")).to_have_text("picture.jpg")
    expect(page.locator("#status")).to_contain_text(answer["predictions"][0]["label"])
    screenshot(page, "answer")


def test_the_name_of_a_file_is_text_whatever_is_in_it(page: Page, tmp_path: Path) -> None:
    name = "<img src=x onerror=\"document.title='owned'\"><b>&amp;.jpg"
    (tmp_path / name).write_bytes(encode(texture(300, 200), "JPEG"))
    title = page.title()
    page.set_input_files("#file", tmp_path / name)
    expect(page.locator(ROWS)).to_have_count(3)
    expect(page.locator("#name")).to_have_text(name)
    assert page.locator("#name *").count() == 0
    assert page.title() == title


def test_the_time_is_broken_down_and_adds_up(page: Page, picture: Path) -> None:
    page.set_input_files("#file", picture)
    expect(page.locator("#times dt")).to_have_text(
        ["decode", "queue", "network", "transfer and browser"]
    )
    expect(page.locator("#cached")).to_be_hidden()
    parts = [float(text) for text in page.locator("#times dd").all_inner_texts()]
    assert parts[0] > 0
    assert parts[2] > 0
    total = page.locator("#total").inner_text()
    assert sum(parts) == pytest.approx(float(total.split()[0]), abs=0.21)
    page.set_input_files("#file", picture)
    expect(page.locator("#cached")).to_be_visible()
    expect(page.locator("#times dd").nth(2)).to_have_text("0.0")


def test_as_many_classes_are_shown_as_wanted_without_asking_again(
    page: Page, picture: Path
) -> None:
    page.set_input_files("#file", picture)
    expect(page.locator(ROWS)).to_have_count(3)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.locator("#k").fill("7")
    expect(page.locator(ROWS)).to_have_count(7)
    page.locator("#k").fill("1")
    expect(page.locator(ROWS)).to_have_count(1)
    page.locator("#k").fill("")
    expect(page.locator(ROWS)).to_have_count(1)
    assert asked == []


def test_a_dropped_picture_is_answered_wherever_it_falls(page: Page, picture: Path) -> None:
    drop(page, picture)
    expect(page.locator(ROWS)).to_have_count(3)
    expect(page.locator("body")).not_to_have_class(re.compile("over"))


def drop(page: Page, *paths: Path) -> None:
    """Files from the desktop let go over the footer, as the system does it."""
    box = page.locator("footer").bounding_box()
    assert box is not None
    session = page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        event = {"type": kind, "x": box["x"] + 5, "y": box["y"] + 5, "data": data}
        session.send("Input.dispatchDragEvent", event)
        if kind == "dragOver":
            expect(page.locator("body")).to_have_class("over")


def test_a_dropped_folder_is_searched(page: Page, tmp_path: Path) -> None:
    folder = tmp_path / "holiday"
    (folder / "deeper").mkdir(parents=True)
    for number, place in enumerate((folder, folder / "deeper", folder / "deeper")):
        (place / f"{number}.png").write_bytes(encode(texture(80, 60, number), "PNG"))
    drop(page, folder)
    expect(page.locator("#count")).to_have_text("3 of 3")
    names = page.locator("#rows td:first-child").all_inner_texts()
    assert sorted(names) == ["holiday/0.png", "holiday/deeper/1.png", "holiday/deeper/2.png"]


def test_a_pasted_picture_is_answered(open_page: Open, server: Server) -> None:
    page = open_page(server, permissions=["clipboard-read", "clipboard-write"])
    page.evaluate(
        """async (bytes) => navigator.clipboard.write([new ClipboardItem(
        {"image/png": new Blob([new Uint8Array(bytes)], {type: "image/png"})})])""",
        list(encode(texture(200, 150), "PNG")),
    )
    page.keyboard.press("Control+V")
    expect(page.locator(ROWS)).to_have_count(3)
    page.evaluate("navigator.clipboard.writeText('words')")
    page.locator("summary").first.click()
    page.locator("#search").click()
    page.keyboard.press("Control+V")
    expect(page.locator("#search")).to_have_value("words")


@pytest.mark.parametrize(
    ("example", "label"),
    [
        ("a cat", "Egyptian cat"),
        ("a cup of coffee", "espresso"),
        ("a man with a camera", "tripod"),
        ("a coat", "trench coat"),
    ],
)
def test_the_examples_are_answered_sensibly(page: Page, example: str, label: str) -> None:
    page.get_by_role("button", name=f"Example: {example}").click()
    expect(page.locator(ROWS).first).to_contain_text(label)


def test_the_slower_of_two_quick_pictures_does_not_win(page: Page, tmp_path: Path) -> None:
    first: list[Route] = []

    def hold(route: Route) -> None:
        if first:
            route.continue_()
        else:
            first.append(route)

    page.route("**/predict*", hold)
    for name in ("slow", "quick"):
        (tmp_path / f"{name}.png").write_bytes(encode(texture(90, 70, len(name)), "PNG"))
        page.set_input_files("#file", tmp_path / f"{name}.png")
        page.wait_for_function(
            "name => document.getElementById('name').textContent === name", arg=f"{name}.png"
        )
    expect(page.locator(ROWS)).to_have_count(3)
    before = labels(page)
    with page.expect_response("**/predict*"):
        first[0].continue_()
    expect(page.locator("#history button")).to_have_count(2)
    expect(page.locator("#name")).to_have_text("quick.png")
    assert labels(page) == before


def test_earlier_answers_can_be_gone_back_to(page: Page) -> None:
    expect(page.locator("#history")).to_be_hidden()
    for name in ("a cat", "a cup of coffee", "a coat"):
        page.get_by_role("button", name=f"Example: {name}").click()
        expect(page.locator("#name")).to_have_text(f"{name.split()[-1]}.avif")
        expect(page.locator("#answer")).not_to_have_class("waiting")
    strip = page.locator("#history button")
    expect(strip).to_have_count(3)
    strip.filter(has=page.get_by_alt_text("Egyptian cat")).click()
    expect(page.locator(ROWS).first).to_contain_text("Egyptian cat")
    expect(page.locator("#picture")).to_have_attribute("alt", "The picture cat.avif")
    expect(page.locator('#history [aria-current="true"] img')).to_have_attribute(
        "alt", re.compile("Egyptian cat")
    )


def test_no_more_than_twenty_are_kept(page: Page, tmp_path: Path) -> None:
    for number in range(22):
        path = tmp_path / f"{number}.png"
        path.write_bytes(encode(texture(30, 20, number), "PNG"))
        page.set_input_files("#file", path)
        expect(page.locator("#name")).to_have_text(path.name)
        expect(page.locator("#answer")).not_to_have_class("waiting")
    expect(page.locator("#history button")).to_have_count(20)
    page.locator("#history button").last.click()
    expect(page.locator("#name")).to_have_text("2.png")


def test_what_was_done_to_a_picture_is_said_in_words(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "moving.gif"
    frames = [texture(60, 50, number) for number in range(3)]
    path.write_bytes(encode(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    page.set_input_files("#file", path)
    expect(page.locator("#warnings li")).to_have_text("only the first of 3 frames")
    page.get_by_role("button", name="中文").click()
    expect(page.locator("#warnings li")).to_have_text("只识别了 3 帧中的第一帧")


def test_a_picture_the_browser_cannot_show_is_answered_all_the_same(
    page: Page, tmp_path: Path
) -> None:
    path = tmp_path / "scan.tiff"
    path.write_bytes(encode(texture(200, 150), "TIFF"))
    page.set_input_files("#file", path)
    expect(page.locator(ROWS)).to_have_count(3)
    expect(page.locator("#picture")).to_have_attribute(
        "alt", "Your browser cannot show this format."
    )
    expect(page.locator("#why")).to_be_hidden()
    page.get_by_role("button", name="Example: a cat").click()
    expect(page.locator("#why")).to_be_visible()
