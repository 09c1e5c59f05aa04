"""Surveys of coded bytes and of the load: headers that x264, x265 and FFmpeg wrote, in orders that files come in."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.media import Coding, Hrd
from workers.describe_load import WINDOWS, Load
from workers.survey import survey_of

START = b"\0\0\0\1"
# 352x144 High 4.0 without VUI; the second is the same as a subset set of Stereo High
SPS = bytes.fromhex("67640028acb40b09c8")
PPS = bytes.fromhex("68ef0fcb")  # CABAC, 8x8 transform, weighted prediction
IDR, P_SLICE = bytes.fromhex("6588820b01aff6f7"), bytes.fromhex("419a21de41affefb")
B_SLICE = bytes.fromhex("01") + int("1" + "00111" + "1" + "0001" + "00000", 2).to_bytes(2) + b"\x80\x80"
OTHER_SIZE = bytes.fromhex("67640029acd94078044fde1cd404040500000303e90000ea606660001312d00007270e920c03e2c5b2c0")


def packet(*nals: bytes) -> bytes:
    return b"".join(START + nal for nal in nals)


def surveyed(*packets: bytes, extradata: bytes = b"", codec: str = "h264") -> Coding:
    survey = survey_of(codec, extradata)
    assert survey is not None
    for data in packets:
        survey.picture(data)
    return survey.coding()


def test_codecs_without_rules_are_not_surveyed() -> None:
    assert survey_of("mpeg4", b"") is None


def test_tools_slices_and_b_pictures_are_read_from_the_first_pictures() -> None:
    found = surveyed(
        packet(SPS, PPS, IDR, IDR.replace(b"\x88", b"\x08", 1)), packet(P_SLICE), packet(B_SLICE), packet(B_SLICE)
    )
    assert found.tools == ("CABAC", "8x8 transform", "weighted prediction", "B slices")
    assert (found.slices, found.b_pictures, found.delimiters) == (1, 2, False)
    assert (found.coded_width, found.coded_height, found.sizes) == (352, 144, ((352, 144),))


def test_parameter_sets_may_come_in_the_decoder_configuration_alone() -> None:
    assert surveyed(packet(IDR), extradata=packet(SPS, PPS)).parameter_sets == 1


def test_delimiters_stand_before_every_picture_or_count_as_absent() -> None:
    delimiter = b"\x09\xf0"
    assert surveyed(packet(delimiter, SPS, PPS, IDR), packet(delimiter, P_SLICE)).delimiters
    assert surveyed(packet(delimiter, SPS, PPS, IDR), packet(P_SLICE)).delimiters is False


def test_a_set_that_no_picture_uses_counts_for_nothing() -> None:
    unused = OTHER_SIZE[:4] + bytes([OTHER_SIZE[4]]) + OTHER_SIZE[5:]
    assert surveyed(packet(unused, SPS, PPS, IDR)).sizes == ((352, 144),)


def test_a_change_of_size_in_mid_stream_is_found_at_its_key_frame() -> None:
    survey = survey_of("h264", b"")
    assert survey is not None
    survey.picture(packet(SPS, PPS, IDR))
    survey.key(packet(OTHER_SIZE, PPS, IDR))
    found = survey.coding()
    assert (found.sizes, found.parameter_sets) == (((352, 144), (1920, 1080)), 2)
    assert found.nal_hrd == Hrd(bit_rate=40_000_000, buffer_bits=30_000_000)
    assert (found.decoded_frames, found.progressive_only) == (4, False)


@pytest.mark.parametrize(
    ("nal", "tool"),
    [(b"\x02\x88\x80", "data partitioning"), (b"\x04\x88\x80", "data partitioning")],
)
def test_what_no_high_profile_decoder_knows_is_named(nal: bytes, tool: str) -> None:
    assert tool in surveyed(packet(SPS, PPS, IDR, nal)).tools


def test_slice_groups_are_named() -> None:
    groups = b"\x68" + int("1" + "1" + "0" + "0" + "010" + "1", 2).to_bytes(1)
    assert "slice groups" in surveyed(packet(SPS, groups, IDR)).tools


def test_slices_of_a_second_view_are_seen() -> None:
    assert surveyed(packet(SPS, PPS, IDR, bytes.fromhex("744000018882"))).second_view
    assert not surveyed(packet(SPS, PPS, IDR)).second_view


def test_broken_bytes_end_the_reading_of_their_packet_alone() -> None:
    found = surveyed(packet(SPS, PPS, IDR), packet(SPS[:3], IDR), packet(P_SLICE))
    assert (found.parameter_sets, found.slices) == (1, 1)


def test_an_mpeg_2_stream_tells_its_codes_and_b_pictures() -> None:
    sequence = bytes.fromhex(
        "000001b37804383461a832a8000001b5144200010000000001b52b0202011e0221c0"
        "000001b80008004000000100000ffff8000001b58ffff38000"
    )
    b_picture = bytes.fromhex("00000100005ffff8000001b58ffff38000")
    found = surveyed(sequence, b_picture, b_picture, codec="mpeg2video")
    assert (found.aspect_code, found.rate_code, found.rate_extended, found.low_delay) == (3, 4, False, False)
    assert found.nal_hrd == Hrd(bit_rate=40_000_000, buffer_bits=9_781_248)
    assert (found.b_pictures, found.progressive_only, found.sizes) == (2, False, ((1920, 1080),))


@settings(deadline=None, max_examples=80)
@given(
    codec=st.sampled_from(["h264", "hevc", "mpeg2video"]),
    extradata=st.binary(max_size=80),
    packets=st.lists(st.binary(max_size=120), max_size=4),
    real=st.booleans(),
)
def test_any_bytes_are_surveyed_without_a_crash(codec: str, extradata: bytes, packets: list[bytes], real: bool) -> None:
    begun = [packet(SPS, PPS, IDR) + noise for noise in packets] if real else packets
    assert isinstance(surveyed(*begun, extradata=extradata, codec=codec), Coding)


def test_the_longest_gop_reaches_to_the_next_key_frame_or_the_end() -> None:
    load = Load()
    for key in (True, False, False, True, False, False, False):
        load.add(1, key=key, begins=True)
    assert load.longest_gop() == 4
    assert Load().longest_gop() is None


def test_a_second_field_belongs_to_its_frame() -> None:
    load = Load()
    for begins in (True, False, True, False):
        load.add(100, key=begins, begins=begins)
    assert load.peaks() == ((1, 1600), (2, 3200))
    assert load.longest_gop() == 1


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 10**7), min_size=1, max_size=60))
def test_peaks_are_the_largest_sums_of_successive_frames(sizes: list[int]) -> None:
    load = Load()
    for size in sizes:
        load.add(size, key=False, begins=True)
    expected = tuple(
        (span, 8 * max(sum(sizes[at : at + span]) for at in range(len(sizes) - span + 1)))
        for span in WINDOWS
        if span <= len(sizes)
    )
    assert load.peaks() == expected
