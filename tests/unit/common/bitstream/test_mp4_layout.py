"""read_layout against small written files, hostile tables and broken ends."""

from __future__ import annotations

import contextlib
from io import BytesIO
from struct import pack

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.bitstream import BitstreamError
from common.bitstream.faststart import faststart
from common.bitstream.mp4 import Mp4Layout, TruncatedMp4Error, read_layout

ONE = [[[10, 20], [5]]]  # one track, two chunks, three samples


def layout(data: bytes) -> Mp4Layout:
    return read_layout(BytesIO(data))


def test_a_plain_file_is_read_whole(write_mp4):
    data = write_mp4(ONE)
    found = layout(data)
    assert [box.type for box in found.boxes] == ["ftyp", "mdat", "moov"]
    assert (found.size, found.brand, found.sample_entry) == (len(data), "isom", "avc1")
    assert (found.moov_first, found.fragmented, found.edit_list) == (False, False, False)
    track = found.tracks[0]
    assert (track.handler, track.timescale, track.sample_count, track.duration) == ("vide", 25, 3, 3)


def test_samples_reach_to_the_end_of_the_last_chunk(write_mp4):
    data = write_mp4(ONE)
    mdat = layout(data).boxes[1]
    assert layout(data).end_of_samples == mdat.payload + 35 == mdat.end


def test_moov_before_mdat_is_first_whatever_follows(write_mp4, write_box):
    assert layout(write_mp4(ONE, moov_first=True, between=write_box("free", bytes(9)))).moov_first


def test_a_last_box_of_size_0_reaches_to_the_end(write_mp4):
    data = bytearray(write_mp4(ONE, moov_first=True))
    mdat = layout(bytes(data)).boxes[-1]
    data[mdat.offset : mdat.offset + 4] = bytes(4)
    assert layout(bytes(data)).boxes[-1] == mdat


def test_a_64_bit_box_size_is_read(write_mp4, write_box):
    data = write_mp4(ONE, moov_first=True)
    found = layout(data + pack(">I4sQ", 1, b"free", 20) + bytes(4))
    assert (found.boxes[-1].size, found.boxes[-1].header) == (20, 16)


def test_zero_padding_behind_the_last_box_is_no_box(write_mp4):
    assert [box.type for box in layout(write_mp4(ONE) + bytes(5)).boxes] == ["ftyp", "mdat", "moov"]


def test_movie_fragments_are_seen(write_mp4, write_box):
    assert layout(write_mp4(ONE, moov_first=True) + write_box("moof")).fragmented


def elst(write_full_box, *entries: tuple[int, int, int, int]) -> dict[str, bytes]:
    table = write_full_box("elst", pack(">I", len(entries)), *(pack(">IihH", *entry) for entry in entries))
    return {"edits": pack(">I4s", 8 + len(table), b"edts") + table}


def test_an_edit_over_the_whole_track_is_plain(write_mp4, write_full_box):
    assert not layout(write_mp4(ONE, **elst(write_full_box, (3, 0, 1, 0)))).edit_list


@pytest.mark.parametrize(
    "entries",
    [
        pytest.param([(2, 1, 1, 0)], id="first frame dropped"),
        pytest.param([(2, 0, 1, 0)], id="last frame dropped"),
        pytest.param([(3, 0, 2, 0)], id="double speed"),
        pytest.param([(1, -1, 1, 0), (3, 0, 1, 0)], id="delayed"),
        pytest.param([(3, 0, 1, 0), (3, 0, 1, 0)], id="shown twice"),
    ],
)
def test_an_edit_that_changes_what_is_shown_is_seen(write_mp4, write_full_box, entries):
    assert layout(write_mp4(ONE, **elst(write_full_box, *entries))).edit_list


