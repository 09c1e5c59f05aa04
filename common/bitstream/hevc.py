"""Headers of an HEVC stream: sequence parameter set with profile, tier and level (ITU-T H.265 7.3.2, 7.3.3, Annex E)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from fractions import Fraction

from common.bitstream import BitstreamError
from common.bitstream.bits import BitReader, unescaped
from common.bitstream.h264 import CHROMA
from common.bitstream.hevc_hrd import read_hrd
from common.bitstream.vui import Colour, Hrd, read_colour, read_pixel_aspect

MAX_SIDE = 16_888
"""Longest side in luma samples: √(8·MaxLumaPs) at level 6.2 (A.4.1)."""

PROFILES = {1: "Main", 2: "Main 10", 3: "Main Still Picture", 4: "Format Range Extensions", 6: "Multiview Main"}
"""By general_profile_idc, A.3 and Annex G."""

_MAX_SHORT_TERM_SETS = 64  # 7.4.3.2.1
_MAX_PICTURES = 16  # MaxDpbSize, A.4.2


class Nal(IntEnum):
    """nal_unit_type, Table 7-1."""

    LAST_VCL = 31
    VPS = 32
    SPS = 33
    PPS = 34
    DELIMITER = 35
    PREFIX_SEI = 39


@dataclass(frozen=True)
class Tier:
    """general part of profile_tier_level, 7.3.3."""

    profile_idc: int
    high_tier: bool
    compatibility: int  # 32 flags, the first one highest
    level_idc: int  # 30 × the level

    @property
    def profile(self) -> str:
        """The profile in the standard's words (A.3)."""
        return PROFILES.get(self.profile_idc, f"profile {self.profile_idc}")

    def agrees(self, other: Tier) -> bool:
        """Whether both name one profile, tier and level."""
        own, theirs = ((tier.profile_idc, tier.high_tier, tier.level_idc) for tier in (self, other))
        return own == theirs


@dataclass(frozen=True)
class Sps:
    """Sequence parameter set of the base layer."""

    tier: Tier
    chroma: str
    bit_depth: int  # luma
    bit_depth_chroma: int
    width: int  # luma samples inside the conformance window
    height: int
    coded_width: int = 0  # luma samples before cropping
    coded_height: int = 0
    number: int = 0  # sps_seq_parameter_set_id
    decoded_frames: int = 0  # sps_max_dec_pic_buffering of the highest sub-layer
    pixel_aspect: Fraction | None = None
    colour: Colour | None = None
    frame_rate: Fraction | None = None  # vui_time_scale / vui_num_units_in_tick: pictures a second
    field_coded: bool = False  # field_seq_flag: each picture is one field
    nal_hrd: Hrd | None = None
    vcl_hrd: Hrd | None = None
    crop_left: int = 0  # luma samples that are coded and not shown


def nal_type(nal: bytes) -> int:
    """nal_unit_type."""
    return nal[0] >> 1 & 0x3F


def layer(nal: bytes) -> int:
    """nuh_layer_id; 0 is the base layer, which alone is described here."""
    return (nal[0] & 1) << 5 | nal[1] >> 3 if len(nal) > 1 else 0


def parse_vps(nal: bytes) -> Tier:
    """profile_tier_level of a video parameter set (7.3.2.1), from its NAL unit with header.

    Raises:
        BitstreamError: it ends early.
    """
    bits = BitReader(unescaped(nal[2:]))
    bits.skip(12)
    sub_layers = bits.u(3)
    bits.skip(17)
    return _tier(bits, sub_layers)


def parse_sps(nal: bytes) -> Sps:
    """Sequence parameter set from its NAL unit with header; what lies behind hrd_parameters is not read.

    Raises:
        BitstreamError: it breaks the syntax, ends early, or gives no picture.
    """
    bits = BitReader(unescaped(nal[2:]))
    bits.skip(4)
    sub_layers = bits.u(3)
    bits.skip(1)
    tier = _tier(bits, sub_layers)
    number = bits.bounded_ue(15, "sps_seq_parameter_set_id")
    chroma = bits.bounded_ue(3, "chroma_format_idc")
    if chroma == 3:
        bits.skip(1)
    width, height = coded = bits.ue(), bits.ue()
    window = [bits.ue() for _ in range(4)] if bits.flag() else [0] * 4
    unit_x, unit_y = (2 if chroma in (1, 2) else 1), (2 if chroma == 1 else 1)
    width -= unit_x * (window[0] + window[1])
    height -= unit_y * (window[2] + window[3])
    if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE and max(coded) <= 2 * MAX_SIDE):
        raise BitstreamError(f"a picture of {width}×{height} luma samples")
    depth, depth_chroma = (8 + bits.bounded_ue(8, "bit_depth_minus8") for _ in range(2))
    decoded = _coding_tools(bits, sub_layers)
    base = Sps(
        tier, CHROMA[chroma], depth, depth_chroma, width, height, *coded, number, decoded, crop_left=unit_x * window[0]
    )
    return _with_vui(base, bits, sub_layers) if bits.flag() else base


