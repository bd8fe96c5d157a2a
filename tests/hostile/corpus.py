"""Uploads for every hazard of an image-upload service, made anew from seeds each time.

No dangerous file lies in the repository; this writes them all to a folder:

    python -m tests.hostile.corpus DIR
"""

import argparse
import random
import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from millisight.errors import BadImage, BadRequest, ImageTooLarge, UnsupportedFormat, UploadTooLarge
from millisight.formats import FORMATS
from millisight.scans import MAX_SCANS
from tests import hazards, hostile
from tests.hostile import END, FORM, Hostile, black_png, part, tiff_entry, upload
from tests.support import encode, solid, texture

_ANY = (BadImage, ImageTooLarge, UnsupportedFormat)
_SIDE = 7000
"""A square of this side, 49 megapixels, is just within the limit of 50."""


def corpus() -> Iterator[Hostile]:
    """All of them, in the same order and with the same bytes each time."""
    photo = texture(160, 120)
    files = {kind: encode(photo, kind) for kind in FORMATS}
    yield from _scraps()
    yield from _damaged(files)
    yield from _disguised(photo, files)
    yield from _bombs_of_headers(files["JPEG"])
    yield from _bombs_of_pixels()
    yield from _bombs_of_chunks(files["JPEG"])
    yield from _shapes(files["JPEG"])
    yield from _metadata(photo, files["JPEG"])
    yield from _colours(photo)
    yield from _frames(photo)
    yield from _file_names(files["JPEG"])
    yield from _broken_forms(files["JPEG"])


def _scraps() -> Iterator[Hostile]:
    """What is no picture at all."""
    yield upload("empty", b"", BadRequest)
    yield upload("one byte", b"\xff", UnsupportedFormat)
    for size in (2, 16, 1000, 100_000, 3_000_000):
        noise = random.Random(size).randbytes(size)
        yield upload(f"noise of {size} bytes", noise, UnsupportedFormat)
    yield upload("as many zeros as may be", bytes(10_000_000), UnsupportedFormat)
    yield upload("one zero too many", bytes(10_000_001), UploadTooLarge)


def _damaged(files: dict[str, bytes]) -> Iterator[Hostile]:
    """Each format cut off and with bits turned over."""
    for kind, data in files.items():
        for percent in (10, 50, 90, 99):
            # What is missing at the very end of these may be no pixel.
            whole = percent == 99 and kind in {"GIF", "PNG"}
            cut = data[: len(data) * percent // 100]
            yield upload(f"{kind} cut off at {percent} %", cut, BadImage, answered=whole)
            if kind == "JPEG":
                closed = cut + b"\xff\xd9"
                yield upload(f"{kind} cut off at {percent} % and closed again", closed, BadImage)
        for seed in range(3):
            # Behind the first bytes, by which the format is known.
            header = hostile.with_flips(data, 12, 80, seed)
            yield upload(f"{kind} flipped in its header {seed}", header, *_ANY, answered=True)
            body = hostile.with_flips(data, 80, len(data), seed)
            yield upload(f"{kind} flipped in its body {seed}", body, *_ANY, answered=True)
    for name, data in hostile.malformed(files["JPEG"]).items():
        yield upload(f"malformed JPEG: {name}", data, BadImage, answered=True)


def _disguised(photo: Image.Image, files: dict[str, bytes]) -> Iterator[Hostile]:
    """The format surface: what Pillow could open, two things at once, and wrong types."""
    for kind in ("PPM", "ICO", "TGA", "PCX", "DDS", "SGI", "EPS", "PDF", "JPEG2000"):
        yield upload(f"not on the list: {kind}", encode(photo, kind), UnsupportedFormat)
    jpeg, script = files["JPEG"], b"<script>alert(document.domain)</script>"
    for name, data in {
        "HTML": b"<!doctype html>" + script,
        "SVG that reads a file": b'<!DOCTYPE s [<!ENTITY e SYSTEM "file:///etc/passwd">]>'
        b'<svg xmlns="http://www.w3.org/2000/svg"><text>&e;</text></svg>',
        "PostScript that runs a command": b"%!PS-Adobe-3.0 EPSF-3.0\n(%pipe%id) (w) file\n",
        "PSD": b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 9, 9, 8, 3) + bytes(99),
        "HEIC": hazards.heic(),
        "PDF around a JPEG": b"%PDF-1.7\n" + jpeg,
        "ZIP around a JPEG": b"PK\x03\x04" + bytes(26) + jpeg,
        "nearly a GIF": b"GIF88a=1;" + script,
        "commands to ImageMagick": b"push graphic-context\nimage over 0,0 0,0 'ephemeral:x'",
    }.items():
        yield upload(f"disguise: {name}", data, UnsupportedFormat)
    yield upload("polyglot: GIF that is a script", b"GIF89a=1;/*" + script, *_ANY)
    yield upload("polyglot: GIF, then a script", files["GIF"] + b"*/=1;" + script)
    yield upload("polyglot: JPEG, then a ZIP", jpeg + b"PK\x05\x06" + bytes(18))
    yield upload("AVIF brand on nothing", hazards.heic(b"avif"), BadImage)
    for kind in ("text/html", "image/gif", "application/json", "multipart/mixed; boundary=x"):
        yield upload(f"JPEG that says it is {kind}", jpeg, kind=kind)
    for kind in ("application/x-www-form-urlencoded", "x" * 10_000, "image/jpeg; \xff"):
        yield upload(f"JPEG that says it is {kind[:40]!a}", jpeg, kind=kind)


