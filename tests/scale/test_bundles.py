"""Bundles from elsewhere arrive whole, once a node, and are what was asked for."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path

import pytest

from millisight.bundle import MANIFEST, TENSORS, read_bundle, starter_path, store
from millisight.errors import BundleError, ExtraMissing, ModelNotFound, SettingsError
from tests import models

for needed in ("fsspec", "filelock", "aiohttp"):
    pytest.importorskip(needed, reason="the extra ray is not installed")

import fsspec  # noqa: E402

from millisight.scale.bundles import open_pinned, pin  # noqa: E402


class Counting(SimpleHTTPRequestHandler):
    """Serves a folder and keeps what was asked for."""

    asked: list[str] = []  # noqa: RUF012

    def do_GET(self) -> None:
        self.asked.append(self.path)
        super().do_GET()

    def log_message(self, *_: object) -> None:
        """Not in the tests' output."""


@pytest.fixture
def there(tmp_path: Path) -> Path:
    """The folder of a store that a web server has; there is one bundle in it."""
    models.build(tmp_path / "there", "steel", "steel")
    return store(tmp_path / "there")


@pytest.fixture
def url(there: Path) -> Iterator[str]:
    Counting.asked.clear()
    handler = partial(Counting, directory=str(there))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/steel"
        server.shutdown()


def test_a_bundle_is_fetched_over_http_once(url: str, there: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    pinned = pin([url], home)
    assert Counting.asked == [f"/steel/{MANIFEST}"]
    [(name, bundle)] = open_pinned(pinned, home).items()
    assert name == "steel"
    assert bundle.manifest == read_bundle(there / "steel").manifest
    assert bundle.path.is_relative_to(home)
    before = len(Counting.asked)
    assert open_pinned(pinned, home) == {name: bundle}
    assert len(Counting.asked) == before


def test_a_copy_that_is_damaged_is_fetched_again(url: str, tmp_path: Path) -> None:
    home = tmp_path / "home"
    pinned = pin([url], home)
    [bundle] = open_pinned(pinned, home).values()
    with (bundle.path / TENSORS).open("r+b") as file:
        file.write(b"\0\1\2\3")
    assert open_pinned(pinned, home) == {"steel": bundle}


def test_processes_that_want_it_at_once_fetch_it_once(url: str, tmp_path: Path) -> None:
    home = tmp_path / "home"
    pinned = pin([url], home)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: open_pinned(pinned, home), range(4)))
    assert found == found[:1] * 4
    assert Counting.asked.count("/steel/model.bin") == 1


def test_another_bundle_than_the_pinned_one_is_refused(
    url: str, there: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    pinned = pin([url], home)
    models.build(there.parent, "steel", "other")
    with pytest.raises(BundleError, match="not the one that was asked for"):
        open_pinned(pinned, home)
    assert list(home.rglob("model.bin")) == []


def test_a_damaged_bundle_leaves_nothing(url: str, there: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    pinned = pin([url], home)
    models.damage(there.parent, "steel")
    with pytest.raises(BundleError, match="is damaged"):
        open_pinned(pinned, home)
    assert list(home.rglob("model.bin")) == []


def test_what_is_not_there_is_said(url: str, tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match=f"no {MANIFEST}"):
        pin([f"{url}er"], tmp_path)


def test_a_server_that_does_not_answer_is_said(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="cannot be fetched"):
        pin(["http://127.0.0.1:9/steel"], tmp_path)


@pytest.mark.skipif(bool(find_spec("s3fs")), reason="s3fs is installed")
def test_a_package_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ExtraMissing, match="s3fs"):
        pin(["s3://models/steel"], tmp_path)


def test_file_and_memory_are_addresses_too(there: Path, tmp_path: Path) -> None:
    memory = fsspec.filesystem("memory")
    memory.put(str(there / "steel"), "/models/steel", recursive=True)
    for address in (f"file://{there}/steel", "memory://models/steel"):
        found = open_pinned(pin([address], tmp_path / "home"), tmp_path / "home")
        assert found["steel"].manifest == read_bundle(there / "steel").manifest


def test_local_bundles_are_pinned_where_they_are(there: Path, tmp_path: Path) -> None:
    pinned = pin(["starter", str(there / "steel")], tmp_path)
    found = open_pinned(pinned, tmp_path)
    assert [bundle.path for bundle in found.values()] == [starter_path(), there / "steel"]
    models.build(there.parent, "steel", "other")
    with pytest.raises(BundleError, match="not the one that was asked for"):
        open_pinned(pinned, tmp_path)


def test_a_home_that_cannot_be_written_is_said(url: str, tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file")
    with pytest.raises(SettingsError, match="cannot be kept"):
        open_pinned(pin([url], tmp_path / "home"), tmp_path / "home")
