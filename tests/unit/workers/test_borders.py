"""Where a stream may be cut, and how its units are shared out."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import Uncuttable
from workers.borders import find_units, shares

IDR, SLICE, EXACT, GRADUAL = b"\x65", b"\x41", b"\x06\x06\x01\xc4\x80", b"\x06\x06\x01\x48\x80"
OPEN_GROUP = b"\0\0\1\xb3\0\0\0\0\0\0\1\xb8\0\x08\x00\x00"
CLOSED_GROUP = OPEN_GROUP[:-1] + b"\x40"


@dataclass
class Packet:
    """What the survey asks of PyAV's."""

    data: bytes
    pts: int | None
    is_keyframe: bool = False
    stream_index: int = 0

    @property
    def size(self) -> int:
        return len(self.data)

    def __bytes__(self) -> bytes:
        return self.data


def h264(*pictures: tuple[bytes, int]) -> list[int]:
    """Packets of each unit; a picture's NAL units stand behind start codes, and what is no plain slice is a key packet."""
    packets = [Packet(b"\0\0\1" + nal + b"\0\0\1\x65", pts, nal != SLICE) for nal, pts in pictures]
    for packet in packets:
        packet.data = packet.data[:-4] if b"\x06" not in packet.data else packet.data[:-1] + SLICE
    return [unit.packets for unit in find_units(packets, "h264", b"", 0)]


def mpeg2(*pictures: tuple[bytes, int]) -> list[int]:
    packets = [Packet(data, pts, data.startswith(b"\0\0\1\xb3")) for data, pts in pictures]
    return [unit.packets for unit in find_units(packets, "mpeg2video", b"", 0)]


def test_an_idr_picture_is_a_border() -> None:
    assert h264((IDR, 0), (SLICE, 2), (SLICE, 1), (IDR, 3), (SLICE, 4)) == [3, 2]


def test_a_recovery_point_is_a_border_only_when_nothing_behind_it_is_shown_before_it() -> None:
    assert h264((IDR, 0), (SLICE, 1), (EXACT, 2), (SLICE, 3)) == [2, 2]
    assert h264((IDR, 0), (SLICE, 1), (EXACT, 4), (SLICE, 2), (SLICE, 3)) == [5]


def test_a_gradual_refresh_is_no_border() -> None:
    assert h264((IDR, 0), (SLICE, 1), (GRADUAL, 2), (SLICE, 3)) == [4]


def test_a_picture_shown_after_the_key_frame_but_coded_before_it_forbids_the_border() -> None:
    assert h264((IDR, 0), (SLICE, 3), (IDR, 2), (SLICE, 4)) == [4]


def test_leading_pictures_of_a_closed_mpeg2_group_go_with_it_and_those_of_an_open_one_hold_it_back() -> None:
    first, rest = (CLOSED_GROUP, 0), (b"\0\0\1\0", 1)
    assert mpeg2(first, rest, (CLOSED_GROUP, 3), (b"\0\0\1\0", 2)) == [2, 2]
    assert mpeg2(first, rest, (OPEN_GROUP, 3), (b"\0\0\1\0", 2)) == [4]
    assert mpeg2(first, rest, (OPEN_GROUP, 2), (b"\0\0\1\0", 3)) == [2, 2]


def test_a_frame_without_a_time_has_no_place() -> None:
    with pytest.raises(Uncuttable, match="no time"):
        h264((IDR, 0), (SLICE, None))  # type: ignore[arg-type]


SIZES = st.lists(st.integers(1, 1000), min_size=1, max_size=60)


@given(sizes=SIZES, spare=st.integers(0, 3000))
def test_parts_are_whole_fit_and_are_as_few_as_they_can_be(sizes: list[int], spare: int) -> None:
    limit = max(sizes) + spare
    firsts = shares(sizes, limit)
    parts = [sizes[a:b] for a, b in zip(firsts, [*firsts[1:], len(sizes)], strict=True)]
    assert [size for part in parts for size in part] == sizes
    assert all(part and sum(part) <= limit for part in parts)
    assert len(parts) == fewest(sizes, limit)


def fewest(sizes: list[int], limit: int) -> int:
    """By trying every border (dynamic programming)."""
    best = [0]
    for end in range(1, len(sizes) + 1):
        best.append(min(best[start] for start in range(end) if sum(sizes[start:end]) <= limit) + 1)
    return best[-1]


@given(sizes=SIZES)
def test_a_unit_that_fits_no_part_is_said(sizes: list[int]) -> None:
    with pytest.raises(Uncuttable, match="a part holds"):
        shares(sizes, max(sizes) - 1)


def test_parts_are_even() -> None:
    assert shares([10] * 9, 40) == [0, 3, 6]
