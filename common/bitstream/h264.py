"""Headers of an H.264 stream: sequence parameter set, SEI messages, slice header (ITU-T H.264 7.3.2, Annexes D and E)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from common.bitstream import BitstreamError
from common.bitstream.bits import BitReader, unescaped
from common.bitstream.vui import Vui, read_vui

MAX_SIDE = 16_880
"""Longest side in luma samples: √(8·MaxFS) macroblocks at level 6.2 (A.3.1) is 1055 macroblocks."""

CHROMA = ("4:0:0", "4:2:0", "4:2:2", "4:4:4")
"""By chroma_format_idc, Table 6-1."""

PROFILES = {66: "Baseline", 77: "Main", 88: "Extended", 100: "High", 110: "High 10", 122: "High 4:2:2"}
PROFILES |= {244: "High 4:4:4 Predictive", 44: "CAVLC 4:4:4", 118: "Multiview High", 128: "Stereo High"}
"""By profile_idc, A.2 and H.10."""

_WITH_CHROMA_FORMAT = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})  # 7.3.2.1.1


class Nal(IntEnum):
    """nal_unit_type, Table 7-1."""

    SLICE = 1
    PARTITION_A = 2
    PARTITION_C = 4
    IDR = 5
    SEI = 6
    SPS = 7
    PPS = 8
    DELIMITER = 9
    SUBSET_SPS = 15
    SECOND_VIEW = 20


PIC_TIMING, FRAME_PACKING = 1, 45
"""SEI payload types, D.1."""

P_SLICE, B_SLICE, I_SLICE = 0, 1, 2
"""slice_type modulo 5, Table 7-6."""


@dataclass(frozen=True)
class Sps:
    """Sequence parameter set."""

    profile_idc: int
    constraints: int  # constraint_set0_flag to constraint_set5_flag and two zero bits, as the byte lies there
    level_idc: int
    chroma: str
    separate_planes: bool
    bit_depth: int  # luma
    bit_depth_chroma: int
    frame_num_bits: int
    reference_frames: int
    frame_mbs_only: bool
    mb_adaptive: bool  # mb_adaptive_frame_field_flag
    width: int  # luma samples after cropping
    height: int
    vui: Vui
    coded_width: int  # luma samples before cropping
    coded_height: int
    number: int = 0  # seq_parameter_set_id
    order_count_bits: int = 0  # of pic_order_cnt_lsb; 0: slice headers of this order count type have none
    crop_left: int = 0  # luma samples that are coded and not shown

    @property
    def profile(self) -> str:
        """The profile in the standard's words (A.2)."""
        constrained = self.profile_idc == 66 and self.constraints & 0x40
        return "Constrained Baseline" if constrained else PROFILES.get(self.profile_idc, f"profile {self.profile_idc}")


@dataclass(frozen=True)
class Slice:
    """What the start of a slice header tells of its picture."""

    idr: bool
    frame_num: int
    field: bool
    bottom: bool
    first: bool  # it begins a picture
    kind: int = I_SLICE  # slice_type modulo 5
    pps: int = 0  # pic_parameter_set_id


def nal_type(nal: bytes) -> int:
    """nal_unit_type."""
    return nal[0] & 0x1F


def parse_sps(nal: bytes) -> Sps:
    """Sequence parameter set, or the first part of a subset one, from its NAL unit with header.

    Raises:
        BitstreamError: it breaks the syntax, ends early, or gives no picture.
    """
    bits = BitReader(unescaped(nal[1:]))
    profile, constraints, level = bits.u(8), bits.u(8), bits.u(8)
    number = bits.bounded_ue(31, "seq_parameter_set_id")
    chroma, separate, depth, depth_chroma = 1, False, 8, 8
    if profile in _WITH_CHROMA_FORMAT:
        chroma = bits.bounded_ue(3, "chroma_format_idc")
        separate = chroma == 3 and bits.flag()
        depth, depth_chroma = (8 + bits.bounded_ue(6, "bit_depth_minus8") for _ in range(2))
        bits.skip(1)
        if bits.flag():
            _skip_scaling_lists(bits, 8 if chroma != 3 else 12)
    frame_num_bits = 4 + bits.bounded_ue(12, "log2_max_frame_num_minus4")
    order_count_bits = _order_count_bits(bits)
    references = bits.bounded_ue(16, "max_num_ref_frames")
    bits.skip(1)
    frame_mbs_only, mb_adaptive, coded, shown, crop_left = _frame(bits, chroma)
    return Sps(
        profile_idc=profile,
        constraints=constraints,
        level_idc=level,
        chroma=CHROMA[chroma],
        separate_planes=separate,
        bit_depth=depth,
        bit_depth_chroma=depth_chroma,
        frame_num_bits=frame_num_bits,
        reference_frames=references,
        frame_mbs_only=frame_mbs_only,
        mb_adaptive=mb_adaptive,
        width=shown[0],
        height=shown[1],
        coded_width=coded[0],
        coded_height=coded[1],
        number=number,
        vui=read_vui(bits) if bits.flag() else Vui(),
        order_count_bits=order_count_bits,
        crop_left=crop_left,
    )


