"""Picture parameter sets of an H.264 stream (ITU-T H.264 7.3.2.2): which tools its pictures may use."""

from __future__ import annotations

from dataclasses import dataclass

from common.bitstream.bits import BitReader, unescaped


@dataclass(frozen=True)
class Pps:
    """Picture parameter set. Behind slice groups nothing is read: no profile of DICOM's allows them."""

    number: int  # pic_parameter_set_id
    sps: int  # seq_parameter_set_id
    cabac: bool
    slice_groups: int
    weighted: bool = False  # weighted prediction of P or B slices
    redundant: bool = False  # redundant_pic_cnt_present_flag
    transform_8x8: bool = False


def parse_pps(nal: bytes) -> Pps:
    """Picture parameter set from its NAL unit with header.

    Raises:
        BitstreamError: it breaks the syntax or ends early.
    """
    bits = BitReader(unescaped(nal[1:]))
    number, sps = bits.bounded_ue(255, "pic_parameter_set_id"), bits.bounded_ue(31, "seq_parameter_set_id")
    cabac = bits.flag()
    bits.skip(1)
    groups = 1 + bits.bounded_ue(7, "num_slice_groups_minus1")
    if groups > 1:
        return Pps(number, sps, cabac, groups)
    bits.ue()
    bits.ue()
    weighted = bits.u(3) != 0
    for _ in range(3):
        bits.se()
    bits.skip(2)
    redundant = bits.flag()
    return Pps(number, sps, cabac, groups, weighted, redundant, bits.more_data() and bits.flag())
