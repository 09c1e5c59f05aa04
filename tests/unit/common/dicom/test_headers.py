"""What the header of a plain clip says, rule by rule."""

from __future__ import annotations

from fractions import Fraction

import pytest
from pydicom.dataset import Dataset
from support.headers import (
    ENDOSCOPIC,
    FRAMES,
    GREY,
    HEVC_10,
    MPEG2,
    STEREO,
    TRUE_COLOR,
    codes,
    described,
    of_clip,
    plan,
    video,
)

from common.dicom import sop_classes
from common.dicom.headers import HeaderRequest, build_header
from common.errors import InternalFault, MissingMetadata
from common.orders import Path


def test_the_image_pixel_module_is_that_of_the_stream() -> None:
    header = of_clip()
    assert (header.Rows, header.Columns, header.NumberOfFrames) == (240, 320, FRAMES)
    assert (header.SamplesPerPixel, header.PlanarConfiguration) == (3, 0)
    assert header.PhotometricInterpretation == "YBR_PARTIAL_420"
    assert (header.BitsAllocated, header.BitsStored, header.HighBit, header.PixelRepresentation) == (8, 8, 7, 0)


def test_ten_bit_video_has_sixteen_ten_nine() -> None:
    header = of_clip(syntax=HEVC_10)
    assert (header.BitsAllocated, header.BitsStored, header.HighBit) == (16, 10, 9)


def test_square_pixels_have_no_aspect_ratio_and_others_have_vertical_to_horizontal() -> None:
    assert "PixelAspectRatio" not in of_clip()
    wide = described(video(pixel_aspect=Fraction(16, 15)))
    request = HeaderRequest(None, Dataset(), wide, wide, plan(Path.REWRAP, ENDOSCOPIC, MPEG2), "2.25.7", 1)
    assert build_header(request).PixelAspectRatio == [15, 16]


def test_only_stereo_syntaxes_say_that_pairs_are_present() -> None:
    assert "StereoPairsPresent" not in of_clip()
    assert of_clip(syntax=STEREO).StereoPairsPresent == "YES"


def test_frame_time_is_what_the_pointer_names() -> None:
    header = of_clip()
    assert float(header.FrameTime) == 40
    assert header.FrameIncrementPointer == 0x00181063
    assert header.CineRate == 25


def test_a_camera_file_that_is_rewrapped_is_original_and_lossy_once() -> None:
    header = of_clip()
    assert header.ImageType == ["ORIGINAL", "PRIMARY"]
    assert header.LossyImageCompression == "01"
    assert header.LossyImageCompressionMethod == "ISO_14496_10"
    assert header.LossyImageCompressionRatio == pytest.approx(320 * 240 * 1.5 * FRAMES / 100_000, abs=0.01)
    assert "DerivationCodeSequence" not in header


def test_a_camera_file_that_is_encoded_again_is_derived_and_lossy_twice() -> None:
    header = of_clip(Path.ENCODE, codec="mjpeg")
    assert header.ImageType == ["DERIVED", "PRIMARY"]
    assert header.LossyImageCompressionMethod == ["ISO_10918_1", "ISO_14496_10"]
    assert len(header.LossyImageCompressionRatio) == 2
    assert codes(header, "DerivationCodeSequence") == ["113040"]
    assert "SourceImageSequence" not in header


def test_a_lossless_camera_file_is_lossy_once_after_its_encode() -> None:
    assert of_clip(Path.ENCODE, codec="ffv1").LossyImageCompressionMethod == "ISO_14496_10"


def test_a_codec_without_a_number_is_recorded_by_its_name() -> None:
    assert of_clip(Path.ENCODE, codec="vp9").LossyImageCompressionMethod == ["VP9", "ISO_14496_10"]


def test_study_and_series_of_a_clip_follow_from_its_row_alone() -> None:
    first, second = of_clip(StudyDate="20240229"), of_clip(Path.ENCODE, StudyDate="20240229")
    assert first.StudyInstanceUID == second.StudyInstanceUID
    assert first.SeriesInstanceUID == second.SeriesInstanceUID
    assert of_clip(StudyDate="20240301").StudyInstanceUID != first.StudyInstanceUID


def test_unknown_type_2_attributes_are_empty_and_known_ones_are_kept() -> None:
    header = of_clip(PatientSex="F")
    assert header.PatientSex == "F"
    assert header["ReferringPhysicianName"].is_empty
    assert header["AccessionNumber"].is_empty


def test_content_date_and_time_are_those_of_the_acquisition() -> None:
    header = of_clip(AcquisitionDateTime="20240229143000.5+0100")
    assert (header.ContentDate, header.ContentTime) == ("20240229", "143000.5")
    assert "ContentTime" not in of_clip(AcquisitionDateTime="20240229")
    assert "ContentDate" not in of_clip()


def test_a_region_nobody_named_is_the_whole_body() -> None:
    assert of_clip().AnatomicRegionSequence[0].CodeValue == "38266002"
    assert "AnatomicRegionSequence" not in of_clip(SpecimenDescriptionSequence=[Dataset()])


def test_a_laterality_without_region_moves_to_the_image() -> None:
    header = of_clip(Laterality="L")
    assert header.ImageLaterality == "L"
    assert "Laterality" not in header


def test_laterality_is_empty_only_where_nothing_says_what_was_examined() -> None:
    assert of_clip(sop_class=TRUE_COLOR)["Laterality"].is_empty
    assert of_clip(sop_class=TRUE_COLOR, Laterality="R").Laterality == "R"
    assert "Laterality" not in of_clip(sop_class=TRUE_COLOR, BodyPartExamined="COLON")
    assert "Laterality" not in of_clip(sop_class=TRUE_COLOR, SharedFunctionalGroupsSequence=[Dataset()])


@pytest.mark.parametrize(
    ("sop_class", "given", "written"),
    [
        (sop_classes.VIDEO_MICROSCOPIC, "SM", "GM"),
        (sop_classes.VIDEO_PHOTOGRAPHIC, "DMS", "XC"),
        (TRUE_COLOR, "US", "US"),
        (TRUE_COLOR, None, "OT"),
    ],
)
def test_modality_is_what_the_class_allows(sop_class: str, given: str | None, written: str) -> None:
    assert of_clip(sop_class=sop_class, Modality=given).Modality == written


def test_secondary_capture_says_how_it_was_converted_and_that_nobody_looked_for_annotation() -> None:
    header = of_clip(sop_class=TRUE_COLOR)
    assert (header.ConversionType, header.BurnedInAnnotation) == ("DI", "YES")
    assert of_clip(sop_class=TRUE_COLOR, BurnedInAnnotation="NO").BurnedInAnnotation == "NO"


def test_grayscale_byte_has_one_sample_and_identity_transformations() -> None:
    header = of_clip(sop_class=GREY, syntax=MPEG2)
    assert (header.SamplesPerPixel, header.PhotometricInterpretation) == (1, "MONOCHROME2")
    assert "PlanarConfiguration" not in header
    assert (header.PresentationLUTShape, header.RescaleSlope, header.RescaleIntercept) == ("IDENTITY", 1, 0)


def test_plain_video_without_row_is_missing_metadata() -> None:
    clip = described(video())
    with pytest.raises(MissingMetadata):
        build_header(HeaderRequest(None, None, clip, clip, plan(Path.REWRAP, ENDOSCOPIC), "2.25.7", 1))


def test_a_kept_source_needs_no_header() -> None:
    clip = described(video())
    with pytest.raises(InternalFault):
        build_header(HeaderRequest(None, Dataset(), clip, clip, plan(Path.KEEP, ENDOSCOPIC), "2.25.7", 1))
