"""What happens to every kind of file that may arrive; see also the parity and property tests."""

import struct
import subprocess
import sys
import warnings
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageFile

from millisight.errors import BadImage, ImageTooLarge, UnsupportedFormat
from millisight.image import Decoded, Limits, decode, from_array, from_pillow
from tests import hazards
from tests.support import LIMITS, PREPROCESS, difference, encode, solid, texture

CYAN = (255, 0, 0, 0)
BOMBS = {
    "png": hazards.png(8000, 8000),
    "png that Pillow warns of": hazards.png(12_000, 12_000),
    "png that Pillow refuses": hazards.png(20_000, 20_000),
    "png of the greatest size": hazards.png(2**31 - 1, 2**31 - 1),
    "gif": hazards.gif(8000, 8000),
    "gif that Pillow refuses": hazards.gif(60_000, 60_000),
    "gif frame beyond its screen": hazards.gif_header() + hazards.gif_frame(8000, 8000) + b";",
    "gif that makes room for its second frame": hazards.gif(13_300, 13_300, disposal=2),
    "gif frame that does, beyond its screen": hazards.gif_header()
    + hazards.gif_frame(13_300, 13_300, disposal=2)
    + b";",
    "gif that restores what was transparent": hazards.gif(13_300, 13_300, disposal=3),
    "webp": hazards.webp(8000, 8000),
    "webp that Pillow refuses": hazards.webp(16_383, 16_383),
    "bmp": hazards.bmp(8000, 8000),
    "bmp upside down": hazards.bmp(8000, -8000),
    "tiff": hazards.tiff(8000, 8000),
    "tiff that Pillow refuses": hazards.tiff(2**32 - 1, 2**32 - 1),
    "tiff tile": hazards.tiff_of_one_tile(8000),
    "avif": hazards.avif_that_says(encode(solid("red"), "AVIF"), 8000, 8000),
    "avif that Pillow refuses": hazards.avif_that_says(
        encode(solid("red"), "AVIF"), 16_000, 16_000
    ),
    "jpeg": hazards.jpeg_of_size(encode(solid("red"), "JPEG"), 8000, 8000),
    "jpeg that Pillow refuses": hazards.jpeg_of_size(encode(solid("red"), "JPEG"), 65_500, 65_500),
}


def show(data: bytes) -> Decoded:
    return decode(data, PREPROCESS, LIMITS)


def color(decoded: Decoded, *, noise: int = 2) -> list[int]:
    """The one colour of the network input, which may vary by ``noise`` in lossy formats."""
    pixels = decoded.pixels
    assert pixels.shape == (224, 224, 3)
    assert pixels.dtype == np.uint8
    assert np.ptp(pixels, axis=(0, 1)).max() <= noise
    return [int(value) for value in pixels[112, 112]]


# Bombs


@pytest.mark.parametrize("pillow_warnings", ["error", "ignore"])
@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused(name: str, pillow_warnings: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter(pillow_warnings, Image.DecompressionBombWarning)  # type: ignore[arg-type]
        with pytest.raises(ImageTooLarge, match=r"^The picture .* the limit is 50 mega") as raised:
            show(BOMBS[name])
    assert raised.value.status == 413
    assert raised.value.hint


def test_bombs_are_refused_before_memory_is_spent_on_them(tmp_path: Path) -> None:
    if not Path("/proc/self/status").exists():
        pytest.skip("the peak of a process's memory is read from /proc")
    for index, data in enumerate(BOMBS.values()):
        (tmp_path / str(index)).write_bytes(data)
    program = """
import pathlib, sys, warnings
from millisight.errors import ImageTooLarge
from tests.test_image import show
from tests.support import encode, solid
def peak():
    status = pathlib.Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) // 1024
warnings.simplefilter("ignore")
show(encode(solid("red"), "JPEG"))
before = peak()
for path in pathlib.Path(sys.argv[1]).iterdir():
    try:
        show(path.read_bytes())
    except ImageTooLarge:
        continue
    sys.exit(f"{path} was accepted")
print(peak() - before)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[1],
    )
    assert int(done.stdout) < 20


def test_the_limit_itself_is_allowed() -> None:
    data = encode(solid("red", size=(40, 30)), "PNG")
    assert decode(data, PREPROCESS, Limits(max_pixels=1200)).warnings == ()
    with pytest.raises(ImageTooLarge, match="40 × 30 pixels"):
        decode(data, PREPROCESS, Limits(max_pixels=1199))


def test_a_jpeg_is_measured_before_it_is_decoded_at_reduced_size() -> None:
    data = encode(solid("red", size=(2048, 2048)), "JPEG")
    with pytest.raises(ImageTooLarge):
        decode(data, PREPROCESS, Limits(max_pixels=2048 * 2047))


# Formats


@pytest.mark.parametrize(
    "file_format", ["JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"]
)
def test_every_supported_format_is_read_as_the_first_picture_of_a_process(file_format: str) -> None:
    program = """
import sys
from tests.test_image import show
print(show(sys.stdin.buffer.read()).warnings)
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=encode(solid("red"), file_format),
        capture_output=True,
        check=True,
        cwd=Path(__file__).parents[1],
    )
    assert done.stdout.strip() == b"()"


