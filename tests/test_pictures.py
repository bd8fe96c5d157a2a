"""Pictures in folders, and the classes they are of."""

from pathlib import Path

import pytest

from millisight.errors import DataError
from millisight.pictures import find_pictures, labelled_pictures

LABELS = ["cat", "dog", "crane", "crane"]


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def names(pairs: list[tuple[Path, int]], folder: Path) -> list[tuple[str, int]]:
    return [(path.relative_to(folder).as_posix(), index) for path, index in pairs]


def test_pictures_are_found_in_subfolders_in_sorted_order(tmp_path: Path) -> None:
    touch(tmp_path, "b.jpg", "a.PNG", "notes.txt", "b/2.webp", "b/1.jpeg", "a/z.tif", ".jpg")
    found = [path.relative_to(tmp_path).as_posix() for path in find_pictures([tmp_path])]
    assert found == ["a.PNG", "b.jpg", "a/z.tif", "b/1.jpeg", "b/2.webp"]


def test_a_file_named_outright_is_taken_whatever_its_ending(tmp_path: Path) -> None:
    touch(tmp_path, "upload", "b.jpg")
    paths = [tmp_path / "upload", tmp_path / "b.jpg", tmp_path / "upload"]
    assert list(find_pictures(paths)) == paths


def test_folders_that_are_links_are_followed(tmp_path: Path) -> None:
    touch(tmp_path, "elsewhere/a.jpg")
    (tmp_path / "here").mkdir()
    (tmp_path / "here/link").symlink_to(tmp_path / "elsewhere")
    assert list(find_pictures([tmp_path / "here"])) == [tmp_path / "here/link/a.jpg"]


def test_a_path_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no file or folder .*nowhere") as raised:
        list(find_pictures([tmp_path, tmp_path / "nowhere"]))
    assert raised.value.status == 422


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        *((pattern, "ab") for pattern in ("**/*.jpg", "**", "*")),
        *((pattern, "c") for pattern in ("out/**/*.jpg", "out/*.jpg", "out/*")),
        ("out/cat/*.jpg", "d"),
    ],
)
def test_patterns_find_only_where_they_begin_in_the_folder_that_is_left_out(
    tmp_path: Path, pattern: str, names: str
) -> None:
    touch(tmp_path, "a.jpg", "deeper/b.jpg", "out/c.jpg", "out/cat/d.jpg")
    found = find_pictures([tmp_path / pattern], leave_out=tmp_path / "deeper" / ".." / "out")
    assert {path.stem for path in found} == set(names)


def test_folders_name_the_class(tmp_path: Path) -> None:
    touch(tmp_path, "dog/1.jpg", "cat/2.jpg", "cat/more/3.png", "cat/notes.txt", "stray.jpg")
    found = names(labelled_pictures(tmp_path, LABELS), tmp_path)
    assert found == [("cat/2.jpg", 0), ("cat/more/3.png", 0), ("dog/1.jpg", 1)]


def test_a_name_that_two_classes_share_is_the_first_of_them(tmp_path: Path) -> None:
    touch(tmp_path, "crane/1.jpg")
    assert names(labelled_pictures(tmp_path, LABELS), tmp_path) == [("crane/1.jpg", 2)]


def test_file_names_begin_with_the_class_index(tmp_path: Path) -> None:
    touch(tmp_path, "0003_n02_crane.jpg", "1_x.png", "notes.txt")
    found = names(labelled_pictures(tmp_path, LABELS), tmp_path)
    assert found == [("0003_n02_crane.jpg", 3), ("1_x.png", 1)]


def test_the_samples_say_their_class(samples: Path) -> None:
    labels = [str(index) for index in range(1000)]
    found = labelled_pictures(samples, labels)
    assert len(found) == len(list(samples.glob("*.jpg")))
    assert all(path.name.startswith(f"{index:04}_") for path, index in found)


@pytest.mark.parametrize("name", ["4_x.jpg", "cat.jpg", "_1.jpg", "-1_x.jpg", "1.jpg"])
def test_a_file_that_does_not_say_its_class_is_named(tmp_path: Path, name: str) -> None:
    touch(tmp_path, "0_fine.jpg", name)
    with pytest.raises(DataError, match=f"{name} does not say its class") as raised:
        labelled_pictures(tmp_path, LABELS)
    assert "from 0 to 3" in raised.value.hint


def test_a_folder_of_no_class_is_named_with_the_known_ones(tmp_path: Path) -> None:
    touch(tmp_path, "horse/1.jpg")
    with pytest.raises(DataError, match="no class 'horse'") as raised:
        labelled_pictures(tmp_path, LABELS)
    assert raised.value.hint == "Its classes are: cat, dog, crane."
    with pytest.raises(DataError) as raised:
        labelled_pictures(tmp_path, [str(index) for index in range(1000)])
    assert raised.value.hint.endswith("8, 9 …")


@pytest.mark.parametrize("layout", [[], ["notes.txt"], ["cat/notes.txt"]])
def test_a_folder_without_pictures_is_refused(tmp_path: Path, layout: list[str]) -> None:
    touch(tmp_path, *layout)
    with pytest.raises(DataError, match="no labelled pictures") as raised:
        labelled_pictures(tmp_path, LABELS)
    assert "one folder a class" in raised.value.hint


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    touch(tmp_path, "file.jpg")
    for missing in ("nowhere", "file.jpg"):
        with pytest.raises(DataError, match=f"no folder .*{missing}"):
            labelled_pictures(tmp_path / missing, LABELS)
