"""A data set is followed while it passes: who it is, and whether it is whole."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from common.dicom.scan import Identity, Scan
from common.errors import InputError, TruncatedSource, UnreadableSource

IMPLICIT, EXPLICIT, BIG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"


def encoded(made: Dataset, syntax: str) -> bytes:
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = syntax != BIG, syntax == IMPLICIT
    write_dataset(buffer, made)
    return buffer.getvalue()


def image(**values: object) -> Dataset:
    made = Dataset()
    made.SOPClassUID, made.SOPInstanceUID, made.Modality = "1.2.840.10008.5.1.4.1.1.3.1", "1.2.3.4", "US"
    made.StudyInstanceUID, made.SeriesInstanceUID = "1.2.3", "1.2.3.5"
    inner = Dataset()
    inner.SOPInstanceUID, inner.StudyInstanceUID = "9.9", "9.8"  # of another instance
    made.ReferencedStudySequence = [inner]
    made["ReferencedStudySequence"].is_undefined_length = True
    made.PixelData = bytes(100)
    made["PixelData"].VR = "OW"
    for name, value in values.items():
        setattr(made, name, value)
    return made


def followed(data: bytes, syntax: str, pieces: int = 7) -> Identity | None:
    scan = Scan(syntax)
    for at in range(0, len(data), pieces):
        scan.feed(memoryview(data)[at : at + pieces])
    scan.close()
    return scan.identity


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, BIG])
@pytest.mark.parametrize("pieces", [1, 7, 100_000])
def test_an_instance_is_known_however_it_is_encoded_and_cut(syntax: str, pieces: int) -> None:
    known = followed(encoded(image(), syntax), syntax, pieces)
    assert known == Identity("1.2.840.10008.5.1.4.1.1.3.1", "1.2.3.4", "1.2.3", "1.2.3.5", "US")


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, BIG])
@given(share=st.floats(0, 0.99))
def test_what_is_cut_short_is_never_taken_for_whole(syntax: str, share: float) -> None:
    data = encoded(image(), syntax)
    with pytest.raises(InputError):
        followed(data[: int((len(data) - 112) * share) + 1], syntax)
    with pytest.raises(TruncatedSource):
        followed(data[: len(data) - 1 - int(99 * share)], syntax)


@pytest.mark.parametrize(
    "name",
    [
        "examples_rgb_color.dcm",
        "MR_small_RLE.dcm",
        "JPEG2000.dcm",
        "emri_small_jpeg_2k_lossless.dcm",
        "nested_priv_SQ.dcm",
    ],
)
def test_files_of_others_are_whole_to_their_last_byte_and_not_without_it(name: str) -> None:
    path = get_testdata_file(name)
    made = dcmread(path)
    syntax = str(made.file_meta.TransferSyntaxUID)
    data = open(path, "rb").read()[132 + 12 + made.file_meta.FileMetaInformationGroupLength :]  # noqa: PTH123, SIM115
    scan = Scan(syntax)
    scan.feed(memoryview(data))
    scan.close()
    short = Scan(syntax)
    short.feed(memoryview(data)[:-9])
    with pytest.raises(TruncatedSource):
        short.close()


def test_an_instance_is_known_before_its_pixels_come() -> None:
    data = encoded(image(), EXPLICIT)
    scan = Scan(EXPLICIT)
    scan.feed(memoryview(data)[:-112])
    assert scan.identity is None or scan.identity.study_uid == "1.2.3"
    scan.feed(memoryview(data)[-112:-90])
    assert scan.identity is not None


@pytest.mark.parametrize("lacks", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"])
def test_without_its_uids_it_is_no_instance(lacks: str) -> None:
    made = image()
    delattr(made, lacks)
    with pytest.raises(UnreadableSource):
        followed(encoded(made, EXPLICIT), EXPLICIT)


@given(st.binary(max_size=300), st.sampled_from([IMPLICIT, EXPLICIT, BIG]))
def test_noise_is_refused_and_nothing_else_happens(data: bytes, syntax: str) -> None:
    with contextlib.suppress(InputError):
        followed(data, syntax)


def test_sequences_without_end_are_refused() -> None:
    nested = b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff" * 2000
    with pytest.raises(UnreadableSource, match="nested"):
        followed(nested, EXPLICIT)


def test_a_few_bytes_behind_the_pixels_hurt_nobody() -> None:
    assert followed(encoded(image(), EXPLICIT) + b"\0\0", EXPLICIT) is not None
