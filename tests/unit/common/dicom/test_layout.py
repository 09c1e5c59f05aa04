"""What is noted of an instance while it is written is where its bytes really lie, however they come."""

from __future__ import annotations

import contextlib
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset

from common.dicom.companion import Companion
from common.dicom.encapsulation import write_instance
from common.dicom.layout import Layout
from common.dicom.pixel_stream import frame_fragments, read_header
from common.errors import CinefarmError

MP4_FRAGMENTABLE = "1.2.840.10008.1.2.4.102.1"


def followed(data: bytes, pieces: int) -> Companion:
    layout = Layout()
    for at in range(0, len(data), pieces):
        layout.feed(data[at : at + pieces])
    return layout.companion()


def video(stream: bytes, fragment_bytes: int, comment: str = "") -> bytes:
    header = Dataset()
    header.SOPClassUID, header.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.77.1.1.1", "2.25.1"
    header.PatientName, header.PatientID = "Müller^Änne", "P-1"
    header.SpecificCharacterSet = "ISO_IR 192"
    header.TextValue = comment
    out = BytesIO()
    write_instance(out, header, MP4_FRAGMENTABLE, [stream], len(stream), fragment_bytes=fragment_bytes)
    return out.getvalue()


@settings(max_examples=40)
@given(st.binary(min_size=1, max_size=600), st.integers(1, 100).map(lambda n: 2 * n), st.integers(1, 200))
def test_the_extents_give_the_stream_without_padding(stream: bytes, fragment_bytes: int, pieces: int) -> None:
    data = video(stream, fragment_bytes)
    seen = followed(data, pieces)
    assert b"".join(data[at : at + length] for at, length in seen.pixels.extents) == stream
    assert seen.transfer_syntax_uid == MP4_FRAGMENTABLE


@pytest.mark.parametrize("length", [0, 65_000, 66_000, 300_000])
def test_a_long_header_is_kept_whole(length: int) -> None:
    seen = followed(video(b"pixels", 8, "x" * length), 65_537)
    assert seen.dataset["00100010"]["Value"] == [{"Alphabetic": "Müller^Änne"}]
    assert len(seen.dataset["0040A160"].get("Value", [""])[0]) == length


@pytest.mark.parametrize("name", ["CT_small.dcm", "SC_rgb_jpeg_dcmtk.dcm", "examples_jpeg2k.dcm", "rtplan.dcm"])
def test_real_files_are_followed_as_pydicom_reads_them(name: str) -> None:
    path = Path(str(get_testdata_file(name)))
    if name == "rtplan.dcm":
        with pytest.raises(CinefarmError, match="Pixel Data"):
            followed(path.read_bytes(), 1000)
        return
    seen, known = followed(path.read_bytes(), 1000), read_header(path)
    if known.fragments:
        assert seen.pixels.fragments == tuple((one.offset, one.length) for one in known.fragments)
        assert seen.pixels.offset_table == known.offset_table
    else:
        assert (seen.pixels.offset, seen.pixels.length) == (known.value_offset, known.length)
    again = Dataset.from_json(seen.dataset)
    assert again.PatientName == pydicom.dcmread(path).PatientName
    assert not any(tag.startswith("7FE0") for tag in seen.dataset)


def test_frames_lie_where_the_other_reader_finds_them(tmp_path: Path) -> None:
    path = Path(str(get_testdata_file("examples_ybr_color.dcm")))
    seen, known = followed(path.read_bytes(), 4096), read_header(path)
    flat = [(part.offset, part.length) for frame in frame_fragments(known) for part in frame]
    assert list(seen.pixels.fragments) == flat


@settings(max_examples=40)
@given(st.binary(max_size=3000))
def test_hostile_bytes_are_refused_or_followed(data: bytes) -> None:
    with contextlib.suppress(CinefarmError):
        followed(b"\0" * 128 + b"DICM" + data, 100)


def test_a_fragment_that_is_none_is_refused() -> None:
    data = video(b"0123456789", 4)
    at = data.rindex(b"\xfe\xff\x00\xe0")
    with pytest.raises(CinefarmError, match="not a sequence of fragments"):
        followed(data[:at] + b"\x01\x02\x03\x04" + data[at + 4 :], 50)
