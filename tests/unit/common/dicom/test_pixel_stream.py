from __future__ import annotations

import io
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, encapsulate_extended
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from common.dicom.encapsulation import write_instance
from common.dicom.fragments import Fragment
from common.dicom.pixel_stream import (
    FragmentReader,
    fragments,
    frame_fragments,
    looks_like_dicom,
    native_extent,
    read_header,
)
from common.errors import CinefarmError, NotVideo, TruncatedSource, UnreadableSource, UnsupportedSource

H264 = "1.2.840.10008.1.2.4.102"
JPEG = "1.2.840.10008.1.2.4.50"
US_MULTIFRAME = "1.2.840.10008.5.1.4.1.1.3.1"
SOI, EOI = b"\xff\xd8", b"\xff\xd9"


def sample(name: str) -> Path:
    path = get_testdata_file(name, download=False)
    assert isinstance(path, str)
    return Path(path)


def image(frames: int = 3, syntax: str = JPEG) -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    dataset.SOPClassUID = US_MULTIFRAME
    dataset.SOPInstanceUID = "2.25.1"
    dataset.NumberOfFrames = frames
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = 4, 6, 1
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.PhotometricInterpretation = "MONOCHROME2"
    return dataset


def save(dataset: Dataset, path: Path) -> Path:
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = dataset.file_meta.TransferSyntaxUID.is_compressed
    dataset.save_as(path, enforce_file_format=True)
    return path


def encapsulated(path: Path, items: list[bytes], *, frames: int, table: tuple[int, ...] = ()) -> Path:
    dataset = image(frames)
    body = struct.pack("<HHI", 0xFFFE, 0xE000, 4 * len(table)) + struct.pack(f"<{len(table)}I", *table)
    for item in items:
        body += struct.pack("<HHI", 0xFFFE, 0xE000, len(item)) + item
    dataset.PixelData = body  # pydicom adds the sequence delimiter
    return save(dataset, path)


def read_parts(path: Path, frames: list[tuple[Fragment, ...]]) -> list[bytes]:
    data = path.read_bytes()
    return [b"".join(data[part.offset : part.offset + part.length] for part in frame) for frame in frames]


def test_a_header_holds_all_elements_but_the_pixels() -> None:
    path = sample("examples_ybr_color.dcm")
    header, whole = read_header(path), dcmread(path)
    del whole.PixelData
    assert header.dataset == whole
    assert (header.transfer_syntax_uid, header.frames, header.length) == (JPEG, 30, None)
    assert path.read_bytes()[header.pixel_data_offset :][:8] == b"\xe0\x7f\x10\x00OB\0\0"


def test_elements_after_the_pixels_belong_to_the_header(tmp_path: Path) -> None:
    dataset = image(1)
    dataset.PixelData = encapsulate([SOI + EOI])
    dataset.add_new(0xFFFCFFFC, "OB", b"trailing")
    assert read_header(save(dataset, tmp_path / "a")).dataset[0xFFFCFFFC].value == b"trailing"


@pytest.mark.parametrize("name", ["examples_ybr_color.dcm", "emri_small_RLE.dcm", "emri_small_jpeg_2k_lossless.dcm"])
def test_frames_are_the_ones_that_pydicom_finds(name: str) -> None:
    from pydicom.encaps import generate_frames

    path = sample(name)
    header, whole = read_header(path), dcmread(path)
    expected = list(generate_frames(whole.PixelData, number_of_frames=header.frames))
    assert read_parts(path, frame_fragments(header)) == expected


def test_native_pixels_are_found_where_pydicom_finds_them() -> None:
    path = sample("emri_small.dcm")
    header, whole = read_header(path), dcmread(path)
    offset, length = native_extent(header)
    assert path.read_bytes()[offset : offset + length] == whole.PixelData


def test_implicit_vr_has_shorter_element_headers() -> None:
    path = sample("MR_small_implicit.dcm")
    header = read_header(path)
    assert header.value_offset == header.pixel_data_offset + 8
    offset, length = native_extent(header)
    assert path.read_bytes()[offset : offset + length] == dcmread(path).PixelData


