"""What a folder of pictures is taken for, and what the user hears of it."""

import os
import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from millisight.errors import DataError
from millisight.train.findings import Findings
from millisight.train.survey import Dataset
from tests.build.train.data import fill, look, picture, write


def said(data: Dataset) -> str:
    return "\n".join(data.findings.lines())


def snapshot(folder: Path) -> dict[Path, tuple[int, int]]:
    return {
        path: (path.lstat().st_mtime_ns, path.lstat().st_size) for path in sorted(folder.rglob("*"))
    }


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """Twenty cats and thirty dogs, not divided."""
    folder = tmp_path / "DATA"
    fill(folder / "dog", 30, 0)
    fill(folder / "cat", 20, 30)
    return folder


@pytest.fixture
def divided(tmp_path: Path) -> Path:
    """The same, divided."""
    folder = tmp_path / "DATA"
    fill(folder / "train/dog", 24, 0)
    fill(folder / "train/cat", 15, 24)
    fill(folder / "validation/dog", 6, 40)
    fill(folder / "validation/cat", 5, 50)
    return folder


def test_one_folder_a_class_is_divided_and_left_as_it_is(two: Path) -> None:
    before = snapshot(two)
    data = look(two)
    assert snapshot(two) == before
    assert data.labels == ("cat", "dog")
    assert len(data.train) == 40
    assert len(data.validation) == 10
    assert all(path.parent.name == data.labels[index] for path, index in data.train)
    pictures = {path for path, _ in (*data.train, *data.validation)}
    assert pictures == set(two.rglob("*.jpg"))
    assert data.findings.lines() == [
        "50 pictures of 2 classes: 40 to train on, 10 to validate with (divided here).",
        "  cat      16     4",
        "  dog      24     6",
        "The shorter side of each is 96 pixels.",
        "Warning: class cat has only 16 pictures to train on.",
        "Warning: class dog has only 24 pictures to train on.",
        "Warning: fewer than 10 pictures validate cat, dog; figures of single classes will be "
        "rough.",
    ]


@pytest.mark.parametrize(
    ("train", "validation"), [("train", "validation"), ("Train", "VAL"), ("training", "valid")]
)
def test_given_sides_are_kept(divided: Path, train: str, validation: str) -> None:
    (divided / "train").rename(divided / "a")
    (divided / "a").rename(divided / train)
    (divided / "validation").rename(divided / "b")
    (divided / "b").rename(divided / validation)
    data = look(divided)
    assert {path for path, _ in data.train} == set((divided / train).rglob("*.jpg"))
    assert {path for path, _ in data.validation} == set((divided / validation).rglob("*.jpg"))
    assert not data.findings.divided
    assert "(divided as the folders are)" in said(data)


def test_train_alone_is_divided_and_a_test_folder_is_left_alone(divided: Path) -> None:
    (divided / "validation").rename(divided / "test")
    data = look(divided)
    assert len(data.validation) == 5 + 3
    assert all("train" in path.parts for path, _ in (*data.train, *data.validation))
    assert data.findings.untouched == ("test",)
    assert "Not looked at, since they are beside train: test." in said(data)


def test_a_class_may_be_called_train(two: Path) -> None:
    (two / "cat").rename(two / "train")
    assert look(two).labels == ("dog", "train")


def test_the_same_pictures_give_the_same_division_wherever_they_lie(
    two: Path, tmp_path: Path
) -> None:
    data = look(two, seed=3)
    elsewhere = tmp_path / "elsewhere"
    for number, path in enumerate(sorted(two.rglob("*.jpg"), reverse=True)):
        inner = elsewhere / path.parent.name / f"{number % 3}"
        inner.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, inner / f"{number}.jpg")
    again = look(elsewhere, seed=3)
    assert again.fingerprint == data.fingerprint
    assert {path.read_bytes() for path, _ in again.validation} == {
        path.read_bytes() for path, _ in data.validation
    }
    assert look(two, seed=4).fingerprint != data.fingerprint


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "train/cat/024.jpg").unlink(),
        lambda folder: (folder / "train/cat/024.jpg").rename(folder / "validation/cat/new.jpg"),
        lambda folder: (folder / "train/cat/024.jpg").rename(folder / "train/dog/new.jpg"),
        lambda folder: write(folder / "train/cat/024.jpg", picture(99)),
        lambda folder: [
            (folder / side / "cat").rename(folder / side / "cats")
            for side in ("train", "validation")
        ],
    ],
    ids=["fewer", "other side", "other class", "other picture", "other name"],
)
def test_the_fingerprint_says_when_the_data_changed(
    divided: Path, change: Callable[[Path], object]
) -> None:
    before = look(divided).fingerprint
    assert len(before) == 64
    change(divided)
    assert look(divided).fingerprint != before


