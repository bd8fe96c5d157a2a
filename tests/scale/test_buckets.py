"""Bundles from buckets, pictures from buckets and rows into them, by the clients users have."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("s3fs", reason="the extra buckets is not installed")
pytest.importorskip("moto", reason="the extra buckets is not installed")

import fsspec
import pyarrow as pa
from pyarrow import parquet

import millisight
from millisight.bundle import STARTER, read_bundle, store
from millisight.columnar import result_columns
from millisight.errors import BundleError, DataError, ModelNotFound
from millisight.scale.bundles import open_pinned, pin
from millisight.scale.labelling import Labelling, Worker
from millisight.scale.listing import Listing
from millisight.seen import Seen
from tests import models
from tests.scale.buckets import gcs, put, s3
from tests.scale.cluster import LOCAL, Cluster, cluster
from tests.support import encode, texture

# gcsfs sends what it uploads in one piece, which aiohttp would have in several.
pytestmark = pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")

SCHEMES = ("s3", "gs")
NAMES = ("a.jpg", "sub/b c.jpg", "sub/ä#1.jpg", "z.JPG")


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Both kinds, with their variables in the environment."""
    folder = tmp_path_factory.mktemp("stores")
    with (
        s3(folder / "s3.log") as of_s3,
        gcs(folder / "gcs.log") as of_gcs,
        pytest.MonkeyPatch.context() as patch,
    ):
        for name, value in (of_s3 | of_gcs).items():
            patch.setenv(name, value)
        # It reads them when it is imported.
        fsspec.config.set_conf_env(fsspec.config.conf)
        yield of_s3 | of_gcs


@pytest.fixture(scope="module", params=SCHEMES)
def scheme(request: pytest.FixtureRequest) -> str:
    """Of a store with the buckets that the tests want."""
    request.getfixturevalue("stores")
    name: str = request.param
    system = fsspec.filesystem(name)
    for bucket in ("models", "pictures", "results"):
        system.mkdir(bucket)
    return name


def built(home: Path, name: str, scheme: str) -> tuple[Path, str]:
    """A bundle in the store of ``home``, and the address of its copy in a bucket."""
    models.build(home, name, name)
    there = store(home) / name
    address = f"{scheme}://models/{name}"
    put(there, address)
    return there, address


def test_a_bundle_comes_from_a_bucket_once_and_is_what_was_asked_for(
    scheme: str, tmp_path: Path
) -> None:
    there, address = built(tmp_path, "steel", scheme)
    home = tmp_path / "home"
    pinned = pin([address], home)
    assert pinned == (f"{address}#sha256={read_bundle(there).manifest.digest()}",)
    [(name, bundle)] = open_pinned(pinned, home).items()
    assert (name, bundle.manifest) == ("steel", read_bundle(there).manifest)
    assert bundle.path.is_relative_to(home)
    assert pin([f"{address}/"], home)[0].endswith(pinned[0].partition("#")[2])
    fsspec.filesystem(scheme).rm("models/steel", recursive=True)
    # Nothing is asked for again, where it is already.
    assert open_pinned(pinned, home) == {name: bundle}
    with pytest.raises(ModelNotFound, match="There is no bundle at"):
        pin([address], home)


def test_a_bundle_that_was_exchanged_or_damaged_in_its_bucket_is_refused(
    scheme: str, tmp_path: Path
) -> None:
    there, address = built(tmp_path, "brass", scheme)
    pinned = pin([address], tmp_path / "home")
    models.build(tmp_path, "brass", "other")
    put(there, address)
    with pytest.raises(BundleError, match="not the one that was asked for"):
        open_pinned(pinned, tmp_path / "home")
    pinned = pin([address], tmp_path / "home")
    models.damage(tmp_path, "brass")
    put(there, address)
    with pytest.raises(BundleError, match="is damaged"):
        open_pinned(pinned, tmp_path / "home")
    assert list((tmp_path / "home").rglob("model.bin")) == []


def test_a_bucket_is_listed_as_it_is_now(scheme: str, tmp_path: Path) -> None:
    system = fsspec.filesystem(scheme)
    found = []
    for number in range(2):
        system.pipe_file(f"pictures/now/{number}.jpg", b"\xff\xd8")
        system.invalidate_cache()
        with Seen() as seen:
            listing = Listing(str(tmp_path / f"list-{number}"))
            listing.write([f"{scheme}://pictures/now"], "image", seen.add)
        found.append(listing.pictures)
        # Somebody else's writing is not seen by this process's file system.
        subprocess.run(
            [
                sys.executable,
                "-c",
                f"import fsspec; fsspec.filesystem({scheme!r}).pipe_file("
                f"'pictures/now/other-{number}.jpg', b'1')",
            ],
            check=True,
        )
    assert found == [1, 3]


class Refusing(BaseHTTPRequestHandler):
    """What S3 says to those who get nothing. A question that is no GET fails: each costs."""

    status, code = 503, "SlowDown"

    def do_GET(self) -> None:
        content = f"<Error><Code>{self.code}</Code><Message>No.</Message></Error>".encode()
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Not in the tests' output."""


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Worker:
    schema = pa.schema(result_columns())
    settings = {"model": [STARTER], "threads": 1, "home": str(tmp_path_factory.mktemp("home"))}
    return Worker(Labelling(settings, 1, 3, "image", embeddings=False, schema=schema))


