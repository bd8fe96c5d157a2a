"""What the server is sent by those who mean it no good, and by too many at once.

Here: how one upload is described, and the parts that uploads are put together from.
"""

import random
import struct
import zlib
from dataclasses import dataclass

from millisight.errors import MillisightError
from tests import hazards

CANARY = "canary"
"""Part of every file name that is sent: nothing that the server writes may hold it."""

BARE = "application/octet-stream"
FORM = "multipart/form-data; boundary=x"
END = b"--x--\r\n"
"""The last boundary of a ``FORM``."""

_NAMED = f'; name="file"; filename="{CANARY}.jpg"'.encode()

FILE_NAMES = {
    "path": b"../../../../canary/etc/passwd",
    "path of Windows": b"C:\\\\canary\\\\..\\\\boot.ini",
    "wrong ending": b"canary.exe",
    "script": b"<img src=x onerror=alert(1)>canary",
    "command": b"$(touch canary)`touch canary`|canary",
    "format string": b"canary%s%n{0.__class__}${jndi:ldap://canary}",
    "right to left": "canary\u202egpj.exe".encode(),
    "not UTF-8": b"canary\xff\xfe\x80",
    "10,000 letters": b"canary" + b"a" * 10_000,
    "none": b"",
    "line break": b"canary\r\nX-Canary: 1",
    "line feed": b"canary\nERROR canary",
    "zero byte": b"canary\0.jpg",
    "bell and escape": b"canary\x07\x1b[31m",
}
"""As they stand between the quotes of a form."""


@dataclass(frozen=True, slots=True)
class Hostile:
    """One upload, and what a server may answer to it."""

    name: str
    content: bytes
    content_type: str
    statuses: frozenset[int]
    """Any of these is right."""
    code: str | None
    """Of a refusal, where only one is right."""


def upload(
    name: str,
    content: bytes,
    *refusals: type[MillisightError],
    answered: bool = False,
    kind: str = BARE,
) -> Hostile:
    """Without ``refusals`` only an answer is right; ``answered`` says that it is right too."""
    statuses = {refusal.status for refusal in refusals}
    if answered or not refusals:
        statuses.add(200)
    code = refusals[0].code if len(refusals) == 1 else None
    return Hostile(name, content, kind, frozenset(statuses), code)


def part(content: bytes, headers: bytes = _NAMED) -> bytes:
    """One part of a ``FORM``; ``headers`` go on where the name of its first header ends."""
    return b"--x\r\nContent-Disposition: form-data" + headers + b"\r\n\r\n" + content + b"\r\n"


def black_png(
    width: int, height: int, *chunks: tuple[bytes, bytes], bits: int = 8, color: int = 0
) -> bytes:
    """A complete PNG, with ``chunks`` before its pixels; ``color`` 0 is grey, 4 has alpha too."""
    samples = {0: 1, 4: 2}[color]
    rows = bytes((1 + -(-width * bits * samples // 8)) * height)
    header = struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, 0)
    pixels = zlib.compress(rows, 1)
    return hazards.png_of((b"IHDR", header), *chunks, (b"IDAT", pixels), (b"IEND", b""))


def tiff_entry(tag: int, value: int, *, count: int = 1, kind: int = 4) -> bytes:
    """One entry of a directory, as in ``hazards.tiff``."""
    return struct.pack("<HHLL", tag, kind, count, value)


def jpeg_of_scans(progressive: bytes, scans: int, side: int) -> bytes:
    """The JPEG with its last scan again and again, that says it is a square of ``side``."""
    again = progressive[progressive.rindex(b"\xff\xda") : -2]
    data = progressive[:-2] + again * (scans - progressive.count(b"\xff\xda")) + progressive[-2:]
    at = data.index(b"\xff\xc2") + 5
    return data[:at] + struct.pack(">HH", side, side) + data[at + 4 :]


def malformed(jpeg: bytes) -> dict[str, bytes]:
    """What decoders of JPEG have overflowed on, or leaked memory at, made of a baseline one."""
    scan = jpeg.index(b"\xff\xda")
    frame = jpeg[jpeg.index(b"\xff\xc0") : jpeg.index(b"\xff\xc4")]
    larger = frame[:5] + struct.pack(">HH", 4000, 4000) + frame[9:]
    return {
        "second frame header, larger": jpeg[:scan] + larger + jpeg[scan:],
        "table beyond the end": jpeg[:2] + b"\xff\xc4\xff\xff" + jpeg[2:],
        "Huffman codes without end": jpeg[:2] + b"\xff\xc4\0\x13\0" + b"\xff" * 16 + jpeg[2:],
        "absurd sampling": jpeg.replace(b"\x01\x22\x00", b"\x01\xff\x00", 1),
        "no tables": jpeg[:2] + frame + jpeg[scan:],
        "scan without a frame": jpeg[:2] + jpeg[scan:],
    }


def with_flips(data: bytes, start: int, end: int, seed: int) -> bytes:
    """``data`` with eight bits of the bytes from ``start`` to ``end`` turned over."""
    dice = random.Random(seed)
    damaged = bytearray(data)
    for _ in range(8):
        damaged[dice.randrange(start, min(end, len(data)))] ^= 1 << dice.randrange(8)
    return bytes(damaged)
