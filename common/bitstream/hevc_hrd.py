"""Hypothetical reference decoder of an HEVC stream: bit rates and buffers that its headers promise (ITU-T H.265 E.2.2)."""

from __future__ import annotations

from common.bitstream.bits import BitReader
from common.bitstream.vui import Hrd


def read_hrd(bits: BitReader, sub_layers: int) -> tuple[Hrd | None, Hrd | None]:
    """(NAL, VCL) parameters of the highest sub-layer, hrd_parameters(1, sub_layers).

    Raises:
        BitstreamError: they break the syntax or end early.
    """
    has_nal, has_vcl = bits.flag(), bits.flag()
    units = scales = delays = 0
    if has_nal or has_vcl:
        units = bits.flag()
        bits.skip(19 * units)
        scales = bits.u(8)  # bit_rate_scale, cpb_size_scale
        bits.skip(4 * units + 5)
        delays = 2 + bits.u(5) + bits.u(5)
    nal = vcl = None
    for _ in range(sub_layers + 1):
        count = _schedules(bits)
        nal = _sub_layer(bits, count, scales, delays, bool(units)) if has_nal else None
        vcl = _sub_layer(bits, count, scales, delays, bool(units)) if has_vcl else None
    return nal, vcl


def _schedules(bits: BitReader) -> int:
    """How many schedules a sub-layer has."""
    low_delay = False
    if bits.flag() or bits.flag():  # fixed_pic_rate_general_flag, which implies fixed_pic_rate_within_cvs_flag
        bits.ue()
    else:
        low_delay = bits.flag()
    return 1 if low_delay else 1 + bits.bounded_ue(31, "cpb_cnt_minus1")


def _sub_layer(bits: BitReader, count: int, scales: int, delays: int, units: bool) -> Hrd:
    rates, sizes = [], []
    for _ in range(count):
        rates.append((bits.ue() + 1) << 6 + (scales >> 4))
        sizes.append((bits.ue() + 1) << 4 + (scales & 15))
        if units:
            bits.ue()
            bits.ue()
        bits.skip(1)
    return Hrd(max(rates), max(sizes), delays)