@pytest.mark.parametrize(
    "file_format", ["JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"]
)
def test_a_plain_picture_gives_no_warnings(file_format: str) -> None:
    decoded = show(encode(solid((200, 40, 90)), file_format))
    assert color(decoded, noise=8) == pytest.approx([200, 40, 90], abs=3)
    assert decoded.warnings == ()


@pytest.mark.parametrize("file_format", ["EPS", "PDF", "PPM", "ICO", "TGA", "JPEG2000", "PCX"])
def test_a_format_off_the_list_is_refused(file_format: str) -> None:
    with pytest.raises(UnsupportedFormat) as raised:
        show(encode(solid("red"), file_format))
    assert raised.value.status == 415
    assert "JPEG, PNG" in raised.value.hint


def test_psd_is_refused() -> None:
    with pytest.raises(UnsupportedFormat):
        show(b"8BPS\0\x01" + bytes(6) + b"\0\x03\0\0\0\x08\0\0\0\x08\0\x08\0\x03" + bytes(16))


@pytest.mark.parametrize("brand", [b"heic", b"heix", b"mif1", b"hevc"])
def test_heic_is_refused_with_a_way_out(brand: bytes) -> None:
    with pytest.raises(UnsupportedFormat, match="HEIC") as raised:
        show(hazards.heic(brand))
    assert raised.value.status == 415
    assert "JPEG" in raised.value.hint


def test_an_empty_file_is_a_bad_image() -> None:
    with pytest.raises(BadImage, match="empty") as raised:
        show(b"")
    assert raised.value.status == 422


@pytest.mark.parametrize("data", [b"\0", b"<svg/>", bytes(1000), b"hello" * 100, b"\xff" * 64])
def test_garbage_is_not_a_supported_format(data: bytes) -> None:
    with pytest.raises(UnsupportedFormat):
        show(data)


# Damage


ENCODINGS = {
    "JPEG": ("JPEG", {}),
    "progressive JPEG": ("JPEG", {"progressive": True}),
    "PNG": ("PNG", {}),
    "WebP": ("WEBP", {}),
    "lossless WebP": ("WEBP", {"lossless": True}),
    "GIF": ("GIF", {}),
    "BMP": ("BMP", {}),
    "TIFF": ("TIFF", {}),
    "TIFF of JPEG": ("TIFF", {"compression": "jpeg"}),
    "TIFF of LZW": ("TIFF", {"compression": "tiff_lzw"}),
    "AVIF": ("AVIF", {}),
}


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("name", ENCODINGS)
def test_a_truncated_picture_is_a_bad_image(name: str, share: float) -> None:
    file_format, options = ENCODINGS[name]
    data = encode(texture(400, 300), file_format, **options)
    assert show(data).warnings == ()
    with pytest.raises(BadImage) as raised:
        show(data[: int(len(data) * share)])
    assert raised.value.status == 422
    assert "complete" in raised.value.hint


@pytest.mark.parametrize("name", ["JPEG", "progressive JPEG"])
def test_so_is_one_that_lacks_a_thousandth(name: str) -> None:
    file_format, options = ENCODINGS[name]
    data = encode(texture(400, 300), file_format, **options)
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False
    with pytest.raises(BadImage, match="truncated"):
        show(data[: int(len(data) * 0.999)])
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False


