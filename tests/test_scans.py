"""The scans of a JPEG are counted, and one that was cut off and closed again is refused."""

import contextlib
import tracemalloc
from io import BytesIO
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import millisight.server
from millisight.errors import BadImage
from millisight.image import Limits, decode, from_array
from millisight.scans import ALWAYS_ALLOWED, MAX_SCANNED, MAX_SCANS, read_scans
from tests import hazards
from tests.support import LIMITS, PREPROCESS, difference, encode, solid, texture

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


def test_restarts_take_no_memory() -> None:
    picture = encode(solid(0, "L", (16, 16)), "JPEG", progressive=True)
    many = picture[:-2] + b"\xff\xd0" * 1_000_000 + picture[-2:]
    tracemalloc.start()
    with contextlib.suppress(BadImage):
        decode(many, PREPROCESS, LIMITS)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # It is copied twice.
    assert peak < 4 * len(many)


def test_a_large_picture_may_have_fewer_scans() -> None:
    picture = encode(solid(0, "L", (4000, 3000)), "JPEG", progressive=True)
    last = picture[picture.rindex(SCAN) : -2]
    own = picture.count(SCAN)
    most = MAX_SCANNED // 12_000_000
    allowed = picture[:-2] + last * (most - own) + picture[-2:]
    assert decode(allowed, PREPROCESS, LIMITS).pixels.shape == (224, 224, 3)
    with pytest.raises(BadImage, match="too many scans, 84, for its size"):
        decode(picture[:-2] + last * (most + 1 - own) + picture[-2:], PREPROCESS, LIMITS)
    vast = encode(solid(0, "L", (8000, 8000)), "JPEG", progressive=True)
    vast = vast[:-2] + vast[vast.rindex(SCAN) : -2] * (ALWAYS_ALLOWED - own) + vast[-2:]
    assert decode(vast, PREPROCESS, Limits(max_pixels=64_000_000)).pixels.shape == (224, 224, 3)


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


# Whether the last one is whole

END = b"\xff\xd9"
EXAMPLES = Path(millisight.server.__file__).parent / "static" / "examples"
WAYS = [
    {"progressive": progressive, **restarts}
    for progressive, restarts in product(
        (False, True), ({}, {"restart_marker_rows": 1}, {"restart_marker_blocks": 5})
    )
]
WAY_NAMES = ["-".join(name for name, value in way.items() if value) or "baseline" for way in WAYS]


def photographs() -> list[Image.Image]:
    """Real ones, with which the page shows what it does."""
    pictures = []
    for path in sorted(EXAMPLES.glob("*.avif")):
        with Image.open(path) as image:
            pictures.append(image.convert("RGB"))
    assert len(pictures) >= 4
    return pictures


PHOTOGRAPHS = photographs()


def refuse(data: bytes) -> None:
    with pytest.raises(BadImage, match=r"cannot be read: .*[Tt]runcated") as raised:
        decode(data, PREPROCESS, LIMITS)
    assert "complete" in raised.value.hint


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("way", WAYS, ids=WAY_NAMES)
def test_a_photograph_that_was_cut_off_and_closed_again_is_refused(way: dict, mode: str) -> None:
    for picture in PHOTOGRAPHS:
        data = encode(picture.convert(mode), "JPEG", **way)
        assert decode(data, PREPROCESS, LIMITS).pixels.any()
        for share in (0.1, 0.5, 0.9, 0.99):
            cut = data[: int(len(data) * share)] + END
            refuse(cut)
        refuse(cut + data)
        refuse(cut[:-2] + b"\xff\xff\xff" + END)


@pytest.mark.parametrize("way", WAYS, ids=WAY_NAMES)
def test_it_may_lack_two_blocks_and_in_the_last_of_several_scans_some_detail(way: dict) -> None:
    data = encode(PHOTOGRAPHS[0], "JPEG", quality=90, **way)
    whole = decode(data, PREPROCESS, LIMITS).pixels
    last = data.rindex(b"\xff\xda") if way["progressive"] else data.index(b"\xff\xda")
    places = [*range(last - 40, last + 40), *range(last + 40, len(data), 37)]
    answered = []
    for at in places:
        try:
            pixels = decode(data[:at] + END, PREPROCESS, LIMITS).pixels
        except BadImage:
            continue
        answered.append(at)
        assert difference(pixels, whole) < 2
    if not way["progressive"]:
        assert all(at > len(data) - 20 for at in answered)
    assert len(answered) <= len(places) // 50


