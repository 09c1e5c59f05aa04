"""Copies of headers that keep their bytes."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset

from common.dicom.explicit import MAX_DEPTH, explicit_copy
from common.errors import UnsupportedSource

IMPLICIT, EXPLICIT, BIG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"


def as_read(dataset: Dataset, syntax: str) -> Dataset:
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.3.1", "1.2.3"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    buffer = io.BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    return dcmread(io.BytesIO(buffer.getvalue()))


def sample(text: str = "text") -> Dataset:
    item, dataset = Dataset(), Dataset()
    item.RegionLocationMaxX1, item.PhysicalDeltaX = 639, 0.25
    dataset.PatientComments, dataset.SequenceOfUltrasoundRegions, dataset.Rows = text, [item], 480
    dataset.PixelRepresentation, dataset.SmallestImagePixelValue = 0, 7
    return dataset


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, BIG])
def test_values_are_the_same_in_every_encoding(syntax: str) -> None:
    copy = explicit_copy(as_read(sample(), syntax))
    assert copy.original_encoding == (False, True)
    assert copy.SequenceOfUltrasoundRegions[0].PhysicalDeltaX == 0.25
    assert (copy.PatientComments, copy.Rows) == ("text", 480)
    assert (copy["SmallestImagePixelValue"].VR, copy.SmallestImagePixelValue) == ("US", 7)


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40).map(str.rstrip))
@settings(deadline=None, max_examples=30)
def test_an_implicit_element_gets_its_vr_and_keeps_its_bytes(text: str) -> None:
    source = as_read(sample(text), IMPLICIT)
    before, after = source.get_item("PatientComments"), explicit_copy(source).get_item("PatientComments")
    assert (after.VR, after.value) == ("LT", before.value)


def test_private_elements_get_their_vr_where_their_creator_is_known_and_un_elsewhere() -> None:
    dataset = Dataset()
    dataset.private_block(0x0019, "GEMS_ACQU_01", create=True).add_new(0x02, "SL", 3)
    dataset.private_block(0x0021, "NOBODY", create=True).add_new(0x02, "SL", 3)
    copy = explicit_copy(as_read(dataset, IMPLICIT))
    assert (copy.get_item(0x00191002).VR, copy.get_item(0x00211002).VR) == ("SL", "UN")


def test_a_copy_shares_nothing_with_its_source() -> None:
    source = sample()
    explicit_copy(source).SequenceOfUltrasoundRegions[0].RegionLocationMaxX1 = 1
    assert source.SequenceOfUltrasoundRegions[0].RegionLocationMaxX1 == 639


def test_sequences_nested_beyond_reason_are_refused() -> None:
    dataset = Dataset()
    for _ in range(MAX_DEPTH + 2):
        outer = Dataset()
        outer.ReferencedStudySequence = [dataset]
        dataset = outer
    with pytest.raises(UnsupportedSource):
        explicit_copy(dataset)


def test_words_of_a_big_endian_source_are_swapped_at_every_depth() -> None:
    words = bytes.fromhex("0001 0203")
    item, dataset = Dataset(), Dataset()
    for each in (item, dataset):
        each.add_new(0x00281201, "OW", words)
    item.add_new(0x00720067, "OF", bytes(range(4)))
    dataset.SequenceOfUltrasoundRegions = [item]
    copy = explicit_copy(as_read(dataset, BIG))
    inner = copy.SequenceOfUltrasoundRegions[0]
    assert copy.RedPaletteColorLookupTableData == bytes.fromhex("0100 0302")
    assert inner.RedPaletteColorLookupTableData == bytes.fromhex("0100 0302")
    assert inner[0x00720067].value == bytes([3, 2, 1, 0])
