"""What a DICOM source's header becomes: what stays, what goes, and what is put on record."""

from __future__ import annotations

import io

import pytest
from pydicom import dcmread, dcmwrite
from pydicom.config import disable_value_validation
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from support.headers import (
    FRAMES,
    H264,
    IMPLICIT,
    JPEG,
    NATIVE,
    TRUE_COLOR,
    ULTRASOUND,
    XA,
    codes,
    loop,
    of_loop,
    video,
)

from common.dicom.encapsulation import write_instance
from common.dicom.image_pixel import OLD_PIXELS
from common.errors import UnreadableSource
from common.orders import Path


def test_a_re_encoded_instance_names_its_source() -> None:
    header = of_loop(loop())
    assert header.SOPInstanceUID == "2.25.7"
    assert (header.StudyInstanceUID, header.SeriesInstanceUID) == ("1.2.3", "1.2.3.1")
    assert header.ImageType == ["DERIVED", "PRIMARY", "CARDIAC", "0001"]
    (item,) = header.SourceImageSequence
    assert (item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID) == (ULTRASOUND, "1.2.3.4")
    assert codes(item, "PurposeOfReferenceCodeSequence") == ["121320"]


def test_a_lossy_source_is_a_lossy_predecessor_with_its_step_on_record() -> None:
    header = of_loop(loop(), coded_in=JPEG)
    assert codes(header.SourceImageSequence[0], "PurposeOfReferenceCodeSequence") == ["121330"]
    assert header.LossyImageCompressionMethod == ["ISO_10918_1", "ISO_14496_10"]


def test_a_lossless_source_has_one_step_after_its_encode() -> None:
    header = of_loop(loop())
    assert header.LossyImageCompressionMethod == "ISO_14496_10"
    assert header.LossyImageCompressionRatio == pytest.approx(320 * 240 * 3 * FRAMES / 50_000, abs=0.01)


def test_a_rewrapped_stream_keeps_its_image_type_and_adds_no_step() -> None:
    source = loop(
        LossyImageCompression="01", LossyImageCompressionRatio="12", LossyImageCompressionMethod="ISO_14496_10"
    )
    header = of_loop(source, path=Path.REWRAP, coded_in=H264)
    assert header.ImageType[0] == "ORIGINAL"
    assert (header.LossyImageCompressionRatio, header.LossyImageCompressionMethod) == (12, "ISO_14496_10")
    assert "DerivationCodeSequence" not in header
    assert len(header.SourceImageSequence) == len(header.ContributingEquipmentSequence) == 1


def test_records_of_the_source_are_appended_to() -> None:
    equipment, predecessor = Dataset(), Dataset()
    equipment.Manufacturer, predecessor.ReferencedSOPInstanceUID = "ACME", "1.9"
    source = loop(
        ContributingEquipmentSequence=[equipment],
        SourceImageSequence=[predecessor],
        DerivationDescription="cropped",
        LossyImageCompression="01",
        LossyImageCompressionRatio=["8", "9"],
        LossyImageCompressionMethod=["ISO_10918_1", "ISO_15444_1"],
    )
    header = of_loop(source)
    assert [item.Manufacturer for item in header.ContributingEquipmentSequence] == ["ACME", "Cinefarm"]
    assert [item.ReferencedSOPInstanceUID for item in header.SourceImageSequence] == ["1.9", "1.2.3.4"]
    assert header.DerivationDescription.startswith("cropped; Lossy compression to MPEG-4 AVC/H.264")
    assert header.LossyImageCompressionMethod == ["ISO_10918_1", "ISO_15444_1", "ISO_14496_10"]


def test_a_long_derivation_description_stays_whole_and_within_1024_characters() -> None:
    header = of_loop(loop(DerivationDescription="x" * 1000))
    assert header.DerivationDescription.startswith("x" * 1000 + "; Lossy")
    assert len(header.DerivationDescription) == 1024


