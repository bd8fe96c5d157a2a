"""Bundles: written whole or not at all, and read only when every byte is right."""

import json
import os
import shutil
from pathlib import Path

import pytest

from millisight import bundle as bundles
from millisight.bundle import (
    FILES,
    MANIFEST,
    check_name,
    find_bundle,
    list_bundles,
    new_bundle,
    open_bundles,
    read_bundle,
    starter_path,
    store,
    write_labels,
    write_manifest,
)
from millisight.bundlefiles import describe_file
from millisight.errors import BundleError, ModelNotFound, SettingsError
from millisight.manifest import Manifest
from millisight.runtime import read_graph


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A bundle with little in it."""
    return write(tmp_path / "home", "small")


def write(
    home: Path,
    name: str,
    labels: tuple[str, ...] = ("猫", "dog"),
    translations: dict[str, tuple[str, ...]] | None = None,
) -> Path:
    target = store(home) / name
    manifest = read_bundle(starter_path()).manifest
    with new_bundle(target) as draft:
        (draft / "model.xml").write_text("<net/>")
        (draft / "model.bin").write_bytes(bytes(range(256)))
        write_labels(draft, labels, translations)
        files = {file: describe_file(draft / file) for file in FILES}
        update = {"name": name, "class_count": 2, "files": files}
        write_manifest(draft, manifest.model_copy(update=update))
    return target


def read_manifest_of(folder: Path) -> Manifest:
    content = json.loads((folder / MANIFEST).read_text())
    del content["digest"]
    return Manifest.model_validate(content)


def test_what_was_written_is_read(small: Path) -> None:
    bundle = read_bundle(small)
    assert bundle.labels == ("猫", "dog")
    assert bundle.manifest.name == "small"
    assert bundle.graph == read_graph(small / "model.xml")
    assert bundle.manifest.size == sum((small / file).stat().st_size for file in FILES)
    assert [path.name for path in small.parent.iterdir()] == ["small"]


@pytest.mark.parametrize("file", [MANIFEST, *FILES])
@pytest.mark.parametrize("endless", ["pipe", "device", "folder"])
def test_what_is_no_file_is_not_read(small: Path, file: str, endless: str) -> None:
    path = small / file
    path.unlink()
    match endless:
        case "pipe":
            os.mkfifo(path)
        case "device":
            path.symlink_to("/dev/zero")
        case _:
            path.mkdir()
    with pytest.raises(BundleError, match=f"{file} is damaged"):
        read_bundle(small)


@pytest.mark.parametrize("file", [MANIFEST, *FILES])
def test_any_flipped_bit_is_noticed(small: Path, file: str) -> None:
    path = small / file
    content = path.read_bytes()
    unnoticed = []
    for position in range(len(content)):
        damaged = bytearray(content)
        damaged[position] ^= 1 << position % 8
        path.write_bytes(damaged)
        try:
            read_bundle(small)
        except BundleError:
            continue
        unnoticed.append(position)
    assert unnoticed == []


def test_a_flipped_bit_in_the_real_starter_is_noticed(tmp_path: Path) -> None:
    for file in FILES:
        copy = tmp_path / file
        shutil.copytree(starter_path(), copy)
        content = bytearray((copy / file).read_bytes())
        content[len(content) // 2] ^= 16
        (copy / file).write_bytes(content)
        with pytest.raises(BundleError, match=f"{file} is damaged"):
            read_bundle(copy)


@pytest.mark.parametrize("file", [MANIFEST, *FILES])
def test_a_missing_file_is_named(small: Path, file: str) -> None:
    (small / file).unlink()
    with pytest.raises(BundleError, match=file):
        read_bundle(small)


@pytest.mark.parametrize("content", ["", "[]", "{}", "null", '{"format_version": 3}', '"text"'])
def test_a_manifest_that_says_nothing_is_damaged(small: Path, content: str) -> None:
    (small / MANIFEST).write_text(content)
    with pytest.raises(BundleError, match="damaged"):
        read_bundle(small)


def test_a_manifest_of_nothing_but_brackets_is_damaged(small: Path) -> None:
    (small / MANIFEST).write_text("[" * 100_000)
    with pytest.raises(BundleError, match="damaged"):
        read_bundle(small)


def test_a_number_written_another_way_is_noticed(small: Path) -> None:
    manifest = read_bundle(small).manifest
    measured = manifest.measured.model_copy(update={"max_logit_difference": 1e-05})
    write_manifest(small, manifest.model_copy(update={"measured": measured}))
    read_bundle(small)
    text = (small / MANIFEST).read_text()
    assert "1e-05" in text
    (small / MANIFEST).write_text(text.replace("1e-05", "1E-05"))
    with pytest.raises(BundleError, match="damaged"):
        read_bundle(small)


@pytest.mark.parametrize(
    "labels", ["", "{", '{"cat": 0, "dog": 1}', "[1, 2]", '"ab"', '["ab", "c"]', "\xff"]
)
def test_labels_that_are_not_a_list_of_names_are_refused(small: Path, labels: str) -> None:
    (small / "labels.json").write_bytes(labels.encode("latin1"))
    manifest = read_manifest_of(small)
    files = {**manifest.files, "labels.json": describe_file(small / "labels.json")}
    write_manifest(small, manifest.model_copy(update={"files": files}))
    with pytest.raises(BundleError, match=r"labels\.json is damaged"):
        read_bundle(small)


def test_a_newer_format_asks_for_a_newer_millisight(small: Path) -> None:
    content = json.loads((small / MANIFEST).read_text())
    (small / MANIFEST).write_text(json.dumps(content | {"format_version": 4}))
    with pytest.raises(BundleError, match="has format 4; this millisight reads 3") as caught:
        read_bundle(small)
    assert "upgrade millisight" in caught.value.hint


def test_an_older_format_asks_for_a_new_build(small: Path) -> None:
    content = json.loads((small / MANIFEST).read_text())
    (small / MANIFEST).write_text(json.dumps(content | {"format_version": 2}))
    with pytest.raises(BundleError, match="has format 2; this millisight reads 3") as caught:
        read_bundle(small)
    assert caught.value.hint == "Build the bundle again with this version."


def test_labels_in_other_languages_are_kept(tmp_path: Path) -> None:
    assert read_bundle(write(tmp_path, "one")).translations == {}
    other = {"de": ("Katze", "Hund"), "zh": ("猫", "狗")}
    assert read_bundle(write(tmp_path, "two", translations=other)).translations == other
    with pytest.raises(BundleError, match="1 labels for 2 classes"):
        read_bundle(write(tmp_path, "three", translations={"zh": ("猫",)}))


def test_labels_that_are_too_few_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="1 labels for 2 classes"):
        read_bundle(write(tmp_path, "few", labels=("only",)))


def test_a_file_the_manifest_does_not_know_by_name_is_refused(small: Path) -> None:
    bundle = read_bundle(small)
    files = {**bundle.manifest.files, "run.py": describe_file(small / "model.xml")}
    write_manifest(small, bundle.manifest.model_copy(update={"files": files}))
    with pytest.raises(BundleError, match="damaged"):
        read_bundle(small)


def test_a_failed_write_leaves_the_old_bundle_alone(small: Path) -> None:
    before = {path.name: path.read_bytes() for path in small.iterdir()}

    def fail() -> None:
        with new_bundle(small) as draft:
            (draft / "model.xml").write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert {path.name: path.read_bytes() for path in small.iterdir()} == before
    assert [path.name for path in small.parent.iterdir()] == ["small"]


def test_a_new_bundle_replaces_the_old_one(tmp_path: Path) -> None:
    write(tmp_path, "same")
    assert read_bundle(write(tmp_path, "same", labels=("a", "b"))).labels == ("a", "b")
    assert [path.name for path in store(tmp_path).iterdir()] == ["same"]


def test_auto_takes_resnet18_once_it_is_there(tmp_path: Path) -> None:
    assert find_bundle("auto", tmp_path) == starter_path()
    built = write(tmp_path, "resnet18")
    assert find_bundle("auto", tmp_path) == built
    assert find_bundle("starter", tmp_path) == starter_path()


def test_a_bundle_is_found_by_name_or_path(small: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert find_bundle("small", home) == small
    assert find_bundle(str(small), tmp_path / "elsewhere") == small
    assert [name for name, _ in list_bundles(home)] == ["small", "starter"]


@pytest.mark.usefixtures("small")
def test_an_unknown_model_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="no model 'large'") as caught:
        find_bundle("large", tmp_path / "home")
    assert "small, starter" in caught.value.hint


@pytest.mark.parametrize("model", ["x" * 300, "a\0b", "no/such/folder", "bundles"])
def test_a_model_that_cannot_be_a_folder_is_not_found(model: str, tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound):
        find_bundle(model, tmp_path)


def test_what_is_not_a_bundle_is_not_listed(small: Path, tmp_path: Path) -> None:
    (small.parent / "empty").mkdir()
    (small.parent / ".building-x").mkdir()
    (small.parent / ".building-x" / MANIFEST).touch()
    (small.parent / "notes.txt").touch()
    assert [name for name, _ in list_bundles(tmp_path / "home")] == ["small", "starter"]


@pytest.mark.parametrize("name", ["resnet18", "a.b-c_d", "7", "x" * 100])
def test_ordinary_names_are_allowed(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "../up", "starter", "auto", "x" * 101])
def test_names_that_would_leave_the_store_or_are_taken_are_refused(name: str) -> None:
    with pytest.raises(BundleError):
        check_name(name)


def test_the_starter_says_where_it_comes_from() -> None:
    manifest: Manifest = read_bundle(starter_path()).manifest
    line = manifest.describe()
    assert "efficientnet_lite0 (int8, 5." in line
    assert "Apache-2.0" in line
    assert manifest.measured.bundle is not None
    assert bundles.STARTER == "starter"


def test_the_starters_classes_have_chinese_names_of_their_own() -> None:
    bundle = read_bundle(starter_path())
    chinese = bundle.translations["zh"]
    assert len(set(chinese)) == len(chinese) == len(bundle.labels)
    foreign = [name for name in chinese if not any("\u4e00" <= sign <= "\u9fff" for sign in name)]
    assert foreign == ["iPod"]
    named = dict(zip(bundle.labels, chinese, strict=True))
    assert named["golden retriever"] == "金毛寻回犬"
    assert named["mortar"] == "研钵"
    assert named["toilet tissue"] == "卫生纸"


def test_several_are_known_by_the_names_of_their_folders(tmp_path: Path) -> None:
    shutil.copytree(starter_path(), tmp_path / "bundles" / "steel")
    shutil.copytree(starter_path(), tmp_path / "other" / "steel")
    (tmp_path / "link").symlink_to(tmp_path / "other" / "steel")
    found = open_bundles(["steel", "starter", str(tmp_path / "link")], tmp_path)
    assert list(found) == ["steel", "starter", "link"]
    assert found["steel"].path == tmp_path / "bundles" / "steel"
    with pytest.raises(SettingsError, match="The name steel is given to two models"):
        open_bundles(["steel", str(tmp_path / "other" / "steel")], tmp_path)
    with pytest.raises(SettingsError, match="The name starter is given twice"):
        open_bundles(["auto", "starter"], tmp_path)
    with pytest.raises(ModelNotFound, match="no model 'none'"):
        open_bundles(["steel", "none"], tmp_path)
