"""How large the frames of a stream of AV1 are, from its headers alone.

Of AV1's specification (sections 5.3 to 5.9) only what leads to these sizes is read: the header of
the sequence, and those of its frames as far as the bit that says that a frame has a size of its
own. Some encoders leave room for such sizes and never use it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from millisight.errors import BadImage

_SEQUENCE, _FRAME_HEADER, _FRAME, _FRAME_HEADER_AGAIN = 1, 3, 6, 7
_KEY, _SWITCH = 0, 3
_EACH_FRAME_SAYS = 2

_LARGER = 4
"""So many times as large as its sequence a frame of its own size might be."""


def unknown() -> BadImage:
    """What is said of an AVIF that cannot be followed."""
    return BadImage(
        "The AVIF is damaged or of a rare kind.", hint="Export the picture as JPEG or PNG."
    )


def frames(stream: bytes) -> Iterator[int]:
    """How many pixels each frame has, shown or not.

    Raises ``IndexError`` where a header is cut off, and ``BadImage`` for a frame that may be much
    larger than its sequence, or belongs to none.
    """
    sequence = None
    for kind, begin, end in _units(stream):
        if kind == _SEQUENCE:
            sequence = _sequence(_Bits(stream[begin:end]))
        # A header that only repeats another is the first one for a decoder that has none.
        elif kind in (_FRAME_HEADER, _FRAME, _FRAME_HEADER_AGAIN):
            if sequence is None or (
                _of_own_size(_Bits(stream[begin:end]), sequence)
                and sequence.most > _LARGER * sequence.pixels
            ):
                raise unknown()
            yield sequence.pixels


def _units(stream: bytes) -> Iterator[tuple[int, int, int]]:
    """Kind, beginning and end of the content of each open bitstream unit."""
    at = 0
    while at < len(stream):
        head = stream[at]
        kind = head >> 3 & 15
        at += 2 if head & 4 else 1
        length = len(stream) - at
        if head & 2:
            length = shift = 0
            while True:
                length |= (stream[at] & 127) << shift
                shift += 7
                at += 1
                if stream[at - 1] < 128 or shift == 56:
                    break
        yield kind, at, at + length
        at += length


class _Bits:
    """Numbers of some bits, one after the other."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data[:256])
        self._left = 8 * len(data[:256])

    def number(self, bits: int) -> int:
        self._left -= bits
        if self._left < 0:
            raise IndexError
        return self._value >> self._left & (1 << bits) - 1


@dataclass
class _Sequence:
    """What the headers of frames depend on."""

    pixels: int
    most: int
    """As many pixels as a frame of its own size can have."""
    one_picture: bool = True
    """Headers are reduced: no frame has a size of its own."""
    time_bits: int = 0
    number_bits: int = 0
    screen_tools: int = _EACH_FRAME_SAYS
    whole_motion: int = _EACH_FRAME_SAYS


def _sequence(bits: _Bits) -> _Sequence:
    bits.number(4)
    time_bits = 0
    if one_picture := bool(bits.number(1)):
        bits.number(5)
    else:
        time_bits = _operating_points(bits)
    width_bits, height_bits = bits.number(4) + 1, bits.number(4) + 1
    width, height = bits.number(width_bits) + 1, bits.number(height_bits) + 1
    most = 1 << width_bits + height_bits
    sequence = _Sequence(width * height, most, one_picture, time_bits)
    if not one_picture:
        _tools(bits, sequence)
    return sequence


def _operating_points(bits: _Bits) -> int:
    """How many bits say when a frame is to be shown."""
    delay = time_bits = 0
    if bits.number(1):
        bits.number(64)
        if evenly := bits.number(1):
            _skip_variable(bits)
        if bits.number(1):
            delay = bits.number(5) + 1
            bits.number(37)
            time_bits = bits.number(5) + 1
            if evenly:
                time_bits = 0
    displays = bits.number(1)
    for _ in range(bits.number(5) + 1):
        bits.number(12)
        if bits.number(5) > 7:
            bits.number(1)
        if delay and bits.number(1):
            bits.number(2 * delay + 1)
        if displays and bits.number(1):
            bits.number(4)
    return time_bits


def _skip_variable(bits: _Bits) -> None:
    zeros = 0
    while not bits.number(1):
        zeros += 1
    # Decoders differ in what they make of more.
    if zeros > 31:
        raise unknown()
    bits.number(zeros)


def _tools(bits: _Bits, sequence: _Sequence) -> None:
    if bits.number(1):
        sequence.number_bits = bits.number(4) + bits.number(3) + 3
    bits.number(7)
    if bits.number(1):
        bits.number(2)
    sequence.screen_tools = _EACH_FRAME_SAYS if bits.number(1) else bits.number(1)
    if sequence.screen_tools:
        sequence.whole_motion = _EACH_FRAME_SAYS if bits.number(1) else bits.number(1)


def _of_own_size(bits: _Bits, sequence: _Sequence) -> bool:
    """Whether a frame says how large it is; one that is shown again was looked at before."""
    if sequence.one_picture or bits.number(1):
        return False
    kind, shown = bits.number(2), bits.number(1)
    bits.number(sequence.time_bits if shown else 1)
    if kind == _SWITCH:
        return True
    if kind != _KEY or not shown:
        bits.number(1)
    bits.number(1)
    screen_tools = sequence.screen_tools
    if screen_tools == _EACH_FRAME_SAYS:
        screen_tools = bits.number(1)
    if screen_tools and sequence.whole_motion == _EACH_FRAME_SAYS:
        bits.number(1)
    bits.number(sequence.number_bits)
    return bool(bits.number(1))
