"""What the self-made load asks about."""

from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from millisight import photographs
from millisight.errors import DataError
from millisight.image import decode
from millisight.photographs import MOST, SIZE, photographs_in, self_made
from tests.support import LIMITS, PREPROCESS, encode, solid, texture


def test_made_photographs_are_of_usual_size_different_and_always_the_same() -> None:
    made = self_made()
    assert made == self_made()
    assert len(set(made)) == len(made) == photographs.COUNT
    assert all(90_000 < len(one) < 130_000 for one in made)
    for one in made[:2]:
        assert decode(one, PREPROCESS, LIMITS).warnings == ()
    with Image.open(BytesIO(made[0])) as image:
        assert (image.size, image.format, image.mode) == (SIZE, "JPEG", "RGB")


def test_the_users_own_are_taken_and_unusable_ones_left_out(tmp_path: Path) -> None:
    good = encode(texture(300, 200), "JPEG")
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "good.jpg").write_bytes(good)
    (tmp_path / "broken.jpg").write_bytes(good[:1000])
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("not a picture")
    assert photographs_in(tmp_path, PREPROCESS, LIMITS) == [good]


def test_of_many_some_from_all_over_the_folder_are_taken(tmp_path: Path) -> None:
    for number in range(3 * MOST):
        data = encode(solid((number, 0, 0)), "PNG")
        (tmp_path / f"{number:03}.png").write_bytes(data)
    taken = photographs_in(tmp_path, PREPROCESS, LIMITS)
    paths = [tmp_path / f"{number:03}.png" for number in range(0, 3 * MOST, 3)]
    assert taken == [path.read_bytes() for path in paths]


def test_large_ones_are_taken_up_to_a_size_but_never_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = encode(texture(300, 200, 1), "PNG")
    (tmp_path / "1.png").write_bytes(first)
    (tmp_path / "2.png").write_bytes(encode(texture(300, 200, 2), "PNG"))
    monkeypatch.setattr(photographs, "MOST_BYTES", len(first) - 1)
    assert photographs_in(tmp_path, PREPROCESS, LIMITS) == [first]


def test_a_folder_without_usable_pictures_is_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"broken")
    with pytest.raises(DataError, match="no usable pictures in"):
        photographs_in(tmp_path, PREPROCESS, LIMITS)
    with pytest.raises(DataError, match="no file or folder"):
        photographs_in(tmp_path / "none", PREPROCESS, LIMITS)
