"""Many files: the table, its order, its CSV, and stopping."""

import csv
from io import StringIO
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.page.conftest import screenshot
from tests.support import encode, texture


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    """Pictures 1 to 12 and one file that is none."""
    paths = []
    for number in range(1, 13):
        paths.append(tmp_path / f"picture {number}.png")
        paths[-1].write_bytes(encode(texture(120, 90, number), "PNG"))
    paths.insert(4, tmp_path / 'not "a" picture,.txt')
    paths[4].write_text("nothing to see")
    return paths


def column(page: Page, number: int) -> list[str]:
    return page.locator(f"#rows td:nth-child({number})").all_inner_texts()


def test_each_file_has_its_row_and_its_answer(
    page: Page, pictures: list[Path], client: httpx.Client
) -> None:
    page.set_input_files("#file", pictures)
    expect(page.locator("#count")).to_have_text("13 of 13, 1 failed")
    assert column(page, 1) == [path.name for path in pictures]
    expect(page.locator("#rows tr").nth(4)).to_contain_text("not a picture")
    answer = client.post("/predict", content=pictures[0].read_bytes()).json()["predictions"][0]
    expect(page.locator("#rows tr").first).to_contain_text(answer["label"])
    expect(page.locator("#rows tr").first).to_contain_text(f"{100 * answer['confidence']:.1f} %")
    expect(page.locator("#progress")).to_have_js_property("value", 13)
    expect(page.locator("#stop")).to_be_disabled()
    screenshot(page, "many")


def test_a_row_shows_its_picture(page: Page, pictures: list[Path]) -> None:
    page.set_input_files("#file", pictures)
    expect(page.locator("#count")).to_contain_text("13 of 13")
    page.get_by_role("button", name="picture 7.png").click()
    expect(page.locator("#name")).to_have_text("picture 7.png")
    expect(page.locator("#predictions .row")).to_have_count(3)
    page.get_by_role("button", name="picture 8.png").click()
    page.get_by_role("button", name="picture 7.png", exact=True).last.click()
    expect(page.locator("#history button")).to_have_count(2)


def test_the_table_is_sorted_by_any_column(page: Page, pictures: list[Path]) -> None:
    page.set_input_files("#file", pictures[::-1])
    expect(page.locator("#count")).to_contain_text("13 of 13")
    head = page.locator("#columns")
    head.get_by_role("button", name="File").click()
    names = [f"picture {number}.png" for number in range(1, 13)]
    assert column(page, 1) == ['not "a" picture,.txt', *names]
    expect(head.locator("th").first).to_have_attribute("aria-sort", "ascending")
    expect(head.get_by_role("button", name="File")).to_be_focused()
    head.get_by_role("button", name="File").click()
    assert column(page, 1) == [*names[::-1], 'not "a" picture,.txt']
    for name, number in (("Confidence", 3), ("ms", 4)):
        head.get_by_role("button", name=name).click()
        values = [float(text.removesuffix(" %")) for text in column(page, number) if text]
        assert values == sorted(values)
        assert column(page, 1)[-1].startswith("not")
    head.get_by_role("button", name="Label").click()
    labels = [text for text in column(page, 2) if "not a picture" not in text]
    assert labels == sorted(labels, key=str.lower)


def test_the_csv_holds_what_the_api_says(
    page: Page, pictures: list[Path], client: httpx.Client
) -> None:
    page.set_input_files("#file", pictures)
    expect(page.locator("#count")).to_contain_text("13 of 13")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download CSV").click()
    assert download.value.suggested_filename == "millisight.csv"
    text = Path(download.value.path()).read_bytes().decode("utf-8-sig")
    rows = list(csv.DictReader(StringIO(text)))
    assert [row["file"] for row in rows] == [path.name for path in pictures]
    for path, row in zip(pictures, rows, strict=True):
        if path.suffix == ".txt":
            assert row["label_1"] == ""
            assert "not a picture" in row["error"]
            continue
        answer = client.post("/predict", content=path.read_bytes()).json()["predictions"]
        assert [row[f"label_{rank}"] for rank in (1, 2, 3)] == [one["label"] for one in answer]
        assert float(row["confidence_1"]) == pytest.approx(answer[0]["confidence"])
        assert float(row["ms"]) > 0
        assert row["error"] == ""


@pytest.mark.long
def test_five_hundred_go_through_a_few_at_a_time_and_can_be_stopped(
    page: Page, tmp_path: Path
) -> None:
    paths = []
    for number in range(500):
        paths.append(tmp_path / f"{number:03}.jpg")
        paths[-1].write_bytes(
            encode(texture(320, 240, number % 50), "JPEG", quality=70 + number // 50)
        )
    flying = 0
    most = 0

    def begun(_: object) -> None:
        nonlocal flying, most
        flying += 1
        most = max(most, flying)

    def ended(_: object) -> None:
        nonlocal flying
        flying -= 1

    page.on("request", begun)
    page.on("requestfinished", ended)
    page.on("requestfailed", ended)
    page.set_input_files("#file", paths)
    expect(page.locator("#count")).to_have_text("500 of 500", timeout=60_000)
    assert 2 <= most <= 4
    assert len(set(column(page, 1))) == 500
    assert "…" not in column(page, 2)
    page.set_input_files("#file", paths)
    expect(page.locator("#count")).to_contain_text("of 500")
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("#stop")).to_be_disabled()
    expect(page.locator("#rows tr").last).to_contain_text("stopped")
    expect(page.locator("#count")).to_have_text("500 of 500")
    # A single picture is answered as before.
    page.set_input_files("#file", paths[0])
    expect(page.locator("#name")).to_have_text("000.jpg")


def test_new_files_take_the_place_of_those_under_way(page: Page, pictures: list[Path]) -> None:
    page.set_input_files("#file", pictures)
    page.set_input_files("#file", pictures[:2])
    expect(page.locator("#count")).to_have_text("2 of 2")
    assert column(page, 1) == ["picture 1.png", "picture 2.png"]