def test_bits_of_single_bit_frames_run_on_without_padding() -> None:
    header = read_header(sample("liver.dcm"))
    assert native_extent(header)[1] == -(-header.frames * 512 * 512 // 8)


def test_half_chroma_takes_two_bytes_a_pixel(tmp_path: Path) -> None:
    dataset = image(2, ExplicitVRLittleEndian)
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 3, "YBR_FULL_422"
    dataset.PixelData = bytes(2 * 4 * 6 * 2)
    assert native_extent(read_header(save(dataset, tmp_path / "a")))[1] == 96


def test_a_file_without_preamble_is_read_when_it_looks_like_dicom(tmp_path: Path) -> None:
    whole = sample("CT_small.dcm").read_bytes()
    (tmp_path / "a").write_bytes(whole[132:])
    header = read_header(tmp_path / "a")
    assert header.pixel_data_offset == read_header(sample("CT_small.dcm")).pixel_data_offset - 132


@pytest.mark.parametrize("start", [b"", b"\x89PNG\r\n" + bytes(200), b"hello world, " * 20, bytes(200)])
def test_other_files_do_not_look_like_dicom(start: bytes, tmp_path: Path) -> None:
    assert not looks_like_dicom(start)
    (tmp_path / "a").write_bytes(start)
    with pytest.raises(UnreadableSource, match="no DICOM file"):
        read_header(tmp_path / "a")


@pytest.mark.parametrize(("name", "words"), [("DICOMDIR", "lists files"), ("UN_sequence.dcm", "without pixel data")])
def test_dicom_without_pixels_is_no_video(name: str, words: str) -> None:
    with pytest.raises(NotVideo, match=words):
        read_header(sample(name))


def test_float_pixels_are_no_video(tmp_path: Path) -> None:
    dataset = image(2, ExplicitVRLittleEndian)
    dataset.FloatPixelData = bytes(192)
    dataset.save_as(tmp_path / "a", enforce_file_format=True)
    with pytest.raises(NotVideo, match="no image pixels"):
        read_header(tmp_path / "a")


def test_an_encapsulated_document_is_no_video(tmp_path: Path) -> None:
    dataset = image(1)
    dataset.EncapsulatedDocument = b"%PDF-1.7"
    dataset.save_as(tmp_path / "a", enforce_file_format=True)
    with pytest.raises(NotVideo, match="no image pixels"):
        read_header(tmp_path / "a")


def test_a_deflated_file_is_refused_in_clear_words(tmp_path: Path) -> None:
    dataset = image(1, DeflatedExplicitVRLittleEndian)
    dataset.save_as(tmp_path / "a", enforce_file_format=True)
    with pytest.raises(UnsupportedSource, match="deflated"):
        read_header(tmp_path / "a")


def test_a_header_that_announces_frames_and_ends_is_truncated(tmp_path: Path) -> None:
    image(3).save_as(tmp_path / "a", enforce_file_format=True)
    with pytest.raises(TruncatedSource, match="announces frames"):
        read_header(tmp_path / "a")


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.9, 0.999])
@pytest.mark.parametrize("name", ["examples_ybr_color.dcm", "emri_small.dcm"])
def test_a_cut_file_is_truncated_wherever_it_is_cut(name: str, kept: float, tmp_path: Path) -> None:
    whole = sample(name).read_bytes()
    (tmp_path / "a").write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(TruncatedSource):
        read_header(tmp_path / "a")


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 2**31))
def test_a_damaged_file_raises_our_errors_only(seed: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    import random

    chance = random.Random(seed)
    data = bytearray(sample("OBXXXX1A_rle_2frame.dcm").read_bytes()[:6000])
    for _ in range(4):
        data[chance.randrange(2000)] = chance.choice([0, 1, 255, chance.randrange(256)])
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(data)
    with pytest.raises(CinefarmError):
        read_header(path)


def test_a_value_longer_than_our_bound_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("common.dicom.pixel_stream.MAX_ELEMENT_BYTES", 1000)
    dataset = image(1, ExplicitVRLittleEndian)
    dataset.add_new(0x00091010, "OB", bytes(2000))
    dataset.PixelData = bytes(24)
    with pytest.raises(UnsupportedSource, match="longer than 1000 bytes"):
        read_header(save(dataset, tmp_path / "a"))


def test_native_pixels_fewer_than_the_header_says_are_truncated(tmp_path: Path) -> None:
    dataset = image(3, ExplicitVRLittleEndian)
    dataset.PixelData = bytes(48)
    with pytest.raises(TruncatedSource, match="72 bytes of pixels, the file holds 48"):
        native_extent(read_header(save(dataset, tmp_path / "a")))


def test_fragments_leave_out_the_offset_table(tmp_path: Path) -> None:
    path = encapsulated(tmp_path / "a", [b"aa", b"bbbb"], frames=2, table=(0, 10))
    found = fragments(path, read_header(path).pixel_data_offset)
    assert read_parts(path, [(part,) for part in found]) == [b"aa", b"bbbb"]


def test_something_between_the_fragments_is_refused(tmp_path: Path) -> None:
    path = encapsulated(tmp_path / "a", [b"aa", b"bbbb"], frames=2)
    path.write_bytes(path.read_bytes().replace(b"aa\xfe\xff\x00\xe0", b"aa\xfe\xff\x0d\xe0"))
    with pytest.raises(UnreadableSource, match="not a sequence of fragments"):
        read_header(path)


def test_frames_of_several_fragments_follow_the_basic_offset_table(tmp_path: Path) -> None:
    path = encapsulated(tmp_path / "a", [b"aa", b"AA", b"bb", b"cc"], frames=3, table=(0, 20, 30))
    assert read_parts(path, frame_fragments(read_header(path))) == [b"aaAA", b"bb", b"cc"]


def test_a_wrong_offset_table_gives_way_to_one_fragment_a_frame(tmp_path: Path) -> None:
    path = encapsulated(tmp_path / "a", [b"aa", b"bb"], frames=2, table=(0, 7))
    assert read_parts(path, frame_fragments(read_header(path))) == [b"aa", b"bb"]


def test_without_a_table_start_markers_tell_the_frames(tmp_path: Path) -> None:
    items = [SOI + b"aa", b"AA" + EOI, SOI + b"bb" + EOI, SOI + b"cc", EOI + b"\0\0"]
    path = encapsulated(tmp_path / "a", items, frames=3)
    expected = [items[0] + items[1], items[2], items[3] + items[4]]
    assert read_parts(path, frame_fragments(read_header(path))) == expected


def test_the_extended_offset_table_cuts_the_pad_byte(tmp_path: Path) -> None:
    dataset = image(2)
    dataset.PixelData, dataset.ExtendedOffsetTable, _ = encapsulate_extended([b"aaa", b"bbbb"])
    dataset.ExtendedOffsetTableLengths = struct.pack("<2Q", 3, 4)
    path = save(dataset, tmp_path / "a")
    assert read_parts(path, frame_fragments(read_header(path))) == [b"aaa", b"bbbb"]


def test_all_fragments_of_a_single_frame_are_that_frame(tmp_path: Path) -> None:
    path = encapsulated(tmp_path / "a", [b"aa", b"bb"], frames=1)
    assert read_parts(path, frame_fragments(read_header(path))) == [b"aabb"]


def test_fewer_fragments_than_frames_are_truncated(tmp_path: Path) -> None:
    header = read_header(encapsulated(tmp_path / "a", [b"aa", b"bb"], frames=3))
    with pytest.raises(TruncatedSource, match="3 frames, the pixel data holds 2"):
        frame_fragments(header)


@pytest.mark.parametrize(("starts", "error"), [(1, TruncatedSource), (3, UnreadableSource)])
def test_marks_that_do_not_add_up_are_refused(starts: int, error: type[Exception], tmp_path: Path) -> None:
    items = [SOI + b"xx"] * starts + [b"yyyy"] * (4 - starts)
    header = read_header(encapsulated(tmp_path / "a", items, frames=2))
    with pytest.raises(error, match=f"begin {starts}"):
        frame_fragments(header)


@settings(deadline=None, max_examples=60)
@given(
    parts=st.lists(st.binary(max_size=40), min_size=1, max_size=6),
    reads=st.lists(st.tuples(st.integers(0, 250), st.integers(1, 60)), max_size=8),
    cut=st.integers(0, 5),
)
def test_a_fragment_reader_reads_like_the_joined_bytes(
    parts: list[bytes], reads: list[tuple[int, int]], cut: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "fragments"
    path.write_bytes(b"##".join(parts))
    starts = [sum(len(part) + 2 for part in parts[:number]) for number in range(len(parts))]
    found = [Fragment(start, len(part)) for start, part in zip(starts, parts, strict=True)]
    whole = b"".join(parts)
    whole = whole[: max(0, len(whole) - cut)]
    with FragmentReader(path, found, len(whole)) as raw, io.BufferedReader(raw) as stream:
        assert stream.read() == whole
        for position, count in reads:
            stream.seek(position)
            assert stream.read(count) == whole[position : position + count]
        assert stream.seek(0, io.SEEK_END) == len(whole)


def test_our_own_video_instance_is_read_back(tmp_path: Path) -> None:
    stream = bytes(range(251)) * 5
    with (tmp_path / "a").open("wb") as out:
        write_instance(out, image(2, H264), H264, [stream], len(stream))
    header = read_header(tmp_path / "a")
    with FragmentReader(header.path, header.fragments, header.dataset[0x7FE00003].value) as reader:
        assert reader.readall() == stream
    assert header.fragments[0].length == len(stream) + 1