def parse_pps(nal: bytes) -> tuple[int, int]:
    """(pps_pic_parameter_set_id, pps_seq_parameter_set_id), 7.3.2.3.1.

    Raises:
        BitstreamError: it ends early, or an id is out of range.
    """
    bits = BitReader(unescaped(nal[2:32]))
    return bits.bounded_ue(63, "pps_pic_parameter_set_id"), bits.bounded_ue(15, "pps_seq_parameter_set_id")


def parse_segment(nal: bytes) -> tuple[bool, int]:
    """(first_slice_segment_in_pic_flag, slice_pic_parameter_set_id) of a slice segment header, 7.3.6.1.

    Raises:
        BitstreamError: it ends early, or the id is out of range.
    """
    bits = BitReader(unescaped(nal[2:32]))
    first = bits.flag()
    if 16 <= nal_type(nal) <= 23:  # an IRAP picture
        bits.skip(1)
    return first, bits.bounded_ue(63, "slice_pic_parameter_set_id")


def _tier(bits: BitReader, sub_layers: int) -> Tier:
    bits.skip(2)
    high, profile, compatibility = bits.flag(), bits.u(5), bits.u(32)
    bits.skip(48)
    level = bits.u(8)
    present = [(bits.flag(), bits.flag()) for _ in range(sub_layers)]
    if sub_layers:
        bits.skip(2 * (8 - sub_layers))
    for has_profile, has_level in present:
        bits.skip(88 * has_profile + 8 * has_level)
    return Tier(profile, high, compatibility, level)


def _coding_tools(bits: BitReader, sub_layers: int) -> int:
    """sps_max_dec_pic_buffering, in passing from log2_max_pic_order_cnt_lsb_minus4 to strong_intra_smoothing (7.3.2.2.1)."""
    order_bits = 4 + bits.bounded_ue(12, "log2_max_pic_order_cnt_lsb_minus4")
    decoded = 0
    for _ in range(sub_layers + 1 if bits.flag() else 1):
        decoded = 1 + bits.bounded_ue(_MAX_PICTURES - 1, "sps_max_dec_pic_buffering_minus1")
        bits.ue()
        bits.ue()
    for _ in range(6):
        bits.ue()
    if bits.flag() and bits.flag():
        _skip_scaling_lists(bits)
    bits.skip(2)
    if bits.flag():
        bits.skip(8)
        bits.ue()
        bits.ue()
        bits.skip(1)
    deltas: list[int] = []
    for index in range(bits.bounded_ue(_MAX_SHORT_TERM_SETS, "num_short_term_ref_pic_sets")):
        deltas.append(_skip_picture_set(bits, index, deltas))
    if bits.flag():
        for _ in range(bits.bounded_ue(32, "num_long_term_ref_pics_sps")):
            bits.skip(order_bits + 1)
    bits.skip(2)
    return decoded


def _skip_scaling_lists(bits: BitReader) -> None:
    """scaling_list_data, 7.3.4; for 32×32 only matrices 0 and 3 are coded."""
    for size in range(4):
        for _ in range(2 if size == 3 else 6):
            if not bits.flag():
                bits.ue()
                continue
            if size > 1:
                bits.se()
            for _ in range(min(64, 1 << (4 + 2 * size))):
                bits.se()


def _skip_picture_set(bits: BitReader, index: int, deltas: list[int]) -> int:
    """st_ref_pic_set, 7.3.7; returns NumDeltaPocs, which the next set may be coded against."""
    if index and bits.flag():
        bits.skip(1)
        bits.ue()
        kept = 0
        for _ in range(deltas[index - 1] + 1):
            kept += bits.flag() or bits.flag()  # used_by_curr_pic_flag, else use_delta_flag
        return kept
    pictures = [
        bits.bounded_ue(_MAX_PICTURES, "num_negative_pics"),
        bits.bounded_ue(_MAX_PICTURES, "num_positive_pics"),
    ]
    for _ in range(sum(pictures)):
        bits.ue()
        bits.skip(1)
    return sum(pictures)


def _with_vui(base: Sps, bits: BitReader, sub_layers: int) -> Sps:
    """vui_parameters as far as hrd_parameters, E.2.1."""
    aspect = read_pixel_aspect(bits) if bits.flag() else None
    if bits.flag():
        bits.skip(1)
    colour = read_colour(bits) if bits.flag() else None
    if bits.flag():
        bits.ue()
        bits.ue()
    bits.skip(1)
    field_coded = bits.flag()
    bits.skip(1)
    if bits.flag():
        for _ in range(4):
            bits.ue()
    units, scale = 0, 0
    nal_hrd = vcl_hrd = None
    if bits.flag():
        units, scale = bits.u(32), bits.u(32)
        if bits.flag():
            bits.ue()
        nal_hrd, vcl_hrd = read_hrd(bits, sub_layers) if bits.flag() else (None, None)
    return replace(
        base,
        pixel_aspect=aspect,
        colour=colour,
        frame_rate=Fraction(scale, units) if units and scale else None,
        field_coded=field_coded,
        nal_hrd=nal_hrd,
        vcl_hrd=vcl_hrd,
    )