def _bombs_of_headers(jpeg: bytes) -> Iterator[Hostile]:
    """Small files that say they are huge."""
    for name, data in {
        "PNG": hazards.png(8000, 8000),
        "PNG beyond Pillow": hazards.png(2**31 - 1, 2**31 - 1),
        "GIF": hazards.gif(60_000, 60_000),
        "GIF frame beyond its screen": hazards.gif_header() + hazards.gif_frame(8000, 8000) + b";",
        "GIF that makes room for its second frame": hazards.gif(13_300, 13_300, disposal=2),
        "WebP": hazards.webp(16_383, 16_383),
        "BMP": hazards.bmp(60_000, 60_000),
        "BMP upside down": hazards.bmp(60_000, -60_000),
        "TIFF": hazards.tiff(2**32 - 1, 2**32 - 1),
        "TIFF with a huge tile": hazards.tiff_of_one_tile(8000),
        "JPEG": hazards.jpeg_of_size(jpeg, 65_500, 65_500),
        "AVIF": hazards.avif_that_says(encode(solid("red"), "AVIF"), 8000, 8000),
    }.items():
        yield upload(f"bomb: header of a {name}", data, ImageTooLarge)
    thin = hazards.jpeg_of_size(jpeg, _SIDE, _SIDE)
    yield upload("bomb: JPEG of little data", thin, BadImage)
    small = encode(solid("red", size=(2000, 2000)), "AVIF")
    avif = hazards.avif_that_says(small, 10, 10)
    yield upload("bomb: AVIF of a frame larger than it says", avif, BadImage)
    avif = hazards.avif_of_frames(small, 9)
    yield upload("bomb: AVIF of frames that are never shown", avif, BadImage)
    endless = hazards.tiff(9, 9).replace(tiff_entry(273, 8), tiff_entry(273, 8, count=2**32 - 1))
    yield upload("bomb: TIFF of endless strips", endless, BadImage)


