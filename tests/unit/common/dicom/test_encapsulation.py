"""A DICOM file around a stream: one fragment, or as many as it takes."""

from __future__ import annotations

import io
import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import generate_fragments, parse_basic_offsets
from pydicom.filebase import DicomBytesIO

from common.dicom.encapsulation import fragment_lengths, write_instance
from common.dicom.transfer_syntaxes import MAX_FRAGMENT_BYTES, VIDEO_SYNTAXES, VideoSyntax, by_uid
from common.errors import InternalFault, NoLegalPath, TruncatedSource

H264, HEVC = "1.2.840.10008.1.2.4.102", "1.2.840.10008.1.2.4.107"
CHUNKS = st.lists(st.binary(max_size=40), min_size=1, max_size=12).filter(any)


def header() -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.77.1.1.1", "2.25.7"
    dataset.PatientID = "P"
    return dataset


def written(
    chunks: list[bytes],
    syntax: str = H264,
    dataset: Dataset | None = None,
    *,
    fragment_bytes: int = MAX_FRAGMENT_BYTES,
) -> Dataset:
    out = io.BytesIO()
    write_instance(out, dataset or header(), syntax, chunks, sum(map(len, chunks)), fragment_bytes=fragment_bytes)
    return dcmread(io.BytesIO(out.getvalue()))


def fragments(dataset: Dataset) -> list[bytes]:
    """The fragments, after a look at the Basic Offset Table, which must be empty (PS3.5 A.4.4)."""
    buffer = DicomBytesIO(dataset.PixelData)
    buffer.is_little_endian = True
    assert parse_basic_offsets(buffer) == []
    return list(generate_fragments(buffer))


@given(CHUNKS)
@settings(deadline=None, max_examples=60)
def test_one_fragment_holds_the_stream_and_at_most_one_pad_byte(chunks: list[bytes]) -> None:
    stream, dataset = b"".join(chunks), written(chunks)
    (fragment,) = fragments(dataset)
    assert fragment == stream + b"\0" * (len(stream) % 2)
    assert dataset.EncapsulatedPixelDataValueTotalLength == len(stream)


@given(CHUNKS, st.integers(min_value=1, max_value=10).map(lambda half: 2 * half))
@settings(deadline=None, max_examples=60)
def test_many_fragments_join_to_the_stream(chunks: list[bytes], longest: int) -> None:
    dataset = written(chunks, HEVC, fragment_bytes=longest)
    stream, parts = b"".join(chunks), fragments(dataset)
    assert b"".join(parts)[: dataset.EncapsulatedPixelDataValueTotalLength] == stream
    assert all(len(part) == longest for part in parts[:-1])
    assert len(parts) == -(-len(stream) // longest)


@given(st.sampled_from([s for s in VIDEO_SYNTAXES if s.fragmentable]), st.integers(min_value=1, max_value=2**40))
@settings(deadline=None, max_examples=60)
def test_fragments_of_any_length_add_up(syntax: VideoSyntax, length: int) -> None:
    lengths = fragment_lengths(syntax, length)
    assert sum(lengths) == length
    assert all(each == MAX_FRAGMENT_BYTES for each in lengths[:-1])
    assert 0 < lengths[-1] <= MAX_FRAGMENT_BYTES


def test_the_longest_single_fragment_is_two_to_the_32_minus_two() -> None:
    assert fragment_lengths(by_uid(H264), 2**32 - 2) == [2**32 - 2]
    with pytest.raises(NoLegalPath) as refused:
        fragment_lengths(by_uid(H264), 2**32 - 1)
    assert f"{H264}.1" in refused.value.hint
    assert fragment_lengths(by_uid(f"{H264}.1"), 2**32 - 1) == [2**32 - 2, 1]


def test_a_stream_of_nothing_is_refused() -> None:
    with pytest.raises(InternalFault):
        fragment_lengths(by_uid(H264), 0)


@pytest.mark.parametrize(
    ("announced", "error"), [(7, TruncatedSource), (5, InternalFault), (3, InternalFault), (2**20, TruncatedSource)]
)
def test_a_stream_of_another_length_than_announced_is_an_error(announced: int, error: type[Exception]) -> None:
    with pytest.raises(error):
        write_instance(io.BytesIO(), header(), H264, [b"abc", b"def"], announced)


def test_file_meta_and_header_are_read_back() -> None:
    dataset = written([b"stream"])
    assert dataset.preamble == b"\0" * 128
    assert dataset.file_meta.TransferSyntaxUID == H264
    assert dataset.file_meta.MediaStorageSOPInstanceUID == dataset.SOPInstanceUID == "2.25.7"
    assert not dataset.original_encoding[0]


def test_elements_above_the_pixels_follow_them() -> None:
    dataset = header()
    dataset.add_new(0xFFFCFFFC, "OB", b"\0\0")
    assert written([b"stream"], dataset=dataset)[0xFFFCFFFC].value == b"\0\0"


def test_what_the_header_says_of_pixel_data_is_not_written() -> None:
    dataset = header()
    dataset.ExtendedOffsetTable = b"\0" * 8
    assert "ExtendedOffsetTable" not in written([b"stream"], dataset=dataset)


class Counter:
    """Takes all and keeps nothing."""

    def __init__(self) -> None:
        self.bytes, self.writes = 0, 0

    def write(self, data: bytes | memoryview, /) -> int:
        self.bytes += len(data)
        self.writes += 1
        return len(data)


def test_memory_is_flat_and_small_pieces_are_gathered() -> None:
    def stream() -> Iterator[bytes]:
        for _ in range(64 * 1024):
            yield bytes(1024)

    out = Counter()
    tracemalloc.start()
    try:
        write_instance(out, header(), H264, stream(), 64 << 20)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert out.bytes > 64 << 20
    assert peak < 8 << 20
    assert out.writes < 100
