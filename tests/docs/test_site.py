"""The site of docs/: nothing broken, nothing from elsewhere, and a search that finds."""

from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import pytest
from playwright.sync_api import expect

import millisight
from tests.docs.conftest import ROOT, Site, build, copied
from tests.page.conftest import ARTIFACTS, Open, screenshot


class Links(HTMLParser):
    """What a page links to or shows, and the anchors in it."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.targets: set[str] = set()
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, _tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note those of one element."""
        self.anchors |= {value for name, value in attrs if name in {"id", "name"} and value}
        self.targets |= {value for name, value in attrs if name in {"href", "src"} and value}


def test_a_link_or_an_anchor_that_leads_nowhere_ends_the_build(tmp_path: Path) -> None:
    tree = copied(tmp_path)
    with (tree / "docs" / "index.md").open("a", encoding="utf-8") as page:
        page.write("\n[one](guides/gone.md), [two](guides/serve.md#gone)\n")
    done = build(tree)
    said = done.stdout + done.stderr
    assert done.returncode == 1, said
    assert "guides/gone.md" in said
    assert "guides/serve.md#gone" in said


def test_every_link_anchor_and_picture_of_the_built_pages_is_there(site: Site) -> None:
    root = "site:///"
    pages = {
        urljoin(root, str(path.relative_to(site.folder))): Links(path)
        for path in site.folder.rglob("*.html")
    }
    assert len(pages) > len(list((ROOT / "docs").rglob("*.md")))
    missing = []
    for page, links in pages.items():
        for target in links.targets:
            url = urlsplit(urljoin(page, target))
            if url.scheme != "site":
                continue
            file = site.folder / unquote(url.path).lstrip("/")
            file = file / "index.html" if file.is_dir() else file
            found = pages.get(urljoin(root, str(file.relative_to(site.folder))))
            if not file.exists() or (url.fragment and found and url.fragment not in found.anchors):
                missing.append((page, target))
    assert missing == []


def test_every_page_can_be_reached_from_the_first(site: Site) -> None:
    named = Links(site.folder / "index.html").targets
    written = {
        path.relative_to(ROOT / "docs").with_suffix("").as_posix() + "/"
        for path in (ROOT / "docs").rglob("*.md")
    } - {"index/"}
    assert written - named == set()


def test_only_what_is_meant_to_be_read_is_in_it(site: Site) -> None:
    assert list(site.folder.rglob("*.py")) == []


def test_the_public_names_are_all_in_the_reference(site: Site) -> None:
    anchors = Links(site.folder / "reference" / "python" / "index.html").anchors
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
    expect(page).to_have_title("millisight")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    screenshot(page, f"docs-{size}")
    page.locator(".md-search__button:visible, label[for=__search]:visible").click()
    page.get_by_role("combobox", name="Search").fill("Retry-After")
    found = page.get_by_role("option", name="Too much at once")
    expect(found).to_be_visible()
    page.screenshot(path=ARTIFACTS / f"docs-{size}-search.png")
    found.click()
    expect(page.get_by_role("heading", name="Too much at once")).to_be_in_viewport()
    expect(page).to_have_title("Serve - millisight")