def test_no_time_of_day_gets_into_the_header() -> None:
    header = of_loop(loop())
    assert "ContributionDateTime" not in header.ContributingEquipmentSequence[0]
    assert "InstanceCreationDate" not in header


def test_what_described_the_old_pixels_is_gone() -> None:
    icon = Dataset()
    icon.Rows = 64
    source = loop(
        PhotometricInterpretation="PALETTE COLOR",
        SamplesPerPixel=1,
        IconImageSequence=[icon],
        WindowCenter="128",
        WindowWidth="255",
        RescaleSlope="1",
        RedPaletteColorLookupTableDescriptor=[256, 0, 8],
        SmallestImagePixelValue=0,
        PixelAspectRatio=[1, 2],
    )
    header = of_loop(source)
    gone = ("IconImageSequence", "WindowCenter", "WindowWidth", "RescaleSlope", "SmallestImagePixelValue")
    assert not [keyword for keyword in (*gone, "PixelAspectRatio") if keyword in header]
    assert "RedPaletteColorLookupTableDescriptor" not in header
    assert "PALETTE COLOR converted to YBR_PARTIAL_420" in header.DerivationDescription


def test_the_request_is_not_touched() -> None:
    region = Dataset()
    region.RegionLocationMaxX1 = 639
    source = loop(Columns=640, Rows=480, SequenceOfUltrasoundRegions=[region], WindowCenter="1")
    before = source.to_json()
    header = of_loop(source)
    assert header.SequenceOfUltrasoundRegions[0].RegionLocationMaxX1 == 319
    assert source.to_json() == before


def test_the_vector_of_a_source_survives() -> None:
    vector = ["0", *(str(40 + number % 3 * 10) for number in range(FRAMES - 1))]
    source = loop(FrameTimeVector=vector, FrameIncrementPointer=0x00181065)
    header = of_loop(source)
    assert [str(value) for value in header.FrameTimeVector] == vector
    assert header.FrameIncrementPointer == 0x00181065


def test_an_object_that_changed_its_class_is_a_workstations_work() -> None:
    header = of_loop(loop(SOPClassUID=XA), sop_class=TRUE_COLOR)
    assert (header.ConversionType, header.BurnedInAnnotation) == ("WSD", "YES")


def test_a_scaled_picture_says_so() -> None:
    source = loop(Columns=640, Rows=480, PixelSpacing=["0.1", "0.1"])
    header = of_loop(source)
    assert [float(value) for value in header.PixelSpacing] == [0.2, 0.2]
    assert codes(header, "DerivationCodeSequence") == ["113085", "113040"]
    assert "resampled to 320 x 240" in header.DerivationDescription


def overlaid(bits: int) -> Dataset:
    source = loop()
    source.add_new(0x60000010, "US", 240)
    source.add_new(0x60000100, "US", bits)
    source.add_new(0x60003000, "OW", b"\0" * 9600)
    return source


def test_overlays_stay_where_the_class_has_them_and_the_grid_is_the_same() -> None:
    assert (0x6000, 0x3000) in of_loop(overlaid(1))
    assert (0x6000, 0x3000) not in of_loop(overlaid(1), output=video(width=160, height=120))


def test_overlays_go_with_embedded_bits_or_a_class_without_them_and_that_is_said() -> None:
    for header in (of_loop(overlaid(16)), of_loop(overlaid(1), sop_class=TRUE_COLOR)):
        assert (0x6000, 0x3000) not in header
        assert "left out: overlay planes" in header.DerivationDescription


def test_grey_scale_transformations_leave_the_functional_groups_too() -> None:
    shared = Dataset()
    shared.FrameVOILUTSequence, shared.FrameAnatomySequence = [Dataset()], [Dataset()]
    header = of_loop(loop(SharedFunctionalGroupsSequence=[shared]), sop_class=TRUE_COLOR)
    assert "FrameVOILUTSequence" not in header.SharedFunctionalGroupsSequence[0]
    assert "FrameAnatomySequence" in header.SharedFunctionalGroupsSequence[0]