def test_the_start_at_the_first_b_frame_is_plain_and_one_later_is_not(write_mp4, write_full_box):
    ctts = write_full_box("ctts", pack(">IIiIi", 2, 1, 2, 2, 1))  # shown at 2, 2, 3: the first frame shown is at 2
    plain, late = ({"extra": ctts, **elst(write_full_box, (3, start, 1, 0))} for start in (2, 3))
    assert not layout(write_mp4(ONE, **plain)).edit_list
    assert layout(write_mp4(ONE, **late)).edit_list


def test_compact_sample_sizes_are_read(write_mp4, write_full_box):
    sizes = write_full_box("stz2", pack(">IIBBB", 8, 3, 10, 20, 5))
    data = write_mp4(ONE, extra=sizes).replace(b"stsz", b"skip")
    assert layout(data).end_of_samples == layout(write_mp4(ONE)).end_of_samples


@pytest.mark.parametrize("kept", [0.2, 0.5, 0.9, 0.99])
def test_a_file_cut_anywhere_is_truncated(write_mp4, kept):
    data = write_mp4([[[400]]])
    with pytest.raises(TruncatedMp4Error):
        layout(data[: int(len(data) * kept)])


def test_samples_behind_the_end_of_an_open_mdat_are_truncation(write_mp4):
    data = bytearray(write_mp4(ONE, moov_first=True))
    mdat = layout(bytes(data)).boxes[-1]
    data[mdat.offset : mdat.offset + 4] = bytes(4)
    with pytest.raises(TruncatedMp4Error, match="samples reach"):
        layout(bytes(data[:-1]))


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b"moov", b"free", "no moov"),
        (b"mvhd", b"cmov", "compressed"),
        (b"mdhd", b"free", "no mdhd"),
        (b"stco" + pack(">II", 0, 2), b"stco" + pack(">II", 0, 2**31), "stco"),
        (b"stsz" + pack(">III", 0, 0, 3), b"stsz" + pack(">III", 0, 0, 2**32 - 1), "stsz"),
        (b"stsz" + pack(">III", 0, 0, 3), b"stsz" + pack(">III", 0, 1, 2**32 - 1), "lie in no chunk"),
        (b"url " + pack(">I", 1), b"url " + pack(">I", 0), None),
        (pack(">I", 25), pack(">I", 0), "time scale"),
    ],
)
def test_tables_that_lie_are_refused(write_mp4, old, new, reason):
    data = write_mp4(ONE)
    assert old in data
    if reason is None:  # a reference without a name stays in this file
        assert layout(data.replace(old, new)).tracks
        return
    with pytest.raises(BitstreamError, match=reason):
        layout(data.replace(old, new))


def test_samples_in_another_file_are_seen_and_the_file_is_not_rearranged(write_mp4, write_full_box):
    local = write_full_box("url ", flags=1)
    named = write_full_box("url ", b"file:///etc/passwd\0")
    data = write_mp4(ONE, moov_first=True)
    grown = len(named) - len(local)
    for parent in (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"):
        at = data.index(parent) - 4
        data = data[:at] + pack(">I", int.from_bytes(data[at : at + 4]) + grown) + data[at + 4 :]
    led_away = data.replace(local, named)
    assert not layout(write_mp4(ONE)).external
    assert layout(led_away).external
    with pytest.raises(BitstreamError, match="another file"):
        faststart(BytesIO(led_away), layout(led_away))


@pytest.mark.parametrize(
    "data", [b"", b"\x89PNG\r\n\x1a\n" + bytes(64), b"\x47\x40\x11\x10" * 47, b"hello world, hello"]
)
def test_what_is_no_mp4_is_refused(data):
    with pytest.raises(BitstreamError):
        layout(data)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(st.tuples(st.integers(0, 2**16), st.integers(0, 255)), min_size=1, max_size=6))
def test_a_mutated_file_is_read_or_refused(write_mp4, write_full_box, changes):
    data = bytearray(write_mp4(ONE, moov_first=True, **elst(write_full_box, (3, 0, 1, 0))))
    for place, value in changes:
        data[place % len(data)] = value
    with contextlib.suppress(BitstreamError):
        assert layout(bytes(data)).end_of_samples <= len(data)
