"""Copies are found, and what merely has the same kind is not taken for one."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance

from millisight.train.duplicates import exact_groups, near_groups
from millisight.train.look import Look, Unreadable, look_at
from tests.build.train.data import PICTURES, picture, quiet, write

Change = Callable[[Image.Image], Image.Image]

COPIES: dict[str, Change] = {
    "same": lambda image: image,
    "half": lambda image: image.resize((image.width // 2, image.height // 2)),
    "larger": lambda image: image.resize((image.width * 3, image.height * 3)),
    "darker": lambda image: ImageEnhance.Brightness(image).enhance(0.85),
    "more contrast": lambda image: ImageEnhance.Contrast(image).enhance(1.2),
    "cut": lambda image: image.crop((1, 1, image.width - 1, image.height - 1)),
}


def looks(paths: Sequence[Path]) -> list[Look]:
    found = look_at(paths, quiet)
    return [one for one in found if isinstance(one, Look)]


@pytest.mark.parametrize("change", COPIES.values(), ids=COPIES)
@pytest.mark.parametrize("quality", [90, 50])
def test_a_changed_copy_is_found(tmp_path: Path, change: Change, quality: int) -> None:
    # The next two are sky and blur: what little they show, JPEG does not keep.
    paths = []
    for number in range(6):
        paths.append(write(tmp_path / f"{number}.png", picture(number)))
        paths.append(write(tmp_path / f"{number}.jpg", change(picture(number)), quality=quality))
    found = looks(paths)
    assert near_groups(found) == [[index, index + 1] for index in range(0, 12, 2)]
    assert exact_groups(found) == []


def test_other_parts_of_one_photograph_are_no_copies(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{number}.jpg", picture(number)) for number in range(PICTURES)]
    assert near_groups(looks(paths)) == []


def test_whatever_is_alike_to_one_of_a_group_is_of_it(tmp_path: Path) -> None:
    image = picture(3).resize((480, 360))
    paths = [
        write(tmp_path / f"{shift}.png", image.crop((shift, 0, shift + 400, 360)))
        for shift in range(0, 80, 4)
    ]
    first, *_, last = found = looks(paths)
    assert near_groups([first, last]) == []
    assert near_groups(found) == [list(range(20))]


@pytest.mark.parametrize("colours", [("red", "blue"), ("black", "white"), ("#d02020", "#20a020")])
def test_colour_tells_apart_what_has_one_shape(tmp_path: Path, colours: tuple[str, str]) -> None:
    paths = []
    for colour in colours:
        image = Image.new("RGB", (200, 200), "#808080")
        ImageDraw.Draw(image).ellipse((50, 50, 150, 150), fill=colour)
        paths.append(write(tmp_path / f"{colour}.png", image))
    assert near_groups(looks(paths)) == []


def test_plain_pictures_are_copies_only_where_their_colour_is_the_same(tmp_path: Path) -> None:
    colours = ["black", "#010101", "white", "red", "green"]
    paths = [
        write(tmp_path / f"{index}.png", Image.new("RGB", (80, 80), colour))
        for index, colour in enumerate(colours)
    ]
    assert near_groups(looks(paths)) == [[0, 1]]


def test_exact_copies_have_the_same_bytes(tmp_path: Path) -> None:
    paths = [write(tmp_path / name, picture(0)) for name in ("a.jpg", "b.jpg", "c.png")]
    assert exact_groups(looks(paths)) == [[0, 1]]
    assert exact_groups([]) == near_groups([]) == []


def test_pictures_are_seen_upright_and_sizes_are_those_stored(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = picture(1).transpose(Image.Transpose.ROTATE_90)
    paths = [
        write(tmp_path / "a.jpg", picture(1), quality=95),
        write(tmp_path / "b.jpg", turned, quality=95, exif=exif),
    ]
    found = looks(paths)
    assert [one.size for one in found] == [(128, 96), (96, 128)]
    assert near_groups(found) == [[0, 1]]


def test_what_cannot_be_read_is_told_in_its_place(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"")
    (tmp_path / "b.jpg").write_text("not a picture")
    write(tmp_path / "c.jpg", picture(2))
    (tmp_path / "d.jpg").write_bytes((tmp_path / "c.jpg").read_bytes()[:900])
    (tmp_path / "e.jpg").symlink_to("nowhere")
    (tmp_path / "f.jpg").symlink_to("f.jpg")
    (tmp_path / "g.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0")
    found = look_at(sorted(tmp_path.iterdir()), quiet)
    sentences = [one.sentence if isinstance(one, Unreadable) else "" for one in found]
    assert sentences == [
        "The picture is empty: it has no bytes.",
        "This is not a picture in a supported format.",
        "",
        sentences[3],
        "The file cannot be read: No such file or directory.",
        "The file cannot be read: Too many levels of symbolic links.",
        "HEIC pictures are not supported.",
    ]
    assert sentences[3].startswith("The picture cannot be read: ")


def test_ten_thousand_are_compared_in_seconds() -> None:
    random = np.random.default_rng(0)
    cells = np.zeros((64, 3), np.int16)
    many = [
        Look(Path(str(number)), str(number), bits, cells, (64, 64))
        for number, bits in enumerate(random.integers(0, 2**64, (9_999, 4), np.uint64))
    ]
    assert near_groups([*many, many[17]]) == [[17, 9_999]]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "clothing",
            [{"6075b4a5-5b1a-4ce0-aea0-9dbfbca7c35c", "637a56e4-7fa6-4f75-8859-0f8902461554"}],
        ),
        (
            "steel-defects",
            [
                {"inclusion_188", "inclusion_210"},
                {"inclusion_88", "inclusion_125"},
                {"patches_101", "patches_105"},
                {"pitted_surface_171", "pitted_surface_292"},
            ],
        ),
    ],
)
def test_in_real_data_only_real_copies_are_found(
    shared_data: Path, name: str, expected: list[set[str]]
) -> None:
    found = looks(sorted((shared_data / name).rglob("*.jpg")))
    groups = [{found[index].path.stem for index in group} for group in near_groups(found)]
    assert groups == expected