def test_a_jpeg_of_endless_scans_is_refused() -> None:
    data = encode(solid("red"), "JPEG", progressive=True)
    scan = data[data.rindex(b"\xff\xda") : -2]
    assert show(data[:-2] + scan * 50 + data[-2:]).warnings == ()
    with pytest.raises(BadImage, match="scans"):
        show(data[:-2] + scan * 5000 + data[-2:])


@pytest.mark.parametrize(
    "block",
    [
        b"",
        b"garbage",
        b"II*\0\x08\0\0\0\xff\xff",
        b"II*\0\xff\xff\xff\xff",
        hazards.exif_orientation(0),
        hazards.exif_orientation(9),
        hazards.exif_orientation(65_535),
        hazards.exif_orientation(6, kind=2),
        hazards.exif_orientation(6, kind=12),
        hazards.exif_orientation(6, kind=200),
    ],
)
def test_broken_exif_is_no_reason_to_refuse(block: bytes) -> None:
    plain = encode(texture(80, 60), "JPEG")
    decoded = show(hazards.with_exif(plain, block))
    assert np.array_equal(decoded.pixels, show(plain).pixels)
    assert decoded.warnings == ()


@pytest.mark.parametrize("file_format", ["PNG", "WEBP"])
def test_an_exif_block_that_is_no_exif_is_harmless(file_format: str) -> None:
    plain = encode(texture(80, 60), file_format)
    decoded = show(encode(texture(80, 60), file_format, exif=b"Exif\0\0garbage garbage"))
    assert np.array_equal(decoded.pixels, show(plain).pixels)
    assert decoded.warnings == ()


def test_an_exif_block_that_refers_to_itself_is_harmless() -> None:
    plain = encode(solid("red"), "JPEG")
    block = b"II*\0" + bytes.fromhex("08000000 0100 6987 0400 01000000 08000000 08000000")
    assert show(hazards.with_exif(plain, block)).warnings == ()


# Colour


def test_grey_becomes_rgb() -> None:
    decoded = show(encode(solid(77, "L"), "PNG"))
    assert color(decoded) == [77, 77, 77]
    assert decoded.warnings == ()


@pytest.mark.parametrize("value", [0, 1])
def test_one_bit_pictures_are_black_and_white(value: int) -> None:
    decoded = show(encode(solid(value, "1"), "PNG"))
    assert color(decoded) == [255 * value] * 3
    assert decoded.warnings == ()


def test_a_palette_is_looked_up() -> None:
    decoded = show(encode(solid((10, 200, 30)).quantize(4), "PNG"))
    assert color(decoded) == [10, 200, 30]
    assert decoded.warnings == ()


@pytest.mark.parametrize("file_format", ["JPEG", "TIFF"])
@pytest.mark.parametrize("profile", [None, "garbage", "rgb"])
def test_cmyk_without_a_usable_profile_is_converted_by_formula(
    file_format: str, profile: str | None
) -> None:
    rgb_profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    profiles = {None: None, "garbage": b"garbage" * 40, "rgb": rgb_profile}
    data = encode(solid(CYAN, "CMYK"), file_format, icc_profile=profiles[profile])
    decoded = show(data)
    assert color(decoded) == pytest.approx([0, 255, 255], abs=3)
    assert decoded.warnings == ("cmyk_converted",)


@pytest.mark.parametrize(("lab", "rgb"), [((255, 128, 128), 255), ((0, 128, 128), 0)])
def test_cmyk_is_converted_through_its_profile(lab: tuple[int, int, int], rgb: int) -> None:
    data = encode(solid(CYAN, "CMYK"), "JPEG", icc_profile=hazards.cmyk_profile(lab))
    decoded = show(data)
    assert color(decoded) == pytest.approx([rgb] * 3, abs=2)
    assert decoded.warnings == ("cmyk_converted",)


def test_the_profile_of_an_rgb_picture_is_not_applied() -> None:
    """As torchvision does it, and with it the weights were made: see decision 5."""
    plain = encode(texture(400, 300), "PNG")
    wide = encode(texture(400, 300), "PNG", icc_profile=hazards.wide_profile())
    with Image.open(BytesIO(wide)) as image:
        profile = ImageCms.ImageCmsProfile(BytesIO(image.info["icc_profile"]))
        srgb = ImageCms.createProfile("sRGB")
        assert ImageCms.profileToProfile(image, profile, srgb) is not None
    assert np.array_equal(show(wide).pixels, show(plain).pixels)


