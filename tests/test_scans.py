"""The scans of a JPEG are counted, on whatever way they are hidden."""

import pytest

from millisight.errors import BadImage
from millisight.scans import MAX_SCANS, read_scans
from tests import hazards
from tests.support import encode, solid, texture

SCAN = b"\xff\xda"


def of_scans(count: int, *, between: bytes = b"") -> bytes:
    """A progressive JPEG of ``count`` scans with ``between`` before each that was added."""
    data = encode(solid("red"), "JPEG", progressive=True)
    last = data[data.rindex(SCAN) : -2]
    return data[:-2] + (between + last) * (count - data.count(SCAN)) + data[-2:]


def test_the_greatest_number_of_scans_is_allowed() -> None:
    read_scans(of_scans(MAX_SCANS))
    with pytest.raises(BadImage, match="over 100 scans"):
        read_scans(of_scans(MAX_SCANS + 1))


@pytest.mark.parametrize(
    "between",
    [
        b"\xff\xff\xff",  # fill bytes before a marker
        b"\xff" * 10_000 + b"\x00",  # fill bytes before none
        b"\xff\x01",  # a marker without a length
        b"\xff\xd3",  # a restart
        b"\xff\x00",  # data, not a marker
        b"\xff\xfe\x00\x02",  # an empty comment
        b"\xff\xfe\x00\x00",  # a comment shorter than its own length
    ],
)
def test_scans_cannot_hide_behind_other_markers(between: bytes) -> None:
    with pytest.raises(BadImage):
        read_scans(of_scans(MAX_SCANS + 1, between=between))


def test_scans_of_pictures_within_comments_do_not_count() -> None:
    thumbnails = b"\xff\xfe\x10\x02" + SCAN * 2048
    read_scans(of_scans(20, between=thumbnails))


def test_what_follows_the_picture_does_not_count() -> None:
    empty_scans = b"\0\2" + (SCAN + b"\0\2") * 5000
    read_scans(of_scans(10) + empty_scans)
    read_scans(encode(texture(64, 48), "JPEG") + empty_scans)


def test_the_scans_of_a_sequential_jpeg_count_where_its_first_is_not_its_only_one() -> None:
    data = bytearray(encode(texture(64, 48), "JPEG"))
    start = data.index(SCAN)
    # The first scan now holds the first of the three components alone.
    data[start : start + 14] = SCAN + bytes.fromhex("0008 01 01 00 00 3f 00")
    with pytest.raises(BadImage):
        read_scans(bytes(data[:-2] + data[start:-2] * MAX_SCANS))


@pytest.mark.parametrize("data", [b"", b"\xff\xd8\xff", hazards.png(9, 9)])
def test_what_has_no_scans_is_not_refused_here(data: bytes) -> None:
    assert not read_scans(data).count


def test_a_million_parts_between_scans_are_refused() -> None:
    data = encode(solid("red"), "JPEG", progressive=True)
    last = data.rindex(SCAN)
    with pytest.raises(BadImage, match="over 10,000 parts"):
        read_scans(data[:last] + b"\xff\xfe\0\2" * 1_000_000 + data[last:])