@pytest.fixture
def refused(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Any]:
    """The list of one good picture in a bucket that answers no more."""
    request.getfixturevalue("stores")
    bucket = fsspec.filesystem("s3")
    bucket.makedirs("refused", exist_ok=True)
    bucket.pipe_file("refused/a.jpg", encode(texture(90, 90), "JPEG"))
    with Seen() as seen:
        listing = Listing(str(tmp_path / "list"))
        listing.write(["s3://refused/a.jpg"], "image", seen.add)
    with ThreadingHTTPServer((LOCAL, 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{LOCAL}:{server.server_address[1]}")
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        # Those that there are know the other address.
        type(bucket).clear_instance_cache()
        yield pa.table({"item": listing.files})
        type(bucket).clear_instance_cache()
        server.shutdown()


@pytest.mark.parametrize(("status", "code"), [(503, "SlowDown"), (400, "ExpiredToken")])
def test_a_bucket_that_refuses_for_now_calls_no_picture_broken(
    worker: Worker, refused: Any, monkeypatch: pytest.MonkeyPatch, status: int, code: str
) -> None:
    monkeypatch.setattr(Refusing, "status", status)
    monkeypatch.setattr(Refusing, "code", code)
    with pytest.raises(DataError, match=r"The storage of s3://refused/a.jpg does not answer: "):
        list(worker(refused))


def test_a_picture_that_is_kept_from_everybody_has_a_row_that_says_so(
    worker: Worker, refused: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Refusing, "status", 403)
    monkeypatch.setattr(Refusing, "code", "AccessDenied")
    [row] = [row for table in worker(refused) for row in table.to_pylist()]
    assert row["path"] == "s3://refused/a.jpg"
    assert row["error"]


@pytest.fixture(scope="module")
def one(stores: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A head without cores, and a node with two."""
    home = tmp_path_factory.mktemp("home")
    with cluster(0, 2, environ=stores | {"MILLISIGHT_HOME": str(home)}) as found:
        yield found


def classify(one: Cluster, *arguments: object) -> dict[str, Any]:
    """The summary of ``millisight classify --ray``, some of whose pictures could not be read."""
    command = [sys.executable, "-m", "millisight", "classify", "--json", "--ray", one.address]
    done = subprocess.run(
        [*command, *map(str, arguments)],
        env=one.environ, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 3, done.stdout + done.stderr
    summary: dict[str, Any] = json.loads(done.stdout)
    return summary


def rows(address: str) -> dict[str, dict[str, Any]]:
    """By what their pictures are called."""
    system, path = fsspec.url_to_fs(address)
    system.invalidate_cache()
    found = parquet.read_table(path, filesystem=system).to_pylist()
    assert len({row["path"] for row in found}) == len(found)
    return {row["path"]: row for row in found}


def test_pictures_of_a_bucket_have_their_rows_in_a_bucket(
    one: Cluster, scheme: str, tmp_path: Path
) -> None:
    system = fsspec.filesystem(scheme)
    contents = {name: encode(texture(240, 180, len(name)), "JPEG") for name in NAMES}
    contents["sub/broken.jpg"] = b"\xff\xd8\xff\xe0 no more"
    for name, content in contents.items():
        system.pipe_file(f"pictures/all/{name}", content)
    system.pipe_file("pictures/all/readme.txt", b"no picture")
    source, output = f"{scheme}://pictures/all", f"{scheme}://results/labels.parquet"
    summary = classify(one, source, "--output", output)
    assert (summary["pictures"], summary["now"], summary["unusable"]) == (5, 5, 1)
    found = rows(output)
    assert found.keys() == {f"{source}/{name}" for name in contents}
    with millisight.load(STARTER, home=str(tmp_path)) as classifier:
        for name in NAMES:
            expected = classifier.classify(contents[name]).predictions[0]
            assert found[f"{source}/{name}"]["label"] == expected.label
    assert found[f"{source}/sub/broken.jpg"]["error"]
    system.pipe_file("pictures/all/new.jpg", contents["a.jpg"])
    again = classify(one, source, "--output", output)
    assert (again["pictures"], again["now"]) == (6, 1)
    assert len(rows(output)) == 6
    fresh = classify(one, source, "--output", output, "--fresh")
    assert (fresh["pictures"], fresh["now"]) == (6, 6)
    assert len(rows(output)) == 6
    assert not system.exists("results/labels.parquet.partial")


def test_tables_of_a_bucket_and_embeddings(one: Cluster, scheme: str) -> None:
    system = fsspec.filesystem(scheme)
    content = [*(encode(texture(90, 90, seed), "JPEG") for seed in range(5)), None]
    with system.open("pictures/tables/a.parquet", "wb") as file:
        parquet.write_table(pa.table({"photo": content}), file, row_group_size=2)
    source, output = f"{scheme}://pictures/tables/a.parquet", f"{scheme}://results/tables.parquet"
    classify(one, source, "--column", "photo", "--output", output, "--embeddings")
    found = rows(output)
    assert found.keys() == {f"{source}#{row}" for row in range(6)}
    assert [row for row, one in found.items() if one["embedding"] is None] == [f"{source}#5"]