@pytest.mark.parametrize("value", [0, 255, 256, 0x1234, 32_768, 65_535])
@pytest.mark.parametrize(
    ("mode", "file_format"), [("I;16", "PNG"), ("I;16", "TIFF"), ("I;16B", "TIFF")]
)
def test_16_bit_grey_is_scaled_and_not_clipped(mode: str, file_format: str, value: int) -> None:
    order = ">" if mode == "I;16B" else "<"
    image = Image.frombytes(mode, (20, 20), np.full(400, value, f"{order}u2").tobytes())
    decoded = show(encode(image, file_format))
    assert color(decoded) == [value >> 8] * 3
    assert decoded.warnings == ("16bit_scaled",)


def test_integers_that_fit_in_16_bits_are_16_bit_grey() -> None:
    pixels = np.full((20, 20), 0x4567, "<u4")
    decoded = show(hazards.tiff(20, 20, pixels.tobytes(), bits=32))
    assert color(decoded) == [0x45] * 3
    assert decoded.warnings == ("16bit_scaled",)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("kind", "sample_format"), [("i4", 2), ("f4", 3)])
@pytest.mark.parametrize(("least", "greatest"), [(-5, 1_000_000), (0, 100), (-3, -1)])
def test_32_bit_grey_is_stretched(
    order: str, kind: str, sample_format: int, least: int, greatest: int
) -> None:
    pixels = np.full((64, 64), least, order + kind)
    pixels[:, 32:] = greatest
    data = hazards.tiff(64, 64, pixels.tobytes(), bits=32, sample_format=sample_format, order=order)
    decoded = show(data)
    assert decoded.pixels[100, 0].tolist() == [0, 0, 0]
    assert decoded.pixels[100, 223].tolist() == [255, 255, 255]
    assert decoded.warnings == ("32bit_stretched",)


def test_fractions_are_stretched_over_what_is_a_number() -> None:
    pixels = np.full((64, 64), 0.2, "<f4")
    pixels[:, 32:] = 0.4
    pixels[0, :3] = (np.nan, np.inf, -np.inf)
    decoded = show(hazards.tiff(64, 64, pixels.tobytes(), bits=32, sample_format=3))
    assert decoded.pixels[100, 0].tolist() == [0, 0, 0]
    assert decoded.pixels[100, 223].tolist() == [255, 255, 255]


@pytest.mark.parametrize("value", [7.0, np.nan, np.inf])
def test_fractions_that_are_all_one_value_are_black(value: float) -> None:
    pixels = np.full((20, 20), value, "<f4")
    decoded = show(hazards.tiff(20, 20, pixels.tobytes(), bits=32, sample_format=3))
    assert color(decoded) == [0, 0, 0]


# Transparency


def palette_png() -> bytes:
    image = solid(0, "P")
    image.putpalette([255, 0, 0, 0, 255, 0])
    return encode(image, "PNG", transparency=0)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (encode(solid((255, 0, 0, 0), "RGBA"), "PNG"), [255, 255, 255]),
        (encode(solid((255, 0, 0, 128), "RGBA"), "PNG"), [255, 127, 127]),
        (encode(solid((255, 0, 0, 0), "RGBA"), "WEBP", lossless=True), [255, 255, 255]),
        (encode(solid((255, 0, 0, 0), "RGBA"), "AVIF"), [255, 255, 255]),
        (encode(solid((255, 0, 0, 128), "RGBA"), "TIFF"), [255, 127, 127]),
        (encode(solid((0, 128), "LA"), "PNG"), [127, 127, 127]),
        (encode(solid((0, 0), "PA"), "TIFF"), [255, 255, 255]),
        (encode(solid((9, 8, 7)), "PNG", transparency=(9, 8, 7)), [255, 255, 255]),
        (encode(solid(9, "L"), "PNG", transparency=9), [255, 255, 255]),
        (encode(solid((255, 0, 0, 0), "RGBA"), "GIF"), [255, 255, 255]),
        (palette_png(), [255, 255, 255]),
    ],
    ids=["rgba", "half", "webp", "avif", "tiff", "la", "pa", "rgb-key", "l-key", "gif", "p-key"],
)
def test_what_is_transparent_is_white(data: bytes, expected: list[int]) -> None:
    decoded = show(data)
    assert color(decoded) == pytest.approx(expected, abs=1)
    assert decoded.warnings == ("alpha_on_white",)


