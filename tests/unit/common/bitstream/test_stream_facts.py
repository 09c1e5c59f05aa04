"""HRD, picture parameter sets, SEI messages and transport tables: the byte strings are what x264, x265 and FFmpeg wrote."""

from __future__ import annotations

import pytest

from common.bitstream import BitstreamError, h264, hevc, mpegts, sei
from common.bitstream.h264_pps import Pps, parse_pps
from common.bitstream.vui import Hrd
from common.media import ContentLight, MasteringDisplay

# 320x240 25, Main 10, hrd=1, vbv-maxrate 2000, vbv-bufsize 1000
WITH_HRD = bytes.fromhex(
    "420101022000000300900000030000030099a00a080f1365959a4932bc05a8101048200000030020000003032c128acbc001e848003d0910"
)
# master-display=G(8500,39850)B(6550,2300)R(35400,14600)WP(15635,16450)L(40000000,50)
MASTERING = bytes.fromhex("4e01891821349baa199608fc8a4839083d13404202625a00000300003280")
LIGHT = bytes.fromhex("4e01900403e8019080")  # max-cll=1000,400


def test_the_hrd_of_an_hevc_stream_is_what_x265_was_told() -> None:
    sps = hevc.parse_sps(WITH_HRD)
    assert sps.nal_hrd is not None
    assert (sps.nal_hrd.bit_rate, sps.nal_hrd.buffer_bits) == (2_000_000, 1_000_000)
    assert sps.vcl_hrd is None
    assert (sps.decoded_frames, sps.coded_width, sps.coded_height) == (5, 320, 240)


def test_pictures_and_segments_name_their_parameter_sets() -> None:
    assert hevc.parse_pps(bytes.fromhex("4401c172b46240")) == (0, 0)
    assert hevc.parse_segment(bytes.fromhex("2801af1d20bd0eb9213c62")) == (True, 0)


def test_a_vps_agrees_with_the_sps_of_its_stream_alone() -> None:
    vps = hevc.parse_vps(bytes.fromhex("40010c01ffff022000000300900000030000030099959809"))
    lower = hevc.parse_vps(bytes.fromhex("40010c04ffff01600000030090000003000003003c00009594aca5650240"))
    assert vps.agrees(hevc.parse_sps(WITH_HRD).tier)
    assert not lower.agrees(hevc.parse_sps(WITH_HRD).tier)


@pytest.mark.parametrize(
    ("nal", "found"),
    [
        ("68ef0fcb", Pps(0, 0, True, 1, weighted=True, redundant=False, transform_8x8=True)),  # High
        ("68ce0fc8", Pps(0, 0, False, 1, weighted=False, redundant=False, transform_8x8=False)),  # Baseline
    ],
)
def test_a_picture_parameter_set_names_the_tools(nal: str, found: Pps) -> None:
    assert parse_pps(bytes.fromhex(nal)) == found


def test_slice_groups_end_the_reading_of_a_picture_parameter_set() -> None:
    # pps 0, sps 0, CAVLC, no order in frame, two slice groups (7.3.2.2)
    assert parse_pps(b"\x68" + int("1" + "1" + "0" + "0" + "010" + "1", 2).to_bytes(1)).slice_groups == 2


def test_hdr10_messages_are_what_x265_was_told() -> None:
    ((kind, payload),) = h264.sei_messages(MASTERING, header=2)
    assert kind == sei.MASTERING_DISPLAY
    assert sei.mastering_display(payload) == MasteringDisplay(
        red=(35400, 14600),
        green=(8500, 39850),
        blue=(6550, 2300),
        white_point=(15635, 16450),
        max_luminance=40_000_000,
        min_luminance=50,
    )
    ((kind, payload),) = h264.sei_messages(LIGHT, header=2)
    assert (kind, sei.content_light(payload)) == (sei.CONTENT_LIGHT, ContentLight(max_cll=1000, max_fall=400))


def test_a_short_hdr10_message_is_an_error() -> None:
    with pytest.raises(BitstreamError):
        sei.mastering_display(MASTERING[4:20])


def test_frame_packing_names_its_kind_until_it_is_cancelled() -> None:
    ((_, payload),) = h264.sei_messages(bytes.fromhex("062d07818100000300012080"))  # frame-packing=3
    assert sei.frame_packing(payload) == 3
    assert sei.frame_packing(b"\xc0") is None


def test_h264_hrd_schedules_give_their_largest() -> None:
    vui = h264.parse_sps(
        bytes.fromhex("67640029acd94078044fde1cd404040500000303e90000ea606660001312d00007270e920c03e2c5b2c0")
    ).vui
    assert vui.nal_hrd == Hrd(40_000_000, 30_000_000, vui.nal_hrd.delay_bits if vui.nal_hrd else 0)


def section(pid: int, table: bytes) -> bytes:
    return (b"\x47" + (0x4000 | pid).to_bytes(2) + b"\x10\0" + table).ljust(188, b"\xff")


def pat(*programs: tuple[int, int]) -> bytes:
    body = b"\0\1\xc1\0\0" + b"".join(n.to_bytes(2) + (0xE000 | pid).to_bytes(2) for n, pid in programs)
    return b"\0" + (0xB000 | len(body) + 4).to_bytes(2) + body + bytes(4)


def pmt(program: int, *kinds: int) -> bytes:
    body = program.to_bytes(2) + b"\xc1\0\0\xe1\0\xf0\0" + b"".join(bytes([kind, 0xE1, 0, 0xF0, 0]) for kind in kinds)
    return b"\2" + (0xB000 | len(body) + 4).to_bytes(2) + body + bytes(4)


def test_a_transport_stream_names_programs_and_stream_types() -> None:
    head = section(0, pat((0, 0x10), (1, 0x1000))) + section(0x1000, pmt(1, 0x0F, 0x24)) + section(0x1FFF, b"")
    tables = mpegts.read_tables(head)
    assert tables is not None
    assert (tables.packet_bytes, tables.programs, tables.video_types) == (188, (1,), (0x24,))


def test_two_programs_and_time_stamps_before_packets_are_seen() -> None:
    packets = [section(0, pat((1, 0x1000), (2, 0x1001))), section(0x1001, pmt(2, 0x1B)), section(0x1000, pmt(1, 3))]
    tables = mpegts.read_tables(b"".join(b"time" + packet for packet in packets))
    assert tables is not None
    assert (tables.packet_bytes, tables.programs, tables.video_types) == (192, (1, 2), (0x1B,))


def test_a_stream_without_tables_says_nothing() -> None:
    assert mpegts.read_tables(section(0x100, b"\xff" * 20) * 3) is None
    assert mpegts.read_tables(b"no transport stream" * 40) is None
