"""The byte strings are NAL units that x265 wrote for the settings named beside them (FFmpeg 9.0.2)."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.bitstream import BitstreamError, h264, hevc
from common.bitstream.vui import Colour

# 318x238 60000/1001, Main 10, level 5.1 Main tier, SAR 7/5, BT.2020 PQ limited
TEN_BITS = bytes.fromhex(
    "420101022000000300900000030000030099a00a080f1d5365959a4932bffc001c0015a84880482000007d20001d4c01"
)
TEN_BITS_VPS = bytes.fromhex("40010c01ffff022000000300900000030000030099959809")
# 320x240 25, Main, level 2, three temporal layers, default scaling lists
LAYERED = bytes.fromhex("42010401600000030090000003000003003c0000a00a080f1659594aca565924e5780b4040000003004000000642")
LAYERED_VPS = bytes.fromhex("40010c04ffff01600000030090000003000003003c00009594aca5650240")


def test_a_main_10_sps_says_what_x265_was_told() -> None:
    sps = hevc.parse_sps(TEN_BITS)
    assert (sps.tier.profile, sps.tier.level_idc, sps.tier.high_tier) == ("Main 10", 153, False)
    assert (sps.width, sps.height, sps.bit_depth, sps.bit_depth_chroma, sps.chroma) == (318, 238, 10, 10, "4:2:0")


def test_vui_says_what_x265_was_told() -> None:
    sps = hevc.parse_sps(TEN_BITS)
    assert (sps.pixel_aspect, sps.frame_rate) == (Fraction(7, 5), Fraction(60000, 1001))
    assert sps.colour == Colour(full_range=False, primaries=9, transfer=16, matrix=9)
    assert not sps.field_coded


def test_sub_layers_and_scaling_lists_are_passed_over() -> None:
    sps = hevc.parse_sps(LAYERED)
    assert (sps.tier.profile, sps.tier.level_idc, sps.width, sps.height) == ("Main", 60, 320, 240)
    assert sps.frame_rate == 25


@pytest.mark.parametrize(("nal", "profile", "level"), [(TEN_BITS_VPS, 2, 153), (LAYERED_VPS, 1, 60)])
def test_the_vps_names_the_same_profile_and_level(nal: bytes, profile: int, level: int) -> None:
    tier = hevc.parse_vps(nal)
    assert (tier.profile_idc, tier.level_idc) == (profile, level)


def test_nal_types_and_layers_are_read_from_two_bytes() -> None:
    assert hevc.nal_type(TEN_BITS) == hevc.Nal.SPS
    assert hevc.nal_type(TEN_BITS_VPS) == hevc.Nal.VPS
    assert hevc.layer(TEN_BITS) == 0
    assert hevc.layer(b"\x43\x09") == 33


def test_a_frame_packing_sei_stands_behind_two_bytes_of_header() -> None:
    ((kind, payload),) = h264.sei_messages(bytes.fromhex("4e012d07818100000300012080"), header=2)
    assert kind == h264.FRAME_PACKING
    assert h264.packs_frames(payload)


@pytest.mark.parametrize("length", [3, 12, 25])
def test_an_sps_that_ends_early_is_an_error(length: int) -> None:
    with pytest.raises(BitstreamError):
        hevc.parse_sps(TEN_BITS[:length])


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=80), st.integers(2, 46))
def test_any_sps_is_read_or_refused(noise: bytes, cut: int) -> None:
    try:
        sps = hevc.parse_sps(TEN_BITS[:cut] + noise)
        assert 0 < sps.height <= hevc.MAX_SIDE
    except BitstreamError:
        pass
