"""Headers of an MPEG-2 video stream (ISO/IEC 13818-2, ITU-T H.262, 6.2.2 and 6.2.3)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

from common.bitstream import BitstreamError
from common.bitstream.bits import BitReader

PICTURE, SEQUENCE, EXTENSION, GROUP = 0x00, 0xB3, 0xB5, 0xB8
"""Start codes, Table 6-1."""

SEQUENCE_EXTENSION, DISPLAY_EXTENSION, PICTURE_EXTENSION = 1, 2, 8
"""extension_start_code_identifier, Table 6-2."""

I_PICTURE, P_PICTURE, B_PICTURE = 1, 2, 3
"""picture_coding_type, Table 6-12."""

TOP, BOTTOM, FRAME = 1, 2, 3
"""picture_structure, Table 6-14."""

FRAME_RATES = ("0", "24000/1001", "24", "25", "30000/1001", "30", "50", "60000/1001", "60")
"""By frame_rate_code, Table 6-4."""

DISPLAY_ASPECTS = {2: Fraction(4, 3), 3: Fraction(16, 9), 4: Fraction(221, 100)}
"""By aspect_ratio_information, Table 6-3; 1 is square samples."""

CHROMA = {1: "4:2:0", 2: "4:2:2", 3: "4:4:4"}
PROFILES = {5: "Simple", 4: "Main", 3: "SNR Scalable", 2: "Spatially Scalable", 1: "High"}
"""Table 8-2."""

LEVELS = {10: "Low", 8: "Main", 6: "High 1440", 4: "High"}
"""Table 8-3."""

_START = b"\0\0\1"
_SCAN_BYTES = 24  # longest header read here, without the quantiser matrices


@dataclass(frozen=True)
class Sequence:
    """Sequence header and its extension; the extension's fields are None in MPEG-1."""

    width: int
    height: int
    aspect: int  # aspect_ratio_information
    frame_rate: Fraction | None  # frames/s
    bit_rate: int  # bit/s, the upper bound that the stream names
    buffer_bits: int  # vbv_buffer_size
    profile_and_level: int | None = None
    progressive: bool = True
    chroma: str = "4:2:0"
    rate_code: int = 0  # frame_rate_code
    rate_extended: bool = False  # frame_rate_extension_n or _d is not 0
    low_delay: bool = False  # no B pictures

    @property
    def profile(self) -> str | None:
        """The profile in the standard's words; None in MPEG-1 and for escape codes (4:2:2 among them)."""
        code = self.profile_and_level
        return None if code is None or code & 0x80 else PROFILES.get(code >> 4 & 7)

    @property
    def level_code(self) -> int | None:
        """The level as coded in four bits: 8 Main, 4 High."""
        return None if self.profile_and_level is None else self.profile_and_level & 0xF

    def pixel_aspect(self, display: tuple[int, int] | None = None) -> Fraction:
        """Sample aspect ratio; ``display``: width and height that the display extension names (6.3.3)."""
        width, height = display or (self.width, self.height)
        shape = DISPLAY_ASPECTS.get(self.aspect)
        return shape * height / width if shape and width and height else Fraction(1)


@dataclass(frozen=True)
class Display:
    """Sequence display extension: colour codes as H.264 has them (Tables 6-7 to 6-9), and the size shown."""

    primaries: int
    transfer: int
    matrix: int
    width: int
    height: int


@dataclass(frozen=True)
class PictureCoding:
    """Picture coding extension."""

    structure: int  # TOP, BOTTOM or FRAME
    top_field_first: bool
    repeat_first_field: bool
    progressive: bool
    kind: int = 0  # picture_coding_type of the picture header before it; 0 where that is cut off


_MPEG1_PICTURE = PictureCoding(FRAME, top_field_first=False, repeat_first_field=False, progressive=True)


