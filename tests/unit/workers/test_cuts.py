"""Where to cut, and what the joined stream must agree in: pure."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.bitstream.bits import BitReader, unescaped
from common.errors import UnsupportedSource
from workers.cuts import _Seen, firsts
from workers.stitch import (
    START_CODE,
    Headers,
    IdrNumbers,
    decoding_times,
    emptied_at,
    escaped,
    read_headers,
    renumbered,
    ticks,
)

EXTRADATA = bytes.fromhex(
    "0000000167640029acd94141fb011000000300100000030320f1831960" + "0000000168ebecb22c"
)  # x264 with stitchable=1, 320×240 at 25 frames/s


def test_parts_are_about_equal_and_begin_at_entries() -> None:
    assert firsts(1000, 4, range(0, 1000, 30)) == [0, 240, 510, 750]


def test_no_entry_is_used_twice() -> None:
    assert firsts(1000, 4, [0, 260]) == [0, 260]


def test_without_entries_there_is_one_part() -> None:
    assert firsts(1000, 4, []) == [0]


@given(st.integers(2, 10_000), st.integers(2, 40), st.sets(st.integers(0, 10_000)))
def test_cuts_ascend_inside_the_video(total: int, wanted: int, entries: set[int]) -> None:
    cuts = firsts(total, wanted, sorted(entries))
    assert cuts[0] == 0
    assert cuts == sorted(set(cuts))
    assert cuts[-1] < total
    assert len(cuts) <= wanted
    assert set(cuts[1:]) <= entries


@dataclass
class Packet:
    """What the index looks at."""

    pts: int | None
    is_keyframe: bool = False
    is_discard: bool = False
    sides: set[str] = field(default_factory=set)

    def has_sidedata(self, name: str) -> bool:
        return name in self.sides


def seen(*packets: Packet) -> _Seen:
    found = _Seen("mpeg2video", b"")
    for packet in packets:
        found.take(packet)
    return found


def test_frames_are_numbered_in_display_order() -> None:
    # I0 P3 B1 B2 | I6 (open GOP: B4 B5 are shown before it)
    packets = [Packet(0, True), Packet(30), Packet(10), Packet(20), Packet(60, True), Packet(40), Packet(50)]
    index = seen(*packets).index(7, Fraction(1, 100), 0)
    assert index.times == array("q", [0, 10, 20, 30, 40, 50, 60])
    assert index.entries == (0, 6)


def test_a_key_frame_that_is_shown_before_one_decoded_earlier_is_no_entry() -> None:
    index = seen(Packet(0, True), Packet(30), Packet(20, True), Packet(40)).index(4, Fraction(1, 100), 0)
    assert index.entries == (0,)


@pytest.mark.parametrize(
    ("packets", "words"),
    [
        ((Packet(0, True), Packet(None)), "no presentation time"),
        ((Packet(0, True), Packet(1, is_discard=True)), "edit list"),
        ((Packet(0, True), Packet(1, sides={"new_extradata"})), "parameter sets change"),
        ((Packet(0, True), Packet(0)), "one time stamp"),
        ((Packet(0, True), *(Packet(n) for n in range(100, 200)), *(Packet(n) for n in range(1, 50))), "clock jumps"),
        ((Packet(0, True),), "1 packets hold 3 frames"),
    ],
)
def test_a_source_that_leaves_a_doubt_is_not_cut(packets: tuple[Packet, ...], words: str) -> None:
    with pytest.raises(UnsupportedSource, match=words):
        seen(*packets).index(3 if len(packets) == 1 else len(packets), Fraction(1, 25), 0)


def test_frames_that_an_edit_list_hides_before_the_start_do_not_count() -> None:
    index = seen(Packet(-20, True, is_discard=True), Packet(0), Packet(10, True)).index(2, Fraction(1, 100), 0)
    assert list(index.times) == [0, 10]
    assert index.entries == (1,)


def test_ticks_are_rounded_as_ffmpeg_rounds() -> None:
    assert [ticks(Fraction(n, 2), Fraction(1)) for n in (-3, -1, 1, 2, 3)] == [-2, -1, 1, 1, 2]


def test_decoding_times_are_ascending_and_never_after_the_presentation() -> None:
    places, times = [0, 3, 1, 2, 4, 7, 5, 6], [0, 10, 20, 35, 40, 50, 60, 70]
    decoding = list(decoding_times(places, times))
    assert decoding == [-10, 0, 10, 20, 35, 40, 50, 60]
    assert all(dts <= times[place] for dts, place in zip(decoding, places, strict=True))


def test_a_stream_without_reordering_is_decoded_as_it_is_shown() -> None:
    assert list(decoding_times([0, 1, 2], [0, 40, 80])) == [0, 40, 80]


def test_the_buffer_runs_dry_where_the_standard_says() -> None:
    second = Fraction(1)
    assert emptied_at([90, 10, 10], [second] * 3, rate=10, buffer=100, filled=0.9) is None
    assert emptied_at([90, 10, 11], [second] * 3, rate=10, buffer=100, filled=0.9) == 2
    # a buffer never holds more than its size, however long it is filled
    assert emptied_at([0, 101], [100 * second] * 2, rate=10, buffer=100, filled=0.9) == 1


@given(st.binary(max_size=200).map(lambda data: data.replace(b"\x03", b"\x00")))
def test_escaping_is_undone_by_unescaping(data: bytes) -> None:
    nal = escaped(data)
    assert not any(code in nal for code in (b"\0\0\0", b"\0\0\1", b"\0\0\2"))
    assert unescaped(nal) == data


def idr(number: int, headers: Headers, data: bytes = b"\xab\0\0\1\xcd") -> bytes:
    """An IDR slice as x264 writes it: first_mb 0, slice_type 7, pps 0, frame_num 0, idr_pic_id, order 0, marking, qp, deblock."""
    text = "1" + "0001000" + "1" + "0" * headers.sps.frame_num_bits
    code = bin(number + 1)[2:]
    text += "0" * (len(code) - 1) + code + "0" * headers.sps.order_count_bits + "00" + "1" + "011" * 0 + "1" + "11"
    text += "1" * (-len(text) % 8)
    return b"\x65" + escaped(int(text, 2).to_bytes(len(text) // 8) + data)


def idr_number(nal: bytes, headers: Headers) -> int:
    bits = BitReader(unescaped(nal[1:]))
    for _ in range(3):
        bits.ue()
    bits.skip(headers.sps.frame_num_bits)
    return bits.ue()


def test_headers_are_read_from_extradata() -> None:
    headers = read_headers(EXTRADATA)
    assert headers.cabac
    assert headers.sps.order_count_bits >= 4
    assert (headers.sps.width, headers.sps.height) == (320, 240)


@pytest.mark.parametrize(("before", "after"), [(0, 1), (1, 0), (0, 6)])
def test_a_renumbered_slice_keeps_its_picture_data(before: int, after: int) -> None:
    headers = read_headers(EXTRADATA)
    nal = renumbered(idr(before, headers), headers, after)
    assert idr_number(nal, headers) == after
    assert nal == idr(after, headers)


def test_neighbouring_idr_pictures_never_have_one_number() -> None:
    headers = read_headers(EXTRADATA)
    numbers = IdrNumbers(headers)
    stream = [idr(0, headers), idr(1, headers), idr(1, headers), idr(0, headers), b"\x41\x9a", idr(0, headers)]
    out = [numbers.follow(START_CODE + nal) for nal in stream]
    got = [idr_number(data[4:], headers) for data in out if data[4] == 0x65]
    assert got == [0, 1, 0, 1, 0]
    assert numbers.rewritten == 2


def test_what_need_not_change_stays_to_the_byte() -> None:
    headers = read_headers(EXTRADATA)
    numbers = IdrNumbers(headers)
    packets = [START_CODE + idr(0, headers), START_CODE + b"\x41\x9a\x01", START_CODE + idr(0, headers)]
    assert [numbers.follow(packet) for packet in packets] == packets
