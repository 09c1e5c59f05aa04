"""The byte strings are headers that FFmpeg's mpeg2video encoder wrote for the settings named beside them."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.bitstream import BitstreamError, mpeg2

# 1920x1080 30000/1001 MP@HL, 16:9, tff, matrix BT.709, 40 Mbit/s, VBV 9,781,248 bits; then one I picture's headers
INTERLACED = bytes.fromhex(
    "000001b37804383461a832a8000001b5144200010000000001b52b0202011e0221c0"
    "000001b80008004000000100000ffff8000001b58ffff38000"
)
# 720x576 25 MP@ML, 4:3, progressive
PROGRESSIVE = bytes.fromhex(
    "000001b32d024023ffffe018000001b5148a00010000000001b80008004000000100000ffff8000001b58ffff34180"
)


def picture(structure: int, *, top_first: int = 0, repeat: int = 0, progressive: int = 0) -> bytes:
    """Picture header and picture coding extension by the syntax tables of 6.2.3 and 6.2.3.1."""
    bits = "1000" + "1" * 16 + "00" + f"{structure:02b}" + f"{top_first}00000{repeat}0{progressive}" + "0000000"
    return b"\0\0\1\0\0\x0f\xff\xf8\0\0\1\xb5" + int(bits[: len(bits) // 8 * 8], 2).to_bytes(len(bits) // 8)


def test_a_sequence_says_what_the_encoder_was_told() -> None:
    found = mpeg2.sequence_of(INTERLACED)
    assert found is not None
    sequence, display = found
    assert (sequence.width, sequence.height, sequence.frame_rate) == (1920, 1080, Fraction(30000, 1001))
    assert (sequence.profile, sequence.level_code, sequence.progressive) == ("Main", 4, False)
    assert (sequence.bit_rate, sequence.buffer_bits, sequence.chroma) == (40_000_000, 9_781_248, "4:2:0")
    assert display == mpeg2.Display(primaries=2, transfer=2, matrix=1, width=1920, height=1080)


def test_pixel_aspect_follows_from_the_shape_of_the_display() -> None:
    found = mpeg2.sequence_of(PROGRESSIVE)
    assert found is not None
    assert (found[0].pixel_aspect(), found[0].level_code, found[0].progressive) == (Fraction(16, 15), 8, True)
    assert found[0].pixel_aspect((704, 576)) == Fraction(12, 11)


def test_mpeg1_has_neither_profile_nor_level() -> None:
    found = mpeg2.sequence_of(PROGRESSIVE[:12] + PROGRESSIVE[22:])
    assert found is not None
    assert (found[0].profile, found[0].level_code, found[0].width) == (None, None, 720)


def test_pictures_tell_their_field_order() -> None:
    assert list(mpeg2.pictures(INTERLACED)) == [mpeg2.PictureCoding(mpeg2.FRAME, True, False, False, mpeg2.I_PICTURE)]
    assert list(mpeg2.pictures(PROGRESSIVE)) == [mpeg2.PictureCoding(mpeg2.FRAME, False, False, True, mpeg2.I_PICTURE)]


def test_field_pictures_and_repeated_fields_are_told_apart() -> None:
    data = picture(mpeg2.TOP) + picture(mpeg2.BOTTOM) + picture(mpeg2.FRAME, top_first=1, repeat=1, progressive=1)
    assert list(mpeg2.pictures(data)) == [
        mpeg2.PictureCoding(mpeg2.TOP, False, False, False, mpeg2.I_PICTURE),
        mpeg2.PictureCoding(mpeg2.BOTTOM, False, False, False, mpeg2.I_PICTURE),
        mpeg2.PictureCoding(mpeg2.FRAME, True, True, True, mpeg2.I_PICTURE),
    ]


def test_a_picture_of_mpeg1_is_a_plain_frame() -> None:
    data = b"\0\0\1\0\0\x0f\xff\xf8\0\0\1\1slice"
    assert list(mpeg2.pictures(data)) == [mpeg2.PictureCoding(mpeg2.FRAME, False, False, True, mpeg2.I_PICTURE)]


def test_a_picture_without_a_structure_is_an_error() -> None:
    with pytest.raises(BitstreamError, match="structure"):
        list(mpeg2.pictures(picture(0)))


def test_bytes_without_a_sequence_header_hold_no_sequence() -> None:
    assert mpeg2.sequence_of(b"\0\0\1\0abcdef") is None


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=80), st.integers(4, 60))
def test_any_bytes_are_read_or_refused(noise: bytes, cut: int) -> None:
    data = INTERLACED[:cut] + noise
    try:
        found = mpeg2.sequence_of(data)
        assert found is None or found[0].width > 0
        assert all(picture.structure in (1, 2, 3) for picture in mpeg2.pictures(data))
    except BitstreamError:
        pass