def test_it_is_refused_before_its_missing_part_is_painted_grey() -> None:
    data = encode(PHOTOGRAPHS[0], "JPEG")
    cut = data[: len(data) // 2] + END
    with Image.open(BytesIO(cut)) as image:
        # What Pillow gives for it is the reason for all this.
        assert np.ptp(np.asarray(image)[-16:]) == 0
    refuse(cut)


def without(jpeg: bytes, scan: int) -> bytes:
    """A progressive JPEG that lacks the scan of this number, and its tables."""
    places = [at for at in range(len(jpeg)) if jpeg.startswith(SCAN, at)]
    ends = [jpeg.find(b"\xff\xc4", at) for at in places[:-1]] + [len(jpeg) - 2]
    return jpeg[: places[scan]] + jpeg[ends[scan] :]


@pytest.mark.parametrize("scan", [5, 6, 9])
def test_one_that_lacks_a_scan_is_refused(scan: int) -> None:
    refuse(without(encode(texture(80, 60), "JPEG", progressive=True, quality=95), scan))


def of_three_scans() -> bytes:
    """A baseline JPEG that keeps its three components apart."""
    parts = [encode(solid(value, "L"), "JPEG") for value in (180, 90, 200)]
    start = parts[0].index(b"\xff\xc0")
    frame = parts[0][start : start + 10].replace(b"\x00\x0b", b"\x00\x11")
    data = parts[0][:start] + frame[:9] + b"\3" + b"\1\x11\0\2\x11\0\3\x11\0"
    data += parts[0][start + 13 : parts[0].index(SCAN)]
    for number, part in enumerate(parts, 1):
        at = part.index(SCAN)
        data += part[at : at + 5] + bytes((number,)) + part[at + 6 : -2]
    return data + END


def test_a_baseline_jpeg_of_several_scans_needs_each_of_them() -> None:
    data = of_three_scans()
    with Image.open(BytesIO(data)) as image:
        expected = image.convert("RGB").getpixel((9, 9))
    assert decode(data, PREPROCESS, LIMITS).pixels[9, 9].tolist() == pytest.approx(expected, abs=1)
    assert read_scans(data).several
    refuse(data[: data.rindex(SCAN)] + END)
    refuse(data[:-12] + END)


@settings(max_examples=60, deadline=None)
@given(
    width=st.integers(1, 200),
    height=st.integers(1, 200),
    mode=st.sampled_from(["L", "RGB", "CMYK"]),
    fill=st.integers(0, 255),
    stripe=st.integers(0, 200),
    options=st.fixed_dictionaries(
        {
            "quality": st.integers(1, 100),
            "subsampling": st.sampled_from(["4:4:4", "4:2:2", "4:2:0"]),
            "progressive": st.booleans(),
            "optimize": st.booleans(),
            "restart_marker_blocks": st.integers(0, 9),
        }
    ),
)
def test_a_whole_picture_is_answered_whatever_is_at_its_bottom(
    width: int, height: int, mode: str, fill: int, stripe: int, options: dict
) -> None:
    """One colour, bars as of a film, a product on white: nothing that lacks an end."""
    picture = Image.new("RGB", (width, height), (fill, fill, fill))
    picture.paste(texture(width, height), (0, stripe - 200))
    data = encode(picture.convert(mode), "JPEG", **options)
    with Image.open(BytesIO(data)) as image:
        image.draft(None, (512, 512))
        expected = from_array(np.array(image.convert("RGB")), PREPROCESS, LIMITS).pixels
    assert np.array_equal(decode(data, PREPROCESS, LIMITS).pixels, expected)


def test_what_follows_the_end_is_no_part_of_the_last_scan() -> None:
    for options in ({}, {"progressive": True}):
        data = encode(texture(80, 60), "JPEG", **options)
        plain = decode(data, PREPROCESS, LIMITS).pixels
        for rest in (b"", b"\0" * 99, data, b"\xff" * 99, END):
            assert np.array_equal(decode(data + rest, PREPROCESS, LIMITS).pixels, plain)
        for before in (b"\xff\xff", b"\0\0", b"\xff\xfe\0\4ab", b"\xff\xd0"):
            closed = data[:-2] + before + END
            assert np.array_equal(decode(closed, PREPROCESS, LIMITS).pixels, plain)


def test_a_million_parts_between_scans_are_refused() -> None:
    data = encode(solid("red"), "JPEG", progressive=True)
    last = data.rindex(SCAN)
    with pytest.raises(BadImage, match="over 10,000 parts"):
        read_scans(data[:last] + b"\xff\xfe\0\2" * 1_000_000 + data[last:])