@pytest.mark.parametrize(
    "data",
    [
        encode(solid((255, 0, 0, 255), "RGBA"), "PNG"),
        encode(solid((76, 255), "LA"), "PNG"),
        encode(solid((255, 0, 0)), "PNG", transparency=(9, 8, 7)),
    ],
    ids=["rgba", "la", "unused-key"],
)
def test_an_opaque_picture_gives_no_warning(data: bytes) -> None:
    decoded = show(data)
    assert color(decoded) in ([255, 0, 0], [76, 76, 76])
    assert decoded.warnings == ()


# Frames


@pytest.mark.parametrize("file_format", ["GIF", "WEBP", "PNG", "TIFF", "AVIF", "MPO"])
def test_the_first_of_many_frames_is_shown(file_format: str) -> None:
    frames = [solid((200, 40, 10)), *(solid((10, 20 * n, 220)) for n in range(1, 12))]
    decoded = show(encode(frames[0], file_format, save_all=True, append_images=frames[1:]))
    assert color(decoded, noise=8) == pytest.approx([200, 40, 10], abs=3)
    assert decoded.warnings == ("first_of_12_frames",)


def test_beyond_a_thousand_frames_are_not_counted() -> None:
    data = hazards.gif_header() + hazards.gif_frame() * 1001 + b";"
    assert show(data).warnings == ("first_of_over_1000_frames",)


def test_warnings_are_listed_in_the_order_of_the_work() -> None:
    exif = Image.Exif()
    exif[274] = 6
    frame = solid((255, 0, 0, 0), "RGBA")
    other = solid((0, 255, 0, 0), "RGBA")
    data = encode(frame, "PNG", exif=exif, save_all=True, append_images=[other])
    assert show(data).warnings == ("first_of_2_frames", "exif_rotated", "alpha_on_white")


# Shapes


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (1, 3)])
@pytest.mark.parametrize("file_format", ["PNG", "JPEG"])
def test_the_smallest_pictures_are_enlarged(file_format: str, size: tuple[int, int]) -> None:
    decoded = show(encode(solid((10, 200, 30), size=size), file_format))
    assert color(decoded) == pytest.approx([10, 200, 30], abs=3)


@pytest.mark.parametrize("vertical", [False, True])
@pytest.mark.parametrize("file_format", ["PNG", "JPEG"])
def test_a_line_of_pixels_shows_its_middle(file_format: str, vertical: bool) -> None:
    pixels = np.full((1, 60_000, 3), (255, 0, 0), np.uint8)
    pixels[:, 29_980:30_020] = (0, 0, 255)
    if vertical:
        pixels = pixels.swapaxes(0, 1)
    decoded = show(encode(Image.fromarray(pixels), file_format, quality=95, subsampling=0))
    assert color(decoded) == pytest.approx([0, 0, 255], abs=3)


# Pixels and Pillow images


@pytest.mark.parametrize(
    ("array", "expected", "warned"),
    [
        (np.full((30, 40), 9, np.uint8), [9, 9, 9], ()),
        (np.full((30, 40, 3), (1, 2, 3), np.uint8), [1, 2, 3], ()),
        (np.full((30, 40, 4), (1, 2, 3, 255), np.uint8), [1, 2, 3], ()),
        (np.full((30, 40, 4), (1, 2, 3, 0), np.uint8), [255, 255, 255], ("alpha_on_white",)),
        (np.full((30, 40), 0x1234, np.uint16), [0x12] * 3, ("16bit_scaled",)),
        (np.full((60, 40, 3), (1, 2, 3), np.uint8)[::2, :, ::-1], [3, 2, 1], ()),
    ],
    ids=["grey", "rgb", "opaque", "transparent", "16-bit", "strided"],
)
def test_pixels_are_taken(array: np.ndarray, expected: list[int], warned: tuple[str, ...]) -> None:
    decoded = from_array(array, PREPROCESS, LIMITS)
    assert color(decoded) == expected
    assert decoded.warnings == warned


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4,), np.uint8),
        np.zeros((4, 4, 1), np.uint8),
        np.zeros((4, 4, 2), np.uint8),
        np.zeros((1, 4, 4, 3), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((4, 4, 3), np.uint16),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((4, 4), np.int64),
        np.zeros((4, 4), bool),
        np.array(None),
    ],
)
def test_other_arrays_are_refused_with_what_is_right(array: np.ndarray) -> None:
    with pytest.raises(BadImage, match="is not a picture") as raised:
        from_array(array, PREPROCESS, LIMITS)
    assert "uint8 of shape (h, w)" in raised.value.hint


