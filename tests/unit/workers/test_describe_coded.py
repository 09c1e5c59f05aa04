from __future__ import annotations

import pytest

from common.bitstream import mpeg2
from workers.describe_coded import Coded, FrameCounter, read_coded

# sequence parameter sets of 352x144: High 4.0, and as a subset set Stereo High 4.2 (7.3.2.1.1, without VUI)
HIGH = bytes.fromhex("67640028acb40b09c8")
STEREO = bytes.fromhex("6f80002aacb40b09c8")
START = b"\0\0\0\1"


def picture(structure: int, *, top_first: int = 0) -> bytes:
    """Picture header and picture coding extension (13818-2 6.2.3, 6.2.3.1)."""
    bits = "1000" + "1" * 16 + "00" + f"{structure:02b}" + f"{top_first}" + "0" * 15
    return b"\0\0\1\0\0\x0f\xff\xf8\0\0\1\xb5" + int(bits, 2).to_bytes(len(bits) // 8)


def counted(*structures: int) -> int:
    counter = FrameCounter("mpeg2video", Coded())
    return sum(counter.frames_of(picture(structure)) for structure in structures)


@pytest.mark.parametrize(
    ("structures", "frames"),
    [
        ((mpeg2.FRAME, mpeg2.FRAME), 2),
        ((mpeg2.TOP, mpeg2.BOTTOM, mpeg2.TOP, mpeg2.BOTTOM), 2),
        ((mpeg2.BOTTOM, mpeg2.TOP), 1),
        ((mpeg2.TOP, mpeg2.TOP), 2),  # each without its twin
        ((mpeg2.TOP, mpeg2.FRAME, mpeg2.BOTTOM), 3),
    ],
)
def test_fields_pair_up_only_with_their_neighbour_of_the_other_parity(structures: tuple[int, ...], frames: int) -> None:
    assert counted(*structures) == frames


def test_two_fields_in_one_packet_are_one_frame() -> None:
    packet = picture(mpeg2.TOP) + picture(mpeg2.BOTTOM)
    assert FrameCounter("mpeg2video", Coded()).frames_of(packet) == 1


def test_packets_of_other_codecs_are_frames_whatever_they_hold() -> None:
    assert FrameCounter("hevc", Coded()).frames_of(b"anything") == 1


def test_field_order_is_that_of_the_first_field_where_fields_are_coded_alone() -> None:
    sequence = bytes.fromhex("000001b32d024023ffffe018000001b5148200010000")
    assert read_coded("mpeg2video", sequence, [picture(mpeg2.BOTTOM)]).top_first is False
    assert read_coded("mpeg2video", sequence, [picture(mpeg2.TOP)]).top_first is True
    assert read_coded("mpeg2video", sequence, [picture(mpeg2.FRAME, top_first=1)]).top_first is True


def test_a_second_view_makes_the_profile_stereo_high() -> None:
    assert read_coded("h264", START + HIGH, []).profile == "High"
    for extradata in (START + HIGH + START + STEREO, START + STEREO + START + HIGH):
        assert read_coded("h264", extradata, []).profile == "Stereo High"


def test_broken_bytes_end_the_search_and_keep_what_was_found() -> None:
    found = read_coded("h264", START + HIGH + START + HIGH[:4], [])
    assert (found.profile, found.level_idc) == ("High", 40)
