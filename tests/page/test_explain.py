"""Why this label: the map over the picture."""

import json
import shutil
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from playwright.sync_api import Page, expect

from millisight.bundle import MANIFEST, read_bundle, starter_path, store, write_manifest
from millisight.manifest import Manifest
from tests.page.conftest import Open, running, screenshot

ROWS = "#predictions .row"
EXAMPLES = starter_path().parent / "server" / "static" / "examples"

# Alpha of the overlay at the middle of each cell of the map.
ALPHAS = """([left, top, right, bottom]) => {
  const drawn = document.getElementById("heat");
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [drawn.width, drawn.height];
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(drawn, 0, 0);
  const alpha = (row, column) => context.getImageData(
    Math.floor((left + (right - left) * (column + 0.5) / 7) * canvas.width),
    Math.floor((top + (bottom - top) * (row + 0.5) / 7) * canvas.height), 1, 1).data[3];
  const seven = [0, 1, 2, 3, 4, 5, 6];
  return seven.map((row) => seven.map((column) => alpha(row, column)));
}"""


def shown(page: Page, answer: dict[str, Any]) -> np.ndarray:
    return np.array(page.evaluate(ALPHAS, answer["box"]), float)


def test_the_map_lies_over_the_picture_where_the_api_says(page: Page, client: httpx.Client) -> None:
    cat = (EXAMPLES / "cat.avif").read_bytes()
    answer = client.post("/explain?top_k=2", content=cat).json()
    page.get_by_role("button", name="Example: a cat").click()
    expect(page.locator(ROWS)).to_have_count(3)
    expect(page.locator("#why-hint")).to_contain_text("Choose a label")
    expect(page.locator("#heat")).to_be_hidden()
    for row, one in zip(page.locator(ROWS).all(), answer["maps"], strict=False):
        row.click()
        expect(row).to_have_attribute("aria-pressed", "true")
        expect(page.locator("#why-hint")).to_contain_text(one["label"])
        expect(page.locator("#heat")).to_be_visible()
        cells = np.array(one["map"])
        page.wait_for_function(
            f"([box, row, column]) => ({ALPHAS})(box)[row][column] > 250",
            arg=[answer["box"], *map(int, np.unravel_index(cells.argmax(), (7, 7)))],
        )
        expected = 255 * (cells - cells.min()) / np.ptp(cells)
        assert np.abs(shown(page, answer) - expected).max() < 12
    assert page.locator('[aria-pressed="true"]').count() == 1
    screenshot(page, "why")
    page.locator(ROWS).nth(1).click()
    expect(page.locator("#heat")).to_be_hidden()
    expect(page.locator("#seen")).to_be_hidden()


def test_the_frame_and_the_map_cover_what_the_network_saw(page: Page) -> None:
    page.get_by_role("button", name="Example: a cup of coffee").click()
    page.locator(ROWS).first.click()
    expect(page.locator("#seen")).to_be_visible()
    picture, heat, seen = (
        page.locator(f"#{name}").bounding_box() for name in ("picture", "heat", "seen")
    )
    assert picture is not None
    assert heat is not None
    assert seen is not None
    for side in ("x", "y", "width", "height"):
        assert abs(picture[side] - heat[side]) < 1
    # The middle 224 of 256 pixels of the shorter side, as a square.
    assert abs(seen["height"] / picture["height"] - 224 / 256) < 0.01
    assert abs(seen["width"] - seen["height"]) < 2


def test_the_strength_can_be_changed(page: Page) -> None:
    page.get_by_role("button", name="Example: a cat").click()
    page.locator(ROWS).first.click()
    page.locator("#strength").fill("20")
    expect(page.locator("#heat")).to_have_css("opacity", "0.2")
    page.get_by_role("button", name="Example: a coat").click()
    expect(page.locator("#heat")).to_be_hidden()


def test_one_request_is_enough_for_all_labels(page: Page) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.get_by_role("button", name="Example: a cat").click()
    expect(page.locator(ROWS)).to_have_count(3)
    assert not [url for url in asked if "/explain" in url]
    for number in (0, 1, 2, 0):
        page.locator(ROWS).nth(number).click()
        expect(page.locator(ROWS).nth(number)).to_have_attribute("aria-pressed", "true")
    assert len([url for url in asked if "/explain" in url]) == 1


def test_a_model_without_maps_offers_none(open_page: Open, tmp_path: Path) -> None:
    home = tmp_path / "home"
    folder = store(home) / "plain"
    shutil.copytree(starter_path(), folder)
    content = json.loads((folder / MANIFEST).read_text())
    del content["digest"]
    write_manifest(folder, Manifest.model_validate(content | {"activation_map": None}))
    assert read_bundle(folder).manifest.activation_map is None
    with running(home, "--model", "plain") as server:
        page = open_page(server)
        page.get_by_role("button", name="Example: a cat").click()
        expect(page.locator(ROWS).first).to_contain_text("cat")
        expect(page.locator("#why")).to_be_hidden()
        assert page.locator("button.row").count() == 0
        page.locator(ROWS).first.click()
        expect(page.locator("#heat")).to_be_hidden()