def test_attributes_of_a_source_class_stay_in_a_secondary_capture() -> None:
    header = of_loop(loop(SOPClassUID=XA, Modality="XA", KVP="80"), sop_class=TRUE_COLOR)
    assert (header.Modality, header.KVP, header.SOPClassUID) == ("XA", 80, TRUE_COLOR)


def read_back(source: Dataset, stand_in: str, raw: bytes, *, implicit: bool = False) -> Dataset:
    """The source as read from a file in which ``raw`` stands in the place of ``stand_in``."""
    buffer = io.BytesIO()
    source.file_meta = FileMetaDataset()
    source.file_meta.TransferSyntaxUID = IMPLICIT if implicit else NATIVE
    dcmwrite(buffer, source, enforce_file_format=True)
    return dcmread(io.BytesIO(buffer.getvalue().replace(stand_in.encode(), raw)))


def with_text(text: str) -> Dataset:
    """A source with the same text in a public, a private and a nested element."""
    nested = Dataset()
    nested.RetrieveAETitle = text
    source = loop(SpecificCharacterSet="ISO_IR 192", PatientComments=text, ReferencedStudySequence=[nested])
    source.private_block(0x0009, "ACME", create=True).add_new(1, "LO", text)
    return source


@pytest.mark.parametrize("implicit", [True, False])
def test_bytes_that_do_not_fit_the_character_set_survive(implicit: bool) -> None:
    raw = b"M\xfcller\\ "
    header = of_loop(read_back(with_text("@" * len(raw)), "@" * len(raw), raw, implicit=implicit))
    written = io.BytesIO()
    write_instance(written, header, H264, [b"stream"], 6)
    assert written.getvalue().count(raw) == 3


def test_group_lengths_are_left_out() -> None:
    source = loop()
    source.add_new(0x00080000, "UL", 42)
    assert (0x0008, 0x0000) not in of_loop(source)


def test_a_broken_value_that_must_be_read_is_the_sources_fault() -> None:
    source = read_back(loop(LossyImageCompression="01", LossyImageCompressionRatio="1234"), "1234", b"abcd")
    with pytest.raises(UnreadableSource):
        of_loop(source)


REWRITTEN = {
    *("SOPClassUID", "SOPInstanceUID", "ImageType", "DerivationDescription", "DerivationCodeSequence", "PixelSpacing"),
    *("SourceImageSequence", "ContributingEquipmentSequence", "FrameTime", "FrameTimeVector", "FrameIncrementPointer"),
    *("NumberOfFrames", "Rows", "Columns", "PhotometricInterpretation", "SamplesPerPixel", "BitsAllocated"),
    *("BitsStored", "HighBit", "LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod"),
    *("PixelRepresentation", "SequenceOfUltrasoundRegions", "SharedFunctionalGroupsSequence", "PixelData"),
    *("PerFrameFunctionalGroupsSequence", "StartTrim", "StopTrim"),
}


@pytest.mark.parametrize("name", ["examples_ybr_color.dcm", "examples_palette.dcm", "rtdose.dcm", "emri_small.dcm"])
def test_every_other_attribute_of_a_real_source_survives(name: str) -> None:
    source = dcmread(str(get_testdata_file(name, download=False)), stop_before_pixels=True)
    written = io.BytesIO()
    write_instance(written, of_loop(source, sop_class=TRUE_COLOR), H264, [b"stream"], 6)
    after = dcmread(io.BytesIO(written.getvalue()))
    with disable_value_validation():  # rtdose.dcm holds an illegal UID, which survives too
        kept = [element for element in source if element.keyword not in {*REWRITTEN, *OLD_PIXELS}]
        changed = [element.tag for element in kept if after.get(element.tag) != element]
    assert len(kept) > 25
    assert changed == []


def test_the_same_request_gives_the_same_header() -> None:
    assert of_loop(loop()).to_json() == of_loop(loop()).to_json()
