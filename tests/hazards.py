"""Picture files no camera writes, put together by hand."""

import struct
import zlib
from collections.abc import Sequence

_GIF_HEADER = "<6sHHBBB6s"
_GIF_PIXEL = b"\x02\x02\x44\x01\x00"


def png(width: int, height: int) -> bytes:
    """The header of a 1-bit PNG, and next to no pixels."""
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(100))
    return png_of((b"IHDR", header), (b"IDAT", pixels), (b"IEND", b""))


def png_of(*chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of these chunks, each a kind and its data."""
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def gif_header(width: int = 1, height: int = 1) -> bytes:
    """Screen and a palette of black and white."""
    palette = b"\0\0\0\xff\xff\xff"
    return struct.pack(_GIF_HEADER, b"GIF89a", width, height, 0x80, 0, 0, palette)


def gif_frame(
    width: int = 1, height: int = 1, *, local_palette: bool = False, disposal: int = 0
) -> bytes:
    """A frame that holds one pixel, whatever its size, and has a transparent colour if it is to be
    taken away by the way that ``disposal`` numbers."""
    flags, palette = (0x80, bytes(6)) if local_palette else (0, b"")
    control = b"!\xf9\4" + bytes((disposal << 2 | 1, 0, 0, 1, 0)) if disposal else b""
    return control + b"," + struct.pack("<HHHHB", 0, 0, width, height, flags) + palette + _GIF_PIXEL


def gif(width: int, height: int, *, disposal: int = 0) -> bytes:
    """A GIF of one frame as large as its screen."""
    return gif_header(width, height) + gif_frame(width, height, disposal=disposal) + b";"


def webp(width: int, height: int) -> bytes:
    """The header of a lossless WebP, and no pixels."""
    chunk = b"\x2f" + struct.pack("<I", (width - 1) | (height - 1) << 14) + b"\0"
    body = b"WEBPVP8L" + struct.pack("<I", len(chunk)) + chunk
    return b"RIFF" + struct.pack("<I", len(body)) + body


def bmp(width: int, height: int) -> bytes:
    """The headers of a 24-bit BMP, and no pixels."""
    return struct.pack("<2sIIIIiiHHIIiiII", b"BM", 54, 0, 54, 40, width, height, 1, 24, *[0] * 6)


def jpeg_of_size(jpeg: bytes, width: int, height: int) -> bytes:
    """A baseline JPEG that says it is of another size."""
    at = jpeg.index(b"\xff\xc0") + 5
    return jpeg[:at] + struct.pack(">HH", height, width) + jpeg[at + 4 :]


def with_exif(jpeg: bytes, block: bytes) -> bytes:
    """The JPEG with ``block`` as its EXIF data."""
    payload = b"Exif\0\0" + block
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(payload) + 2) + payload + jpeg[2:]


def exif_orientation(value: int, kind: int = 3) -> bytes:
    """An EXIF block with an orientation alone; ``kind`` 3 is what the standard asks for."""
    return b"II*\0" + struct.pack("<IHHHLLL", 8, 1, 274, kind, 1, value, 0)


def tiff(
    width: int,
    height: int,
    pixels: bytes = b"\x80",
    *,
    bits: int = 8,
    sample_format: int = 1,
    order: str = "<",
    tags: Sequence[tuple[int, int]] = (),
) -> bytes:
    """A TIFF of one grey channel in one strip; ``tags`` are added to it."""
    entries = [
        (256, width),
        (257, height),
        (258, bits),
        (259, 1),
        (262, 1),
        (273, 8),
        (277, 1),
        (278, height),
        (279, len(pixels)),
        *tags,
        (339, sample_format),
    ]
    head = struct.pack(order + "HL", 42, 8 + len(pixels))
    directory = struct.pack(order + "H", len(entries)) + b"".join(
        struct.pack(order + "HHLL", tag, 4, 1, value) for tag, value in entries
    )
    return {"<": b"II", ">": b"MM"}[order] + head + pixels + directory + bytes(4)


def tiff_of_one_tile(side: int) -> bytes:
    """A picture of 1 × 1 pixel in a tile of ``side`` × ``side``."""
    tile = zlib.compress(bytes(side * side), 9)
    entries = [
        *((256, 1), (257, 1), (258, 8), (259, 8), (262, 1), (277, 1)),
        *((322, side), (323, side), (324, 8), (325, len(tile))),
    ]
    directory = struct.pack("<H", len(entries)) + b"".join(
        struct.pack("<HHLL", tag, 4, 1, value) for tag, value in entries
    )
    return b"II*\0" + struct.pack("<L", 8 + len(tile)) + tile + directory + bytes(4)


def overlapping_tiff(directories: int, entries: int) -> bytes:
    """A chain of directories that share their entries, so a small file has very many to read."""
    needed = ((256, 1), (257, 1), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (278, 1))
    # The last two bytes of each entry are also the number of entries of a later directory.
    filler = struct.pack("<HHLHH", 0xFFFF, 99, 1, 0, entries)
    table = filler * directories
    for tag, value in (*needed, (279, 1)):
        table += struct.pack("<HHLHH", tag, 3, 1, value, entries)
    table += filler * (directories + entries - len(table) // 12)
    body = bytearray(struct.pack("<H", entries) + table + bytes(16))
    for index in range(directories - 1):
        struct.pack_into("<L", body, 12 * index + 2 + 12 * entries, 16 + 12 * (index + 1))
    struct.pack_into("<L", body, 12 * (directories - 1) + 2 + 12 * entries, 0)
    return b"II*\0" + struct.pack("<L", 16) + b"\x80" * 8 + bytes(body)


def heic(brand: bytes = b"heic") -> bytes:
    """The first box of an iPhone photograph."""
    return struct.pack(">I", 24) + b"ftyp" + brand + b"\0\0\0\0mif1heic" + bytes(100)


def cmyk_profile(lab: tuple[int, int, int]) -> bytes:
    """An ICC profile of a press that prints every mixture of inks as the one colour ``lab``.

    The three numbers are encoded as in an 8-bit table: lightness × 2.55, a + 128, b + 128.
    """
    identity = struct.pack(">9i", *(0x10000 if i in (0, 4, 8) else 0 for i in range(9)))
    ramp = bytes(range(256))
    table = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + identity + ramp * 4 + bytes(lab) * 16 + ramp * 3
    return _profile({b"A2B0": table}, b"prtrCMYKLab ")


def _profile(tags: dict[bytes, bytes], kind: bytes) -> bytes:
    """An ICC profile of these tags, and those that each must have; ``kind`` is from its head."""
    texts = {b"desc": b"desc" + bytes(86), b"cprt": b"text\0\0\0\0none\0"}
    white = b"XYZ \0\0\0\0" + struct.pack(">3i", 0xF6D6, 0x10000, 0xD32D)
    tags = {**texts, b"wtpt": white, **tags}
    index, content = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        index += name + struct.pack(">II", start + len(content), len(data))
        content += data + bytes(-len(data) % 4)
    header = bytearray(128)
    header[0:4] = struct.pack(">I", start + len(content))
    header[8:12] = b"\x02\x40\0\0"
    header[12:24] = kind
    header[36:40] = b"acsp"
    header[68:80] = struct.pack(">3i", 0xF6D6, 0x10000, 0xD32D)
    return bytes(header) + index + content


def avif_that_says(avif: bytes, width: int, height: int) -> bytes:
    """A still AVIF whose file, but not its frame, is of another size."""
    at = avif.index(b"ispe") + 8
    return avif[:at] + struct.pack(">LL", width, height) + avif[at + 8 :]


def avif_of_frames(avif: bytes, count: int) -> bytes:
    """A still AVIF with its frame so many times."""
    start, length = _place(avif)
    stream = avif[start : start + length]
    # A delimiter, and the header of the sequence with its length.
    head = 2 + 2 + stream[3]
    return avif_of_stream(avif, stream[:head] + stream[head:] * count)


def avif_of_stream(avif: bytes, stream: bytes) -> bytes:
    """A still AVIF with another stream of AV1."""
    place = struct.pack(">LL", len(avif) + 8, len(stream))
    at = avif.index(b"iloc") + 18
    box = struct.pack(">L4s", len(stream) + 8, b"mdat")
    return avif[:at] + place + avif[at + 8 :] + box + stream


def _place(avif: bytes) -> tuple[int, int]:
    start, length = struct.unpack_from(">LL", avif, avif.index(b"iloc") + 18)
    return start, length


def exif_of_fractions(count: int) -> bytes:
    """EXIF whose orientation, and resolution, are ``count`` fractions."""
    entries = struct.pack("<HHLL", 274, 5, count, 62) + struct.pack("<HHLL", 282, 5, count, 62)
    unit = struct.pack("<HHLHH", 296, 3, 1, 2, 0)
    return (
        b"II*\0" + struct.pack("<LH", 8, 3) + entries + unit + bytes(16) + b"\1\0\0\0" * 2 * count
    )


def tiff_with(tag: int, kind: int, count: int, *, large: bool = False) -> bytes:
    """A TIFF, or a BigTIFF, with ``count`` numbers of a ``kind`` in ``tag``."""
    entry = "<HHQQ" if large else "<HHLL"
    wanted = ((256, 9), (257, 9), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (279, 81))
    entries = [struct.pack(entry, number, 4, 1, value) for number, value in wanted if number != tag]
    entries.append(struct.pack(entry, tag, kind, count, 500))
    head = struct.pack("<4sHHQ", b"II+\0", 8, 0, 16) if large else b"II*\0\x08\0\0\0"
    table = struct.pack("<Q" if large else "<H", len(entries)) + b"".join(sorted(entries))
    return (head + table).ljust(500, b"\0") + bytes(8 * count)


def bmp_of_runs(width: int, height: int, packing: int) -> bytes:
    """A BMP in run lengths, each line empty."""
    head = struct.pack(
        "<2sIIIIiiHHIIiiII", b"BM", 0, 0, 1078, 40, width, height, 1, 8, packing, *[0] * 5
    )
    return head + bytes(1024) + b"\1\0\0\0" * abs(height) + b"\0\1"


def wide_profile() -> bytes:
    """An ICC profile of the primaries of Display P3, with a gamma of 2.2."""

    def numbers(*values: float) -> bytes:
        return struct.pack(f">{len(values)}i", *(round(65_536 * value) for value in values))

    curve = b"curv\0\0\0\0" + struct.pack(">LH", 1, 0x0233) + bytes(2)
    tags = {b"wtpt": b"XYZ \0\0\0\0" + numbers(0.9642, 1, 0.8249)}
    for name, color in {
        b"r": (0.5151, 0.2412, -0.0011),
        b"g": (0.292, 0.6922, 0.0419),
        b"b": (0.1571, 0.0666, 0.7841),
    }.items():
        tags[name + b"XYZ"] = b"XYZ \0\0\0\0" + numbers(*color)
        tags[name + b"TRC"] = curve
    return _profile(tags, b"mntrRGB XYZ ")
