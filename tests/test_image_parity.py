"""``decode`` shows the network what torchvision's reference transforms would show it."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from millisight.image import decode, from_array, from_pillow
from tests.hazards import exif_orientation, with_exif
from tests.support import LIMITS, PREPROCESS, difference, encode, reference, texture

NEAR = 1.0
"""Mean absolute difference allowed, of 255."""


def upright_reference(data: bytes) -> np.ndarray:
    with Image.open(BytesIO(data)) as image:
        return reference(ImageOps.exif_transpose(image))


def test_every_sample_photograph_matches_the_reference(samples: Path) -> None:
    off = {}
    pictures = sorted(samples.glob("*.jpg"))
    for path in pictures:
        data = path.read_bytes()
        distance = difference(decode(data, PREPROCESS, LIMITS).pixels, upright_reference(data))
        if distance > NEAR:
            off[path.name] = distance
    assert pictures
    assert off == {}


@pytest.mark.parametrize(
    "size",
    [
        (4032, 3024),
        (4031, 3023),
        (3023, 4031),
        (2001, 1501),
        (1025, 4093),
        (1024, 1024),
        (513, 4097),
    ],
)
@pytest.mark.parametrize("subsampling", [0, 2])
def test_a_large_jpeg_matches_the_reference(size: tuple[int, int], subsampling: int) -> None:
    data = encode(texture(*size), "JPEG", quality=90, subsampling=subsampling)
    decoded = decode(data, PREPROCESS, LIMITS)
    assert difference(decoded.pixels, upright_reference(data)) < NEAR
    assert decoded.warnings == ()


@pytest.mark.parametrize("size", [(333, 250), (2049, 1537), (600, 3000)])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_jpeg_is_turned_upright(size: tuple[int, int], orientation: int) -> None:
    data = with_exif(encode(texture(*size), "JPEG", quality=90), exif_orientation(orientation))
    decoded = decode(data, PREPROCESS, LIMITS)
    assert difference(decoded.pixels, upright_reference(data)) < NEAR
    assert decoded.warnings == (("exif_rotated",) if orientation > 1 else ())


def test_a_twelve_megapixel_portrait_is_turned_upright() -> None:
    data = with_exif(encode(texture(4031, 3023), "JPEG", quality=90), exif_orientation(6))
    decoded = decode(data, PREPROCESS, LIMITS)
    assert difference(decoded.pixels, upright_reference(data)) < NEAR


@pytest.mark.parametrize("file_format", ["PNG", "WEBP", "TIFF", "AVIF", "MPO"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_other_formats_are_turned_upright_once(file_format: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    data = encode(texture(333, 250), file_format, exif=exif)
    decoded = decode(data, PREPROCESS, LIMITS)
    assert difference(decoded.pixels, upright_reference(data)) < NEAR
    assert decoded.warnings == (("exif_rotated",) if orientation > 1 else ())


@pytest.mark.parametrize("file_format", ["JPEG", "TIFF"])
def test_a_pillow_image_is_turned_upright_once(file_format: str) -> None:
    exif = Image.Exif()
    exif[274] = 8
    data = encode(texture(333, 250), file_format, exif=exif)
    with Image.open(BytesIO(data)) as image:
        decoded = from_pillow(image, PREPROCESS, LIMITS)
    assert difference(decoded.pixels, upright_reference(data)) < NEAR


@pytest.mark.parametrize("size", [(256, 256), (224, 224), (257, 300), (31, 17), (1000, 999)])
def test_pixels_match_the_reference(size: tuple[int, int]) -> None:
    image = texture(*size)
    from_pixels = from_array(np.asarray(image), PREPROCESS, LIMITS)
    assert difference(from_pixels.pixels, reference(image)) < NEAR
    assert np.array_equal(from_pillow(image, PREPROCESS, LIMITS).pixels, from_pixels.pixels)


def test_the_interpolation_of_the_weights_is_used() -> None:
    image = texture(640, 480)
    bicubic = PREPROCESS.model_copy(update={"interpolation": "bicubic"})
    sharp = from_pillow(image, bicubic, LIMITS)
    expected = image.resize((341, 256), Image.Resampling.BICUBIC).crop((58, 16, 282, 240))
    assert difference(sharp.pixels, np.asarray(expected)) < NEAR
    assert not np.array_equal(sharp.pixels, from_pillow(image, PREPROCESS, LIMITS).pixels)


def test_the_size_of_the_weights_is_used() -> None:
    preprocess = PREPROCESS.model_copy(update={"resize": 320, "crop": 300})
    image = texture(640, 320)
    expected = image.crop((170, 10, 470, 310))
    assert np.array_equal(from_pillow(image, preprocess, LIMITS).pixels, np.asarray(expected))