def sequence_of(data: bytes) -> tuple[Sequence, Display | None] | None:
    """The first sequence header in ``data`` with its extensions; None when there is none.

    Raises:
        BitstreamError: a header ends early or gives no picture.
    """
    sequence: Sequence | None = None
    for code, payload in _units(data):
        extension = payload[0] >> 4 if code == EXTENSION and payload else None
        if sequence is None:
            sequence = _sequence(BitReader(payload)) if code == SEQUENCE else None
        elif extension == SEQUENCE_EXTENSION:
            sequence = _extended(sequence, BitReader(payload))
        elif extension == DISPLAY_EXTENSION:
            return sequence, _display(BitReader(payload))
        elif code in (PICTURE, GROUP):
            break
    return (sequence, None) if sequence else None


def pictures(data: bytes) -> Iterator[PictureCoding]:
    """The coding extension of each picture in ``data``, in coded order; a picture without one (MPEG-1) is a plain frame.

    Raises:
        BitstreamError: an extension ends early.
    """
    position = data.find(_START + bytes([PICTURE]))
    while position >= 0:
        following = data.find(_START + bytes([PICTURE]), position + 4)
        extension = data.find(_START + bytes([EXTENSION]), position, position + _SCAN_BYTES)
        inside = extension >= 0 and (following < 0 or extension < following)
        payload = data[extension + 4 : extension + 4 + _SCAN_BYTES]
        coding = _picture(BitReader(payload)) if inside else _MPEG1_PICTURE
        yield replace(coding, kind=data[position + 5] >> 3 & 7 if position + 5 < len(data) else 0)
        position = following


def _units(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(start code, first bytes behind it)."""
    position = data.find(_START)
    while 0 <= position < len(data) - 3:
        yield data[position + 3], data[position + 4 : position + 4 + _SCAN_BYTES]
        position = data.find(_START, position + 4)


def _sequence(bits: BitReader) -> Sequence:
    width, height, aspect, rate = bits.u(12), bits.u(12), bits.u(4), bits.u(4)
    bit_rate = bits.u(18)
    bits.skip(1)
    if not width or not height:
        raise BitstreamError("a sequence header without a picture size")
    return Sequence(width, height, aspect, _rate(rate), 400 * bit_rate, bits.u(10) << 14, rate_code=rate)


def _rate(code: int) -> Fraction | None:
    return Fraction(FRAME_RATES[code]) if 0 < code < len(FRAME_RATES) else None


def _extended(base: Sequence, bits: BitReader) -> Sequence:
    bits.skip(4)
    profile_and_level, progressive, chroma = bits.u(8), bits.flag(), bits.u(2)
    width, height, bit_rate = bits.u(2), bits.u(2), bits.u(12)
    bits.skip(1)
    buffer, low_delay = bits.u(8), bits.flag()
    numerator, denominator = bits.u(2) + 1, bits.u(5) + 1
    return replace(
        base,
        width=base.width | width << 12,
        height=base.height | height << 12,
        frame_rate=base.frame_rate and base.frame_rate * numerator / denominator,
        bit_rate=base.bit_rate + (400 * bit_rate << 18),
        buffer_bits=base.buffer_bits + (buffer << 24),
        profile_and_level=profile_and_level,
        progressive=progressive,
        chroma=CHROMA.get(chroma, "4:2:0"),
        rate_extended=(numerator, denominator) != (1, 1),
        low_delay=low_delay,
    )


def _display(bits: BitReader) -> Display:
    bits.skip(7)
    primaries, transfer, matrix = (bits.u(8), bits.u(8), bits.u(8)) if bits.flag() else (2, 2, 2)
    width = bits.u(14)
    bits.skip(1)
    return Display(primaries, transfer, matrix, width, bits.u(14))


def _picture(bits: BitReader) -> PictureCoding:
    bits.skip(4 + 16 + 2)
    structure, top_field_first = bits.u(2), bits.flag()
    bits.skip(5)
    repeat = bits.flag()
    bits.skip(1)
    if structure not in (TOP, BOTTOM, FRAME):
        raise BitstreamError("a picture without a structure")
    return PictureCoding(structure, top_field_first, repeat, bits.flag())
