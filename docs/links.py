"""Every link, anchor and picture of the built site, looked up: ``python docs/links.py site``.

Zensical looks up links from page to page; not pictures, nor files that are no pages.
"""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

# What files of the site are called while links are followed; nobody is asked for it.
HOST = "http://site.invalid/"


class Page(HTMLParser):
    """What a page links to or shows, and the anchors in it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.targets: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, _tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note those of one element."""
        self.anchors |= {value for name, value in attrs if name in {"id", "name"} and value}
        self.targets |= {value for name, value in attrs if name in {"href", "src"} and value}


def broken(site: Path) -> list[str]:
    """What leads nowhere in ``site``, each with the page that it is on."""
    pages = {path: Page(path) for path in sorted(site.rglob("*.html"))}
    found = []
    for path, page in pages.items():
        here = urljoin(HOST, path.relative_to(site).as_posix())
        for target in sorted(page.targets):
            url = urljoin(here, target)
            if not url.startswith(HOST):
                continue
            file = site / unquote(urlsplit(url).path).lstrip("/")
            file = file / "index.html" if file.is_dir() else file
            anchor = urlsplit(url).fragment
            if not file.is_file() or (anchor and anchor not in pages[file].anchors):
                found.append(f"{path.relative_to(site)}: {target}")
    return found


if __name__ == "__main__":
    leading_nowhere = broken(Path(sys.argv[1]))
    print(*leading_nowhere, sep="\n")
    sys.exit(1 if leading_nowhere else 0)
