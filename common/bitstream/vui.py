"""Video usability information: how decoded pictures are to be shown (ITU-T H.264 Annex E, H.265 Annex E)."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from common.bitstream.bits import BitReader

SAMPLE_ASPECTS: tuple[str, ...] = (
    "0",
    "1",
    "12/11",
    "10/11",
    "16/11",
    "40/33",
    "24/11",
    "20/11",
    "32/11",
    "80/33",
    "18/11",
    "15/11",
)
SAMPLE_ASPECTS += ("64/33", "160/99", "4/3", "3/2", "2")
"""By aspect_ratio_idc, Table E-1; 0 is unspecified. HEVC has the same."""

EXTENDED_SAR = 255


@dataclass(frozen=True)
class Hrd:
    """hrd_parameters, E.1.2: the highest rate (bit/s) and buffer (bits) of its schedules."""

    bit_rate: int
    buffer_bits: int
    delay_bits: int  # cpb_removal_delay and dpb_output_delay together: what pic_struct follows in the SEI


@dataclass(frozen=True)
class Colour:
    """Video signal description as coded (Tables E-3 to E-5; HEVC has the same); 2 is unspecified."""

    full_range: bool
    primaries: int = 2
    transfer: int = 2
    matrix: int = 2


@dataclass(frozen=True)
class Vui:
    """Video usability information, E.1.1."""

    pixel_aspect: Fraction | None = None
    colour: Colour | None = None
    field_rate: Fraction | None = None  # time_scale / num_units_in_tick: fields a second
    fixed_rate: bool = False
    nal_hrd: Hrd | None = None
    vcl_hrd: Hrd | None = None
    has_pic_struct: bool = False
    reorder_frames: int | None = None  # max_num_reorder_frames
    buffered_frames: int | None = None  # max_dec_frame_buffering


def read_vui(bits: BitReader) -> Vui:
    """vui_parameters of H.264, E.1.1.

    Raises:
        BitstreamError: it breaks the syntax or ends early.
    """
    aspect = read_pixel_aspect(bits) if bits.flag() else None
    if bits.flag():
        bits.skip(1)
    colour = read_colour(bits) if bits.flag() else None
    if bits.flag():
        bits.ue()
        bits.ue()
    rate, fixed = None, False
    if bits.flag():
        units, scale, fixed = bits.u(32), bits.u(32), bits.flag()
        rate = Fraction(scale, units) if scale and units else None
    nal_hrd = _hrd(bits) if bits.flag() else None
    vcl_hrd = _hrd(bits) if bits.flag() else None
    if nal_hrd or vcl_hrd:
        bits.skip(1)
    has_pic_struct = bits.flag()
    reorder = buffered = None
    if bits.flag():
        bits.skip(1)
        for _ in range(4):
            bits.ue()
        reorder, buffered = bits.ue(), bits.ue()
    return Vui(aspect, colour, rate, fixed, nal_hrd, vcl_hrd, has_pic_struct, reorder, buffered)


def _hrd(bits: BitReader) -> Hrd:
    count = 1 + bits.bounded_ue(31, "cpb_cnt_minus1")
    rate_scale, size_scale = 6 + bits.u(4), 4 + bits.u(4)
    rates, sizes = [], []
    for _ in range(count):
        rates.append((bits.ue() + 1) << rate_scale)
        sizes.append((bits.ue() + 1) << size_scale)
        bits.skip(1)
    bits.skip(5)
    delays = 2 + bits.u(5) + bits.u(5)
    bits.skip(5)
    return Hrd(max(rates), max(sizes), delays)


def read_pixel_aspect(bits: BitReader) -> Fraction | None:
    """aspect_ratio_idc and what follows it; None: unspecified. HEVC has the same (H.265 E.2.1)."""
    index = bits.u(8)
    if index == EXTENDED_SAR:
        width, height = bits.u(16), bits.u(16)
        return Fraction(width, height) if width and height else None
    return (Fraction(SAMPLE_ASPECTS[index]) or None) if index < len(SAMPLE_ASPECTS) else None


def read_colour(bits: BitReader) -> Colour:
    """video_format to matrix_coefficients. HEVC has the same (H.265 E.2.1)."""
    bits.skip(3)
    full_range = bits.flag()
    return Colour(full_range, bits.u(8), bits.u(8), bits.u(8)) if bits.flag() else Colour(full_range)
