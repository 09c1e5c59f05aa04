"""A synthetic Stereo High stream: an H.264 base view to which the NAL units of a second view are added (H.264 Annex H).

No free encoder writes MVC. The second view here repeats the base view's slices behind MVC headers and its parameter set is a
subset SPS of profile_idc 128, so that parsers see a Stereo High stream; base-view decoders show it. It is no picture that a
stereo display was ever fed with.
"""

from __future__ import annotations

import re

SPS, PPS, SLICE, IDR, SUBSET_SPS, SECOND_VIEW = 7, 8, 1, 5, 15, 20
STEREO_HIGH = 128
_START = re.compile(b"\0\0\0?\1")


def stereo_high(annex_b: bytes) -> bytes:
    """The stream with a second view. ``annex_b``: a High profile byte stream, one slice a picture (x264 ``slices=1``)."""
    units = [unit for unit in _START.split(annex_b) if unit]
    return b"".join(b"\0\0\0\1" + unit for original in units for unit in _with_second_view(original))


def _with_second_view(unit: bytes) -> list[bytes]:
    kind = unit[0] & 0x1F
    if kind == SPS:
        return [unit, _subset(unit)]
    if kind in (SLICE, IDR):
        # nal_unit_header_mvc_extension (H.7.3.1.1): svc 0, non_idr, priority 0, view 1, temporal 0, anchor, inter-view 0, 1
        anchor = kind == IDR
        bits = f"0{int(not anchor)}{0:06b}{1:010b}{0:03b}{int(anchor)}01"
        header = int(bits, 2).to_bytes(3, "big")
        return [unit, bytes([unit[0] & 0x60 | SECOND_VIEW]) + header + unit[1:]]
    return [unit]


def _subset(sps: bytes) -> bytes:
    """subset_seq_parameter_set_rbsp (7.3.2.1.3): the same set as Stereo High, views 0 and 1 without prediction between them."""
    data = sps[1:].replace(b"\0\0\3", b"\0\0")
    bits = "".join(f"{byte:08b}" for byte in data).rstrip("0")[:-1]  # without the stop bit
    bits = f"{STEREO_HIGH:08b}" + bits[8:]
    views = (1, 0, 1)  # num_views_minus1, view_id[0], view_id[1]
    no_references = (0,) * 4  # of view 1: anchor and other pictures, lists 0 and 1
    bits += "1" + "".join(map(_ue, (*views, *no_references)))
    # one level, 4.2, with one operation point: temporal id 0, one target view (view 1), two views in all
    bits += _ue(0) + f"{42:08b}" + _ue(0) + "000" + _ue(0) + _ue(1) + _ue(1)
    bits += "00"  # no MVC VUI, no further extension
    bits += "1"
    bits += "0" * (-len(bits) % 8)
    raw = int(bits, 2).to_bytes(len(bits) // 8, "big")
    return bytes([sps[0] & 0x60 | SUBSET_SPS]) + _escaped(raw)


def _ue(value: int) -> str:
    code = f"{value + 1:b}"
    return "0" * (len(code) - 1) + code


def _escaped(raw: bytes) -> bytes:
    """Emulation prevention (7.4.1.1)."""
    out = bytearray()
    for byte in raw:
        if out[-2:] == b"\0\0" and byte <= 3:
            out.append(3)
        out.append(byte)
    return bytes(out)
