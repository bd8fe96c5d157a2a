"""What the bytes of a file give away before a pixel is decoded."""

import pytest

from millisight.errors import BadImage, UnsupportedFormat
from millisight.formats import refusal


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"\xff\xd8\xff", BadImage),
        (b"\x89PNG\r\n\x1a\n", BadImage),
        (b"GIF87a", BadImage),
        (b"GIF89a", BadImage),
        (b"BM", BadImage),
        (b"II*\0", BadImage),
        (b"MM\0*", BadImage),
        (b"MM\0+", BadImage),
        (b"RIFF\n\n\n\nWEBP", BadImage),
        (b"\0\0\n\0ftypavif", BadImage),
        (b"\0\0\n\0ftypheic", UnsupportedFormat),
        (b"RIFF\n\n\n\nWAVE", UnsupportedFormat),
        (b"\xff\xd8", UnsupportedFormat),
        (b"GIF88a", UnsupportedFormat),
        (b" GIF89a", UnsupportedFormat),
    ],
)
def test_the_first_bytes_tell_damage_from_another_format(data: bytes, kind: type) -> None:
    assert type(refusal(data)) is kind
