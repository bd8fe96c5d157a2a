"""The site of docs/: nothing broken, nothing from elsewhere, and a search that finds."""

import re
import runpy
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import expect

import millisight
from tests.docs.conftest import ROOT, Site, build
from tests.page.conftest import ARTIFACTS, Open, screenshot

LINKS = runpy.run_path(str(ROOT / "docs" / "links.py"))


def test_a_link_or_an_anchor_that_leads_nowhere_ends_the_build(tmp_path: Path) -> None:
    shutil.copy(ROOT / "zensical.toml", tmp_path)
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "index.md").write_text("# One\n\n[gone](gone.md), [two](two.md#gone)\n")
    (docs / "two.md").write_text("# Two\n")
    done = build(tmp_path)
    said = re.sub(r"\x1b\[[\d;]*m", "", done.stdout + done.stderr)
    assert done.returncode == 1, said
    assert "page does not exist" in said
    assert "anchor does not exist" in said
    assert "2 issues found" in said


def test_what_leads_nowhere_in_built_pages_is_found(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "index.html").write_text(
        '<a href="below/#here"></a> <a href="below/#gone"></a> <a href="https://example.org"></a>'
    )
    (tmp_path / "below" / "index.html").write_text(
        '<h1 id="here"></h1> <a href="../#"></a> <a href="../../src/it.py"></a> <img src="a.png">'
    )
    assert LINKS["broken"](tmp_path) == [
        "below/index.html: ../../src/it.py",
        "below/index.html: a.png",
        "index.html: below/#gone",
    ]


def test_every_link_anchor_and_picture_of_the_built_pages_is_there(site: Site) -> None:
    assert LINKS["broken"](site.folder) == []


def test_every_page_can_be_reached_from_the_first(site: Site) -> None:
    links = LINKS["Page"](site.folder / "index.html").targets
    written = {
        path.relative_to(ROOT / "docs").with_suffix("").as_posix() + "/"
        for path in (ROOT / "docs").rglob("*.md")
    }
    assert written - {"index/"} <= {link.removeprefix("./") for link in links}


def test_only_what_is_meant_to_be_read_is_in_it(site: Site) -> None:
    assert list(site.folder.rglob("*.py")) == []


def test_the_public_names_are_all_in_the_reference(site: Site) -> None:
    anchors = LINKS["Page"](site.folder / "reference" / "python" / "index.html").anchors
    public = {name for name in millisight.__all__ if not name.startswith("__")}
    methods = {name for name in vars(millisight.Classifier) if not name.startswith("_")}
    assert {f"millisight.{name}" for name in public} <= anchors
    assert {f"millisight.Classifier.{name}" for name in methods} <= anchors


SIZES = {"wide": (1280, 900, "light"), "phone": (390, 844, "dark")}


@pytest.mark.parametrize("size", SIZES)
def test_search_finds_the_page_and_leads_to_it(open_page: Open, site: Site, size: str) -> None:
    width, height, scheme = SIZES[size]
    viewport = {"width": width, "height": height}
    page = open_page(site, wait=False, viewport=viewport, color_scheme=scheme)
    expect(page).to_have_title("Start - millisight")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    screenshot(page, f"docs-{size}")
    page.locator(".md-search__button:visible, label[for=__search]:visible").click()
    page.get_by_role("combobox", name="Search").fill("TorchServe")
    found = page.get_by_role("option", name="Come from TorchServe").first
    expect(found).to_be_visible(timeout=20_000)
    page.screenshot(path=ARTIFACTS / f"docs-{size}-search.png")
    found.click()
    expect(page).to_have_title("Come from TorchServe - millisight")
    expect(page.get_by_role("heading", name="Come from TorchServe")).to_be_in_viewport()