def test_unreadable_files_are_listed_and_skipped(two: Path) -> None:
    (two / "cat/030.jpg").write_bytes(b"")
    (two / "cat/031.jpg").write_text("not a picture")
    (two / "dog/000.jpg").write_bytes((two / "dog/000.jpg").read_bytes()[:1000])
    (two / "dog/phone.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0")
    data = look(two)
    assert len(data.train) + len(data.validation) == 47
    assert [one.path for one in data.findings.unreadable] == [
        "cat/030.jpg",
        "cat/031.jpg",
        "dog/000.jpg",
        "dog/phone.heic",
    ]
    assert "4 files cannot be read and left out:" in said(data)
    assert "  cat/030.jpg: The picture is empty: it has no bytes." in said(data)
    assert "  dog/phone.heic: HEIC pictures are not supported." in said(data)


def test_what_is_no_picture_is_passed_over_and_litter_in_silence(two: Path) -> None:
    for name in ("cat/notes.txt", "README.md", "loose.jpg", "dog/data.csv"):
        (two / name).write_text("words")
    litter = (
        *(".DS_Store", "cat/Thumbs.db", "cat/._030.jpg", "dog/desktop.ini"),
        *(".ipynb_checkpoints/a.jpg", "__MACOSX/cat/030.jpg", "cat/.git/x.jpg", "@eaDir/y.jpg"),
    )
    for name in litter:
        (two / name).parent.mkdir(exist_ok=True, parents=True)
        (two / name).write_text("litter")
    data = look(two)
    assert data.labels == ("cat", "dog")
    assert len(data.train) + len(data.validation) == 50
    assert sorted(data.findings.ignored) == [
        "README.md",
        "cat/notes.txt",
        "dog/data.csv",
        "loose.jpg",
    ]
    assert "4 files passed over, not pictures of a class:" in said(data)


def test_links_are_followed_but_not_in_circles(two: Path, tmp_path: Path) -> None:
    (two / "cat").rename(tmp_path / "elsewhere")
    (two / "cat").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/loop").symlink_to(two / "cat")
    (two / "dog/gone.jpg").symlink_to("nowhere")
    (two / "dog/circle").symlink_to("circle")
    data = look(two)
    assert data.labels == ("cat", "dog")
    assert len(data.train) + len(data.validation) == 50
    assert [one.path for one in data.findings.unreadable] == ["dog/gone.jpg"]
    assert data.findings.ignored == ("dog/circle",)


@pytest.mark.parametrize(
    "name", ["连衣裙", "白\u3000裙", "Kühlschrank", "платье", "a b", "👩‍🔬", "O'Neill & co"]
)
def test_classes_have_names_in_any_language(two: Path, name: str) -> None:
    (two / "dog").rename(two / name)
    data = look(two)
    assert data.labels == tuple(sorted(["cat", name]))
    assert name in said(data)
    assert Findings.model_validate_json(data.findings.model_dump_json()) == data.findings


def test_the_columns_of_wide_letters_stand_below_each_other(two: Path) -> None:
    (two / "dog").rename(two / "连衣裙")
    assert look(two).findings.lines()[1:3] == ["  cat         16     4", "  连衣裙      24     6"]


def test_two_ways_to_encode_a_letter_are_one_class(divided: Path) -> None:
    composed, apart = (unicodedata.normalize(form, "Kühe") for form in ("NFC", "NFD"))
    (divided / "train/cat").rename(divided / "train" / apart)
    (divided / "validation/cat").rename(divided / "validation" / composed)
    data = look(divided)
    assert data.labels == (composed, "dog")
    assert len(data.train) == 39
    assert len(data.validation) == 11


def test_exact_copies_count_once_and_never_validate_what_they_train(divided: Path) -> None:
    shutil.copy(divided / "train/dog/000.jpg", divided / "train/dog/copy.jpg")
    shutil.copy(divided / "train/dog/001.jpg", divided / "validation/dog/copy.jpg")
    data = look(divided)
    assert len(data.train) == 39
    assert len(data.validation) == 11
    assert data.findings.copies == (
        ("train/dog/000.jpg", "train/dog/copy.jpg"),
        ("train/dog/001.jpg", "validation/dog/copy.jpg"),
    )
    assert "2 exact copies left out, 1 of them from validation:" in said(data)