def _bombs_of_pixels() -> Iterator[Hostile]:
    """Small files that hold what they say; what is just within the limit is answered."""
    yield upload("bomb: 88 megapixels of one bit", black_png(11_000, 8000, bits=1), ImageTooLarge)
    yield upload("49 megapixels of one bit", black_png(_SIDE, _SIDE, bits=1))
    yield upload("49 megapixels with alpha", black_png(_SIDE, _SIDE, color=4))
    grey = solid(9, "L", (_SIDE, _SIDE))
    yield upload("49 megapixels of GIF", encode(grey, "GIF"))
    yield upload("49 megapixels of WebP", encode(grey, "WEBP", method=0, lossless=True))
    for name, bits, sample_format in (("16 bits", 16, 1), ("floats", 32, 3)):
        packed = zlib.compress(bytes(_SIDE * _SIDE * bits // 8), 1)
        data = hazards.tiff(_SIDE, _SIDE, packed, bits=bits, sample_format=sample_format)
        deflated = data.replace(tiff_entry(259, 1), tiff_entry(259, 8))
        yield upload(f"49 megapixels of TIFF in {name}", deflated)
    progressive = encode(solid("red"), "JPEG", progressive=True)
    most = hostile.jpeg_of_scans(progressive, MAX_SCANS, _SIDE)
    yield upload(f"bomb: {MAX_SCANS} scans of next to nothing", most, BadImage)
    large = encode(solid("red", size=(3000, 3000)), "JPEG", progressive=True)
    most = hostile.jpeg_of_scans(large, MAX_SCANS, 3000)
    yield upload(f"9 megapixels of JPEG in {MAX_SCANS} scans", most)
    endless = hostile.jpeg_of_scans(progressive, 5000, _SIDE)
    yield upload("bomb: JPEG of 5000 scans", endless, BadImage)


def _bombs_of_chunks(jpeg: bytes) -> Iterator[Hostile]:
    """Little pictures with much beside them."""
    zeros = zlib.compress(bytes(40_000_000), 9)
    text = (b"zTXt", b"a\0\0" + zlib.compress(bytes(1_000_000), 9))
    for name, chunks in {
        "profile that inflates": [(b"iCCP", b"a\0\0" + zeros)],
        "text that inflates": [(b"zTXt", b"a\0\0" + zeros)],
        "international text that inflates": [(b"iTXt", b"a\0\1\0\0\0" + zeros)],
        "60 texts of a megabyte": [text] * 60,
        "600 texts of a megabyte": [text] * 600,
        "more pixels than it has room for": [(b"IDAT", zeros)],
        "100,000 empty chunks": [(b"IDAT", b"")] * 100_000,
    }.items():
        png = black_png(9, 9, *chunks)
        yield upload(f"bomb: PNG with {name}", png, BadImage, answered=True)
    for name, data in {
        "JPEG of a million comments": jpeg[:2] + b"\xff\xfe\0\2" * 1_000_000 + jpeg[2:],
        "JPEG of a million blocks of EXIF": jpeg[:2]
        + b"\xff\xe1\0\x09Exif\0\0x" * 900_000
        + jpeg[2:],
        "JPEG of a million fill bytes": jpeg[:20] + b"\xff" * 1_000_000 + b"\0" + jpeg[20:],
        "GIF of a million comments": hazards.gif_header()
        + b"!\xfe\1x\0" * 1_000_000
        + hazards.gif_frame(),
        "TIFF of a million fractions": hazards.tiff_with(274, 5, 1_000_000),
        "BMP in run lengths": hazards.bmp_of_runs(49_000_000, 1, 1),
    }.items():
        yield upload(f"bomb: {name}", data, BadImage)
    for kind in ("PNG", "WEBP"):
        numbers = encode(solid("red"), kind, exif=hazards.exif_of_fractions(1_000_000))
        yield upload(f"bomb: {kind} with EXIF of a million fractions", numbers)
    comment = b"\xff\xfe\xff\xff" + bytes(65_533)
    yield upload("bomb: JPEG of 9 MB of comments", jpeg[:2] + comment * 140 + jpeg[2:])


def _shapes(jpeg: bytes) -> Iterator[Hostile]:
    """One pixel, a line, nothing, and sides that no reduced decoding divides."""
    for kind in FORMATS:
        yield upload(f"{kind} of one pixel", encode(solid("red", size=(1, 1)), kind))
    for wide, high in ((1, 60_000), (60_000, 1)):
        line = black_png(wide, high)
        yield upload(f"line of {wide} × {high}", line, BadImage, ImageTooLarge, answered=True)
    makers = {"PNG": hazards.png, "GIF": hazards.gif, "BMP": hazards.bmp, "TIFF": hazards.tiff}
    for kind, make in makers.items():
        yield upload(f"{kind} of no pixels", make(0, 0), BadImage)
    yield upload("JPEG of no pixels", hazards.jpeg_of_size(jpeg, 0, 0), BadImage)
    yield upload("parity: JPEG of odd sides", encode(texture(1027, 771), "JPEG", quality=100))


def _metadata(photo: Image.Image, jpeg: bytes) -> Iterator[Hostile]:
    """EXIF that is broken or absurd, names and scripts in it, and bad colour profiles."""
    one = b"II*\0" + struct.pack("<LH", 8, 1)
    for name, block in {
        "loop of directories": one + tiff_entry(274, 6, kind=3) + struct.pack("<L", 8),
        "directory in itself": one + tiff_entry(0x8769, 8) + bytes(4),
        "huge count": one + tiff_entry(274, 8, kind=3, count=2**32 - 1) + bytes(4),
        "text beyond the end": one + tiff_entry(270, 2**31, kind=2, count=2**31) + bytes(4),
        "65,535 entries": b"II*\0" + struct.pack("<LH", 8, 65_535) + bytes(60_000),
        "orientation of 65,535": hazards.exif_orientation(65_535),
        "orientation as text": hazards.exif_orientation(6, kind=2),
        "garbage": b"garbage" * 1000,
        "script": one
        + tiff_entry(270, 26, kind=2, count=24)
        + bytes(4)
        + b"<script>canary</script>",
    }.items():
        yield upload(f"EXIF in JPEG: {name}", hazards.with_exif(jpeg, block))
        yield upload(f"EXIF in PNG: {name}", black_png(9, 9, (b"eXIf", block)))
    told = Image.Exif()
    told.update({315: "canary", 270: "<b>canary</b>", 33_432: "canary"})
    for kind in ("JPEG", "PNG", "WEBP", "TIFF", "AVIF"):
        options = {"exif": told, "xmp": b"<x:xmpmeta>canary</x:xmpmeta>", "comment": b"canary"}
        yield upload(f"names and places in {kind}", encode(photo, kind, **options))
        yield upload(f"bad profile in {kind}", encode(photo, kind, icc_profile=b"garbage" * 99))
    yield upload("TIFF in itself", hazards.tiff(1, 1, tags=((330, 9), (34_665, 9))))


def _colours(photo: Image.Image) -> Iterator[Hostile]:
    """Every kind of pixel that a naïve conversion gets wrong; none may be refused."""
    dice = np.random.default_rng(0)
    ink, paint = photo.convert("CMYK"), photo.quantize(16)
    deep = Image.fromarray(dice.integers(0, 65_536, (60, 80), "u2"))
    floats = dice.random(81, "f4").tobytes()
    for name, data in {
        "CMYK": encode(ink, "JPEG"),
        "CMYK with a profile": encode(ink, "JPEG", icc_profile=hazards.cmyk_profile((0, 9, 9))),
        "CMYK with a bad profile": encode(ink, "JPEG", icc_profile=b"bad"),
        "YCbCr in TIFF": encode(photo.convert("YCbCr"), "TIFF"),
        "LAB in TIFF": encode(photo.convert("LAB"), "TIFF"),
        "grey": encode(photo.convert("L"), "JPEG"),
        "grey of 16 bits": encode(deep, "PNG"),
        "floats": hazards.tiff(9, 9, floats, bits=32, sample_format=3),
        "floats that are none": hazards.tiff(9, 9, b"\xff" * 324, bits=32, sample_format=3),
        "palette with transparency": encode(paint, "PNG", transparency=bytes(range(0, 256, 16))),
        "transparent red": encode(solid((255, 0, 0, 0), "RGBA"), "PNG"),
        "transparent WebP": encode(solid((255, 0, 0, 9), "RGBA"), "WEBP"),
    }.items():
        yield upload(f"colours: {name}", data)
    lost = encode(paint, "PNG").replace(b"PLTE", b"plTE")
    yield upload("colours: palette that is missing", lost, BadImage, answered=True)


def _frames(photo: Image.Image) -> Iterator[Hostile]:
    """Animations: the first frame counts, and the others cost nothing."""
    many = hazards.gif_header() + hazards.gif_frame() * 50_000 + b";"
    others = [solid((n, 0, 0), size=photo.size) for n in range(20)]
    yield upload("GIF of 50,000 frames", many)
    for kind in ("GIF", "PNG", "WEBP", "TIFF", "AVIF", "MPO"):
        yield upload(f"animated {kind}", encode(photo, kind, save_all=True, append_images=others))
    endless = black_png(9, 9, (b"acTL", struct.pack(">II", 2**31 - 1, 0)))
    yield upload("APNG of endless frames", endless, BadImage, answered=True)
    overlapping = hazards.overlapping_tiff(2000, 4000)
    yield upload("TIFF of overlapping directories", overlapping, *_ANY, answered=True)


def _file_names(jpeg: bytes) -> Iterator[Hostile]:
    """Forms whose picture is good, under a name that is not."""
    for name, text in hostile.FILE_NAMES.items():
        body = part(jpeg, b'; name="file"; filename="' + text + b'"') + END
        # What fits into no header may be refused; any other name is a name.
        unfit = any(byte < 32 for byte in text) or len(text) > 4096
        refusals = (BadRequest,) if unfit else ()
        yield upload(f"file name: {name}", body, *refusals, answered=True, kind=FORM)
    typed = b'; name="file"; filename="canary.png"\r\nContent-Type: text/x-canary'
    yield upload("form: part of another type", part(jpeg, typed) + END, kind=FORM)
    odd = FORM + "; charset=canary"
    yield upload("form: unknown character set", part(jpeg) + END, kind=odd)


def _broken_forms(jpeg: bytes) -> Iterator[Hostile]:
    """Forms that are no forms, or not such as the API asks for."""
    good, letters = part(jpeg), "x" * 10_000
    for name, body, kind in (
        ("no boundary", good + END, "multipart/form-data"),
        ("empty boundary", good + END, "multipart/form-data; boundary="),
        ("another boundary", good + END, "multipart/form-data; boundary=y"),
        ("boundary of 10,000 letters", good + END, f"multipart/form-data; boundary={letters}"),
        ("header of a megabyte", part(jpeg, b"; name=" + b"a" * 1_000_000) + END, FORM),
        ("header name of a megabyte", b"--x\r\n" + b"a" * 1_000_000 + b": b\r\n\r\n", FORM),
        ("100,000 headers", part(jpeg, b"\r\nX: y" * 100_000) + END, FORM),
        ("10,000 fields", part(b"", b"; name=a") * 10_000 + good + END, FORM),
        ("10,000 files", part(b"a") * 10_000 + END, FORM),
        ("text of two megabytes", part(bytes(2_000_000), b"; name=a") + good + END, FORM),
        ("picture as text", part(jpeg, b"; name=file") + END, FORM),
        ("other field", part(jpeg, b"; name=canary; filename=canary") + END, FORM),
        ("no name", part(jpeg, b"; filename=canary") + END, FORM),
        ("empty file", part(b"") + END, FORM),
        ("cut off in its head", good[:30], FORM),
        ("cut off in its picture", good[:-500], FORM),
        ("cut off before its end", good, FORM),
        ("lines and no part", b"\r\n" * 500_000, FORM),
        ("empty", b"", FORM),
    ):
        yield upload(f"form: {name}", body, BadRequest, kind=kind)
    nested = b"--y\r\nContent-Disposition: file; filename=canary\r\n\r\n" + jpeg + b"\r\n--y--"
    mixed = b'; name="file"; filename="a"\r\nContent-Type: multipart/mixed; boundary=y'
    yield upload("form: nested", part(nested, mixed) + END, UnsupportedFormat, kind=FORM)
    large = part(bytes(10_000_001)) + END
    yield upload("form: one byte too many", large, UploadTooLarge, kind=FORM)


def main() -> None:
    """Write one file for each."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, metavar="DIR")
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    for number, one in enumerate(corpus()):
        slug = re.sub(r"[^A-Za-z0-9]+", "-", one.name).strip("-")
        (folder / f"{number:03}-{slug}").write_bytes(one.content)


if __name__ == "__main__":
    main()