def _frame(bits: BitReader, chroma: int) -> tuple[bool, bool, tuple[int, int], tuple[int, int], int]:
    """(frame_mbs_only_flag, mb_adaptive_frame_field_flag, luma samples before and after cropping, those cropped on the left):
    7-13 to 7-22.
    """
    columns, rows = bits.ue() + 1, bits.ue() + 1
    frame_mbs_only = bits.flag()
    mb_adaptive = not frame_mbs_only and bits.flag()
    bits.skip(1)
    crop = [bits.ue() for _ in range(4)] if bits.flag() else [0] * 4
    fields = 1 if frame_mbs_only else 2
    coded = 16 * columns, 16 * rows * fields
    across = 2 if chroma in (1, 2) else 1
    width = coded[0] - across * (crop[0] + crop[1])
    height = coded[1] - (2 if chroma == 1 else 1) * fields * (crop[2] + crop[3])
    if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE and max(coded) <= 2 * MAX_SIDE):
        raise BitstreamError(f"a picture of {width}×{height} luma samples")
    return frame_mbs_only, mb_adaptive, coded, (width, height), across * crop[0]


def slice_pps(nal: bytes) -> int:
    """pic_parameter_set_id of a slice header (7.3.3), which names the parameter sets that the rest is read under.

    Raises:
        BitstreamError: it ends early.
    """
    bits = BitReader(unescaped(nal[1:32]))
    bits.ue()
    bits.ue()
    return bits.ue()


def parse_slice(nal: bytes, sps: Sps) -> Slice:
    """The start of a slice header (7.3.3) under its sequence parameter set; the first 64 bytes of the NAL unit suffice.

    Raises:
        BitstreamError: it ends early.
    """
    bits = BitReader(unescaped(nal[1:64]))
    first, kind, pps = bits.ue() == 0, bits.ue() % 5, bits.ue()
    if sps.separate_planes:
        bits.skip(2)
    frame_num = bits.u(sps.frame_num_bits)
    field = not sps.frame_mbs_only and bits.flag()
    return Slice(nal_type(nal) == Nal.IDR, frame_num, field, field and bits.flag(), first, kind, pps)


def sei_messages(nal: bytes, header: int = 1) -> Iterator[tuple[int, bytes]]:
    """(payload type, payload) of each message of an SEI NAL unit (7.3.2.3.1); ``header``: bytes before it (HEVC 2)."""
    data = unescaped(nal[header:])
    position = 0
    while position + 2 <= len(data):  # one byte is left: the stop bit
        numbers = [0, 0]
        for index in (0, 1):
            while position < len(data) and data[position] == 0xFF:
                numbers[index] += 255
                position += 1
            if position >= len(data):
                return
            numbers[index] += data[position]
            position += 1
        yield numbers[0], data[position : position + numbers[1]]
        position += numbers[1]


def packs_frames(payload: bytes) -> bool:
    """True when a frame packing arrangement SEI (D.1.26, H.265 D.2.16) starts a packing rather than cancels one.

    Raises:
        BitstreamError: it ends early.
    """
    bits = BitReader(payload)
    bits.ue()
    return not bits.flag()


def pic_struct(payload: bytes, sps: Sps) -> int | None:
    """pic_struct of a picture timing SEI (Table D-1): 0 frame, 1/3/5 top field first, 2/4/6 bottom; None: not given.

    Raises:
        BitstreamError: it ends early.
    """
    if not sps.vui.has_pic_struct:
        return None
    bits = BitReader(payload)
    hrd = sps.vui.nal_hrd or sps.vui.vcl_hrd
    bits.skip(hrd.delay_bits if hrd else 0)
    return bits.u(4)


def _skip_scaling_lists(bits: BitReader, lists: int) -> None:
    for number in range(lists):
        if not bits.flag():
            continue
        scale = last = 8
        for _ in range(16 if number < 6 else 64):
            if scale:
                scale = (last + bits.se()) % 256
                last = scale or last


def _order_count_bits(bits: BitReader) -> int:
    kind = bits.bounded_ue(2, "pic_order_cnt_type")
    if kind == 0:
        return 4 + bits.bounded_ue(12, "log2_max_pic_order_cnt_lsb_minus4")
    if kind == 1:
        bits.skip(1)
        bits.se()
        bits.se()
        for _ in range(bits.bounded_ue(255, "num_ref_frames_in_pic_order_cnt_cycle")):
            bits.se()
    return 0
