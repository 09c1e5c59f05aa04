"""The byte strings are NAL units that x264 wrote for the settings named beside them (FFmpeg 9.0.2)."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.bitstream import BitstreamError, h264
from common.bitstream.vui import Colour

# 1920x1080 30000/1001, High 4.1, tff, SAR 4/3, BT.709 limited, nal-hrd=vbr 40 Mbit/s, 30 Mbit buffer, 2 B-frames
INTERLACED = bytes.fromhex("67640029acd94078044fde1cd404040500000303e90000ea606660001312d00007270e920c03e2c5b2c0")
# 318x238 25, High 4:2:2 10 bits, SAR 11/10, full range
PROFESSIONAL = bytes.fromhex("677a000db6cd94141feafff000b000a6c80000030008000003019078a14cb0")
BASELINE = bytes.fromhex("6742c00dd90141fb011000000300100000030320f142a480")  # 320x240 25
PACKING_SEI = bytes.fromhex("062d07818100000300012080")  # frame-packing=3


def golomb(value: int) -> str:
    code = f"{value + 1:b}"
    return "0" * (len(code) - 1) + code


def built(*, height_in_units: int, frame_mbs_only: str, profile: int = 100, lists: str = "0") -> bytes:
    """A sequence parameter set without VUI, 352 samples wide, by the syntax table of 7.3.2.1.1."""
    bits = f"{profile:08b}00000000{40:08b}" + golomb(0) + golomb(1) + golomb(0) + golomb(0) + "0"
    bits += ("1" + lists if lists != "0" else "0") + golomb(0) + golomb(2) + golomb(1) + "0"
    bits += golomb(21) + golomb(height_in_units - 1) + frame_mbs_only + "1" + "0" + "0" + "1"
    bits += "0" * (-len(bits) % 8)
    return b"\x67" + bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits), 8))


def test_a_high_profile_sps_says_what_x264_was_told() -> None:
    sps = h264.parse_sps(INTERLACED)
    assert (sps.profile, sps.level_idc, sps.chroma, sps.bit_depth) == ("High", 41, "4:2:0", 8)
    assert (sps.width, sps.height, sps.frame_mbs_only, sps.mb_adaptive) == (1920, 1080, False, True)


def test_vui_says_what_x264_was_told() -> None:
    vui = h264.parse_sps(INTERLACED).vui
    assert vui.pixel_aspect == Fraction(4, 3)
    assert vui.colour == Colour(full_range=False, primaries=1, transfer=1, matrix=1)
    assert vui.field_rate == Fraction(60000, 1001)
    assert vui.nal_hrd is not None
    assert (vui.nal_hrd.bit_rate, vui.nal_hrd.buffer_bits) == (40_000_000, 30_000_000)
    assert (vui.reorder_frames, vui.buffered_frames) == (2, 4)


def test_cropping_depth_and_chroma_of_a_professional_stream() -> None:
    sps = h264.parse_sps(PROFESSIONAL)
    assert (sps.profile, sps.width, sps.height) == ("High 4:2:2", 318, 238)
    assert (sps.bit_depth, sps.bit_depth_chroma, sps.chroma) == (10, 10, "4:2:2")
    assert sps.vui.pixel_aspect == Fraction(11, 10)
    assert sps.vui.colour == Colour(full_range=True)


def test_constrained_baseline_is_told_by_its_flag() -> None:
    sps = h264.parse_sps(BASELINE)
    assert (sps.profile, sps.profile_idc, sps.constraints) == ("Constrained Baseline", 66, 0xC0)


def test_field_coding_doubles_the_height() -> None:
    assert h264.parse_sps(built(height_in_units=9, frame_mbs_only="1")).height == 144
    assert h264.parse_sps(built(height_in_units=9, frame_mbs_only="00")).height == 288


def test_scaling_lists_are_passed_over() -> None:
    # the first list: two deltas, then a third that ends it (next scale 0); the others are absent
    lists = "1" + golomb(1) + golomb(2) + golomb(16) + "0" * 7
    assert h264.parse_sps(built(height_in_units=9, frame_mbs_only="1", lists=lists)).height == 144


def test_stereo_high_is_named() -> None:
    assert h264.parse_sps(built(height_in_units=9, frame_mbs_only="1", profile=128)).profile == "Stereo High"


def test_a_frame_packing_sei_is_found_and_a_cancelled_one_is_not() -> None:
    ((kind, payload),) = h264.sei_messages(PACKING_SEI)
    assert kind == h264.FRAME_PACKING
    assert h264.packs_frames(payload)
    assert not h264.packs_frames(b"\xc0")


def test_long_sei_types_and_sizes_are_summed() -> None:
    nal = b"\x06\xff\x2d\xff\x01" + bytes([7]) * 256 + b"\x80"
    assert list(h264.sei_messages(nal)) == [(300, bytes([7]) * 256)]


def test_picture_timing_tells_the_field_order() -> None:
    sps = h264.parse_sps(INTERLACED)
    assert h264.pic_struct(bytes.fromhex("000432"), sps) == 3  # top field first
    assert h264.pic_struct(b"", h264.parse_sps(BASELINE)) is None


def test_slice_headers_tell_frames_and_fields() -> None:
    sps = h264.parse_sps(INTERLACED)
    idr, second = bytes.fromhex("6588820b01aff6f7"), bytes.fromhex("419a21de41affefb")
    assert h264.parse_slice(idr, sps) == h264.Slice(idr=True, frame_num=0, field=False, bottom=False, first=True)
    assert (h264.parse_slice(second, sps).frame_num, h264.parse_slice(second, sps).kind) == (1, h264.P_SLICE)
    # first_mb 0, type 7, pps 0, frame_num 0000, field_pic 1, bottom 1
    field = b"\x65" + int("1" + "0001000" + "1" + "0000" + "11" + "0", 2).to_bytes(2) + b"\x80"
    assert h264.parse_slice(field, sps) == h264.Slice(
        idr=True, frame_num=0, field=True, bottom=True, first=True, kind=h264.I_SLICE
    )


@pytest.mark.parametrize("length", [2, 5, 9, 12])
def test_an_sps_that_ends_early_is_an_error(length: int) -> None:
    with pytest.raises(BitstreamError):
        h264.parse_sps(INTERLACED[:length])


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=64), st.integers(1, 40))
def test_any_sps_is_read_or_refused(noise: bytes, cut: int) -> None:
    try:
        sps = h264.parse_sps(INTERLACED[:cut] + noise)
        assert 0 < sps.width <= h264.MAX_SIDE
    except BitstreamError:
        pass


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=64))
def test_sei_messages_stay_inside_any_bytes(noise: bytes) -> None:
    assert sum(len(payload) for _, payload in h264.sei_messages(b"\x06" + noise)) <= len(noise)
