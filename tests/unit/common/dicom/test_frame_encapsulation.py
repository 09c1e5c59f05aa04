"""Offset tables and fragments of frames: the arithmetic for any lengths, and whole files as pydicom reads them."""

from __future__ import annotations

import struct
from io import BytesIO
from itertools import pairwise

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames, parse_basic_offsets

from common.dicom import frame_encapsulation
from common.dicom.frame_encapsulation import LARGEST_BASIC_OFFSET, fragments_of, offset_tables, write_frames
from common.dicom.frame_syntaxes import JPEG_LS_LOSSLESS
from common.dicom.transfer_syntaxes import MAX_FRAGMENT_BYTES
from common.errors import InternalFault, TruncatedSource

ITEM_HEAD = 8
LENGTHS = st.lists(st.integers(1, 3 * MAX_FRAGMENT_BYTES), min_size=1, max_size=20)
ORDINARY = st.lists(st.integers(1, 2**31), min_size=1, max_size=20)


def header() -> Dataset:
    made = Dataset()
    made.SOPClassUID, made.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.3.1", "2.25.1"
    made.PatientID = "P-1"
    return made


def written(frames: list[bytes], pieces: int = 5) -> pydicom.FileDataset:
    out, stream = BytesIO(), b"".join(frames)
    chunks = [stream[at : at + pieces] for at in range(0, len(stream), pieces)]
    write_frames(out, header(), JPEG_LS_LOSSLESS, [len(frame) for frame in frames], chunks)
    out.seek(0)
    return pydicom.dcmread(out)


@given(st.integers(1, 4 * MAX_FRAGMENT_BYTES))
def test_fragments_hold_the_frame_and_nothing_exceeds_an_item(length: int) -> None:
    parts = fragments_of(length)
    assert sum(parts) == length
    assert max(parts) <= MAX_FRAGMENT_BYTES
    assert len(parts) == -(-length // MAX_FRAGMENT_BYTES)
    assert all(part % 2 == 0 for part in parts[:-1])


@given(LENGTHS)
def test_at_most_one_table_is_filled_and_its_offsets_are_where_items_begin(lengths: list[int]) -> None:
    tables = offset_tables(lengths)
    assert not (tables.basic and tables.extended)
    for table in filter(None, (tables.basic, tables.extended)):
        assert len(table) == len(lengths)
        assert table[0] == 0
        for (first, second), length in zip(pairwise(table), lengths, strict=False):
            parts = fragments_of(length)
            assert second - first == length + sum(part % 2 for part in parts) + ITEM_HEAD * len(parts)
            assert second % 2 == 0


@given(LENGTHS)
def test_the_basic_table_is_used_exactly_while_32_bits_hold_it(lengths: list[int]) -> None:
    tables = offset_tables(lengths)
    last = sum(sum(ITEM_HEAD + part + part % 2 for part in fragments_of(length)) for length in lengths[:-1])
    assert bool(tables.basic) == (last <= LARGEST_BASIC_OFFSET)


@given(ORDINARY)
def test_frames_of_one_fragment_always_have_a_table(lengths: list[int]) -> None:
    tables = offset_tables(lengths)
    assert tables.basic or tables.extended


def test_a_frame_of_no_bytes_is_our_fault() -> None:
    with pytest.raises(InternalFault):
        fragments_of(0)


@given(st.lists(st.binary(min_size=1, max_size=40), min_size=2, max_size=8))
def test_every_frame_is_read_back_by_the_basic_offset_table(frames: list[bytes]) -> None:
    made = written(frames)
    padded = [frame + b"\0" * (len(frame) % 2) for frame in frames]
    assert parse_basic_offsets(made.PixelData) == list(offset_tables([len(frame) for frame in frames]).basic)
    assert list(generate_frames(made.PixelData, number_of_frames=len(frames))) == padded
    assert made["PixelData"].VR == "OB"
    assert made.file_meta.TransferSyntaxUID == JPEG_LS_LOSSLESS


def test_beyond_32_bits_the_extended_table_names_offsets_and_unpadded_lengths(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame_encapsulation, "LARGEST_BASIC_OFFSET", 10)
    made = written([b"abc", b"defg", b"h"])
    offsets, lengths = (
        struct.unpack("<3Q", made[name].value) for name in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths")
    )
    assert offsets == (0, 12, 24)
    assert lengths == (3, 4, 1)
    assert parse_basic_offsets(made.PixelData) == []
    table = (made.ExtendedOffsetTable, made.ExtendedOffsetTableLengths)
    assert list(generate_frames(made.PixelData, number_of_frames=3, extended_offsets=table)) == [b"abc", b"defg", b"h"]


def test_a_stream_that_ends_early_or_goes_on_is_noticed() -> None:
    with pytest.raises(TruncatedSource):
        write_frames(BytesIO(), header(), JPEG_LS_LOSSLESS, [4, 4], [b"abcdef"])
    with pytest.raises(InternalFault):
        write_frames(BytesIO(), header(), JPEG_LS_LOSSLESS, [4], [b"abcdef"])
    with pytest.raises(InternalFault):
        write_frames(BytesIO(), header(), JPEG_LS_LOSSLESS, [], [])