def test_one_file_in_two_classes_is_left_out_of_both(two: Path) -> None:
    shutil.copy(two / "dog/000.jpg", two / "cat/copy.jpg")
    data = look(two)
    assert data.findings.conflicts == (("cat/copy.jpg", "dog/000.jpg"),)
    assert len(data.train) + len(data.validation) == 49
    assert "2 files left out that are the same, but in several classes:" in said(data)


def test_what_looks_like_a_training_picture_is_moved_to_training(divided: Path) -> None:
    write(divided / "validation/dog/again.png", picture(0).resize((300, 225)))
    data = look(divided)
    assert divided / "validation/dog/again.png" in {path for path, _ in data.train}
    assert len(data.train) == 40
    assert len(data.validation) == 11
    assert data.findings.moved == ("validation/dog/again.png",)
    assert data.findings.near == (("train/dog/000.jpg", "validation/dog/again.png"),)
    assert "1 picture moved from validation to training, where one looks the same:" in said(data)


def test_pictures_that_look_the_same_are_divided_together(two: Path) -> None:
    for number in (*range(6), *range(8, 14), *range(16, 19)):
        write(two / f"dog/{number:03}_again.png", picture(number))
    for seed in range(5):
        data = look(two, seed=seed)
        assert len(data.findings.near) == 15
        sides = [{path.stem[:3] for path, _ in side} for side in (data.train, data.validation)]
        assert sides[0].isdisjoint(sides[1])
        assert len(data.validation) == 4 + 9


def test_what_looks_the_same_in_two_classes_is_kept_and_asked_about(two: Path) -> None:
    write(two / "cat/again.png", picture(0))
    data = look(two)
    assert len(data.train) + len(data.validation) == 51
    assert {two / "cat/again.png", two / "dog/000.jpg"} <= {path for path, _ in data.train}
    assert "2 pictures look the same, but are in several classes; which is right?" in said(data)


def test_a_fixed_camera_is_noticed(tmp_path: Path) -> None:
    """Boards with and without a screw: all look the same but for a few pixels."""
    board = picture(0).resize((512, 384))
    for number in range(40):
        image = board.copy()
        draw = ImageDraw.Draw(image)
        draw.point((number, 0), "white")
        if number % 2:
            draw.ellipse((200, 200, 216, 216), fill="silver")
        write(tmp_path / ("with" if number % 2 else "without") / f"{number}.png", image)
    data = look(tmp_path)
    assert data.findings.inseparable == ("with", "without")
    assert len(data.validation) == 8
    assert data.findings.near == ()
    assert "fixed camera?" in said(data)


def test_uneven_and_small_classes_are_warned_of(tmp_path: Path) -> None:
    fill(tmp_path / "many", 100, 0)
    fill(tmp_path / "few", 12, 100)
    write(tmp_path / "many/small.png", picture(120).resize((40, 30)))
    data = look(tmp_path)
    assert data.findings.imbalance == pytest.approx(81 / 10)
    assert data.findings.warnings() == [
        "class few has only 10 pictures to train on.",
        "fewer than 10 pictures validate few; figures of single classes will be rough.",
        "1 picture with a shorter side under 64 pixels; the network sees them enlarged.",
        "many has 8.1 times as many pictures as few; pictures of small classes will count more.",
    ]
    assert "Their shorter sides are 30 to 96 pixels, half of them at most 96." in said(data)


def test_long_lists_are_cut_short(two: Path) -> None:
    for number in range(9):
        (two / f"dog/bad{number}.jpg").write_text("no picture")
    lines = look(two).findings.lines()
    start = lines.index("9 files cannot be read and left out:")
    assert lines[start + 6] == "  … and 4 more"


def refusal(folder: Path) -> DataError:
    with pytest.raises(DataError) as raised:
        look(folder)
    assert raised.value.hint
    return raised.value


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / "words").mkdir()
    (tmp_path / "words/a.txt").touch()
    fill(tmp_path / "loose", 3, 0)
    assert "There is no folder" in refusal(tmp_path / "nowhere").message
    assert "is a file" in refusal(tmp_path / "file").message
    assert "There is no folder" in refusal(tmp_path / "file/inner").message
    assert refusal(tmp_path / "empty").message == f"{tmp_path / 'empty'} is empty."
    assert "has no folders of classes" in refusal(tmp_path / "words").message
    assert "has 3 pictures but no folders of classes" in refusal(tmp_path / "loose").message
    assert "File name too long" in refusal(tmp_path / ("x" * 300)).message