def test_too_many_pixels_are_refused_in_any_form() -> None:
    limits = Limits(max_pixels=99)
    with pytest.raises(ImageTooLarge):
        from_array(np.zeros((10, 10), np.uint8), PREPROCESS, limits)
    with pytest.raises(ImageTooLarge):
        from_pillow(solid("red", size=(10, 10)), PREPROCESS, limits)


def test_a_pillow_image_is_left_as_it_is() -> None:
    data = encode(texture(1200, 1100), "JPEG")
    with Image.open(BytesIO(data)) as image:
        first = from_pillow(image, PREPROCESS, LIMITS)
        assert image.size == (1200, 1100)
        assert image.mode == "RGB"
        again = from_pillow(image, PREPROCESS, LIMITS)
    assert np.array_equal(first.pixels, again.pixels)
    assert difference(first.pixels, show(data).pixels) < 1


def test_a_pillow_image_without_pixels_is_a_bad_image() -> None:
    with pytest.raises(BadImage, match="no pixels"):
        from_pillow(Image.new("RGB", (0, 5)), PREPROCESS, LIMITS)


def test_a_truncated_file_opened_by_the_user_is_a_bad_image() -> None:
    data = encode(texture(400, 300), "JPEG")
    with Image.open(BytesIO(data[:5000])) as image, pytest.raises(BadImage, match="truncated"):
        from_pillow(image, PREPROCESS, LIMITS)


def test_a_mode_that_pillow_cannot_convert_is_a_bad_image() -> None:
    with pytest.raises(BadImage):
        from_pillow(Image.new("La", (9, 9)), PREPROCESS, LIMITS)


def test_a_signalling_nan_is_no_number_like_any_other() -> None:
    signalling = struct.pack("<I", 0x7F800001)
    data = hazards.tiff(1, 1, signalling, bits=32, sample_format=3)
    decoded = decode(data, PREPROCESS, LIMITS)
    assert decoded.warnings == ("32bit_stretched",)
    assert (decoded.pixels == 0).all()


# Faults of this program


BROKEN = PREPROCESS.model_copy(update={"interpolation": "none"})
"""What no manifest has: resizing fails with a ``KeyError``, as a fault of ours would."""


def test_a_fault_of_ours_is_not_the_pictures() -> None:
    with pytest.raises(KeyError, match="none"):
        decode(encode(solid("red"), "PNG"), BROKEN, LIMITS)
    with pytest.raises(KeyError, match="none"):
        from_pillow(solid("red"), BROKEN, LIMITS)


class Telling(Image.Image):
    """A picture that fails as a decoder might."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error
        self._size = (9, 9)

    def copy(self) -> Image.Image:
        raise self.error


def test_nor_is_it_the_pictures_when_there_is_no_memory() -> None:
    with pytest.raises(MemoryError):
        from_pillow(Telling(MemoryError()), PREPROCESS, LIMITS)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("image file is truncated (3 bytes not processed).", "image file is truncated (3 bytes"),
        ("[Errno 2] No such file: '/home/me/cache'", "it is damaged"),
        ("a\nERROR forged", "it is damaged"),
        ("", "it is damaged"),
    ],
)
def test_what_a_decoder_says_is_told_only_if_it_is_a_plain_sentence(said: str, told: str) -> None:
    with pytest.raises(BadImage) as raised:
        from_pillow(Telling(OSError(said)), PREPROCESS, LIMITS)
    assert raised.value.message.startswith(f"The picture cannot be read: {told}")