def test_one_class_is_too_few(two: Path) -> None:
    shutil.rmtree(two / "dog")
    error = refusal(two)
    assert "only one class" in error.message
    assert "cat" in error.message


def test_the_folder_above_the_right_one_is_recognised(two: Path) -> None:
    (two.parent / "__MACOSX").mkdir()
    assert refusal(two.parent).hint == f"Did you mean {two}?"


@pytest.mark.parametrize("count", [0, 2, 5])
def test_a_class_of_too_few_pictures_is_named(two: Path, count: int) -> None:
    fill(two / "bird", count, 60)
    (two / "bird").mkdir(exist_ok=True)
    (two / "dog/bad.jpg").touch()
    error = refusal(two)
    assert f"The class bird has {count or 'no'} usable pictures; 6 are the least." in error.message
    assert "dog/bad.jpg: The picture is empty" in error.message


def test_copies_do_not_fill_a_class(two: Path) -> None:
    fill(two / "bird", 1, 60)
    for number in range(20):
        shutil.copy(two / "bird/060.jpg", two / f"bird/{number}.jpg")
    assert "The class bird has 1 usable picture; 6 are the least." in refusal(two).message


@pytest.mark.parametrize(("has", "lacks"), [("train", "validation"), ("validation", "train")])
def test_both_sides_need_the_same_classes(divided: Path, has: str, lacks: str) -> None:
    fill(divided / has / "bird", 8, 60)
    assert refusal(divided).message == f"The class bird is in {has}, but not in {lacks}."


def test_each_side_needs_some_pictures_of_each_class(divided: Path) -> None:
    for path in sorted((divided / "validation/cat").iterdir())[1:]:
        path.unlink()
    assert refusal(divided).message == (
        "The class cat has 15 usable pictures to train on and 1 to validate with; 4 and 2 are the "
        "least."
    )


def test_validation_without_train_is_refused(divided: Path) -> None:
    shutil.rmtree(divided / "train")
    assert "no train that holds class folders" in refusal(divided).message


def test_two_folders_of_one_side_are_refused(divided: Path) -> None:
    shutil.copytree(divided / "validation", divided / "val")
    assert "has both val and validation" in refusal(divided).message


def test_a_name_that_is_not_utf_8_is_refused(two: Path) -> None:
    # A folder from an archive that was packed in another encoding.
    (two / "cat").rename(two / os.fsdecode(b"\xc1\xac\xd2\xc2"))
    error = refusal(two)
    assert "cannot be shown" in error.message
    error.message.encode()


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
def test_what_may_not_be_read_is_named(two: Path) -> None:
    (two / "cat/030.jpg").chmod(0)
    assert "Permission denied" in look(two).findings.unreadable[0].reason
    (two / "dog").chmod(0)
    try:
        error = refusal(two)
    finally:
        (two / "dog").chmod(0o755)
    assert error.message == f"The folder {two / 'dog'} cannot be read: Permission denied."


def test_pictures_of_every_kind_are_counted(two: Path) -> None:
    Image.new("RGBA", (70, 70), (1, 2, 3, 4)).save(two / "cat/clear.PNG")
    Image.new("L", (70, 90), 7).save(two / "cat/grey.tif")
    Image.new("P", (70, 90), 7).save(two / "dog/old.gif")
    assert sum(one.train + one.validation for one in look(two).findings.classes) == 53


def test_real_data_is_told_about(shared_data: Path) -> None:
    steel = look(shared_data / "steel-defects")
    assert steel.findings.copies == (
        ("train/patches/patches_101.jpg", "train/patches/patches_105.jpg"),
    )
    assert steel.findings.moved == ("validation/inclusion/inclusion_125.jpg",)
    assert [len(steel.train), len(steel.validation)] == [1140, 269]
    clothing = look(shared_data / "clothing")
    assert [len(group) for group in clothing.findings.near_conflicts] == [2]
    assert clothing.findings.moved == clothing.findings.copies == ()
    assert [len(clothing.train), len(clothing.validation)] == [3068, 341]
