"""Rules on image attributes, functional groups and the lossy record: what breaks each, and what passes."""

from __future__ import annotations

from fractions import Fraction

import pytest
from pydicom.dataset import Dataset

from common.conformance import check_header
from common.conformance.rules import REMEDIES
from common.dicom.transfer_syntaxes import ROOT

TRUE_COLOR, GREY_BYTE = "1.2.840.10008.5.1.4.1.1.7.4", "1.2.840.10008.5.1.4.1.1.7.2"
ULTRASOUND = "1.2.840.10008.5.1.4.1.1.3.1"
SC = {"SOPClassUID": TRUE_COLOR, "Modality": "OT", "ConversionType": "DI", "BurnedInAnnotation": "YES"}
GREY = {"PhotometricInterpretation": "MONOCHROME2", "SamplesPerPixel": 1, "PlanarConfiguration": None}
MPEG2 = {"LossyImageCompressionMethod": "ISO_13818_2"}


def rules(header: Dataset, description, x: str = ".102") -> set[str]:
    return {finding.rule for finding in check_header(header, description, ROOT + x)}


def profile(space: bytes = b"RGB ") -> bytes:
    return (132).to_bytes(4) + bytes(12) + space + bytes(16) + b"acsp" + bytes(92)


def item(*keywords: str) -> Dataset:
    dataset = Dataset()
    for keyword in keywords:
        setattr(dataset, keyword, [])
    return dataset


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"ImageType": None}, "header.image_type"),
        ({"ImageType": "ORIGINAL"}, "header.image_type"),
        ({"ImageType": ["PRIMARY", "ORIGINAL"]}, "header.image_type"),
        ({"Modality": None}, "header.modality"),
        ({"Modality": "US"}, "header.modality"),
        ({**SC, "ConversionType": None}, "header.conversion"),
        ({**SC, "BurnedInAnnotation": None}, "header.burned_in"),
        ({"RedPaletteColorLookupTableDescriptor": [256, 0, 8]}, "header.palette"),
        ({"WindowCenter": "128", "WindowWidth": "256"}, "header.grey_scale"),
        ({"RescaleSlope": "1"}, "header.grey_scale"),
        ({"PixelPaddingValue": 0}, "header.padding"),
        ({"ICCProfile": b"not a profile"}, "header.icc"),
        ({"ICCProfile": profile(b"CMYK")}, "header.icc"),
        ({"LossyImageCompressionRatio": "0"}, "header.lossy.ratio"),
        ({"LossyImageCompressionRatio": "1"}, "header.lossy.plausible"),
        ({"LossyImageCompressionRatio": "5000"}, "header.lossy.plausible"),
    ],
)
def test_one_wrong_attribute_breaks_one_rule(header_of, described, changes, rule):
    assert rules(header_of(**changes), described()) == {rule}


@pytest.mark.parametrize(
    "changes",
    [
        {"ImageType": ["DERIVED", "SECONDARY", "", "0001"]},
        SC,
        {"SOPClassUID": ULTRASOUND, "Modality": "US"},
        {"ICCProfile": profile()},
        {"LossyImageCompressionRatio": "60"},
        {
            "LossyImageCompressionRatio": ["2", "93"],
            "LossyImageCompressionMethod": ["ISO_10918_1", "ISO_14496_10"],
        },
    ],
)
def test_lawful_variants_are_clean(header_of, described, changes):
    assert rules(header_of(**changes), described()) == set()


def grey_mpeg2(described):
    video = {"codec": "mpeg2video", "profile": "Main", "width": 720, "height": 576, "frame_rate": Fraction(25)}
    return described(video=video | {"duration_ms": 3600.0})


@pytest.mark.parametrize(("sop_class", "clean"), [(GREY_BYTE, True), (TRUE_COLOR, False), (ULTRASOUND, True)])
def test_grey_and_colour_have_secondary_capture_classes_of_their_own(header_of, described, sop_class, clean):
    size = {"Rows": 576, "Columns": 720, "FrameTime": "40", "CineRate": 25, "LossyImageCompressionRatio": "20"}
    header = header_of(**SC | GREY | MPEG2 | size | {"SOPClassUID": sop_class})
    assert rules(header, grey_mpeg2(described), ".100") == (set() if clean else {"header.sop_class.colour"})


def test_colour_in_the_grey_class_is_found(header_of, described):
    assert rules(header_of(**SC | {"SOPClassUID": GREY_BYTE}), described()) == {"header.sop_class.colour"}


@pytest.mark.parametrize("value", [["4"], ["4", "0"], ["4", "-3"]])
def test_a_pixel_aspect_ratio_is_two_whole_numbers(header_of, described, value):
    video = {"codec": "mpeg2video", "pixel_aspect": "3/4"}
    header = header_of(**MPEG2, PixelAspectRatio=value)
    assert "header.aspect.form" in rules(header, described(video=video), ".100")


def test_functional_groups_that_fit_the_frames_are_clean(header_of, described):
    groups = {
        "SharedFunctionalGroupsSequence": [item("PixelMeasuresSequence")],
        "PerFrameFunctionalGroupsSequence": [item("FrameContentSequence") for _ in range(90)],
    }
    assert rules(header_of(**groups), described()) == set()


@pytest.mark.parametrize(
    ("shared", "per_frame", "rule"),
    [
        (1, 89, "header.groups.per_frame"),
        (2, 90, "header.groups.shared"),
        (0, 90, "header.groups.shared"),
        (None, 90, "header.groups.pair"),
        (1, None, "header.groups.pair"),
    ],
)
def test_functional_groups_that_do_not_fit_are_found(header_of, described, shared, per_frame, rule):
    groups = {
        "SharedFunctionalGroupsSequence": None if shared is None else [item("PixelMeasuresSequence")] * shared,
        "PerFrameFunctionalGroupsSequence": None if per_frame is None else [item("FrameContentSequence")] * per_frame,
    }
    assert rules(header_of(**groups), described()) == {rule}


def test_a_functional_group_stands_in_one_place(header_of, described):
    groups = {
        "SharedFunctionalGroupsSequence": [item("FrameContentSequence")],
        "PerFrameFunctionalGroupsSequence": [item("FrameContentSequence") for _ in range(90)],
    }
    assert rules(header_of(**groups), described()) == {"header.groups.twice"}


def test_every_finding_says_how_to_mend_it(header_of, described):
    broken = header_of(Rows=None, ImageType=None, LossyImageCompression="00", FrameTime="40")
    findings = check_header(broken, described(), f"{ROOT}.102")
    assert len(findings) == 4
    assert all(finding.remedy for finding in findings)
    assert all(text.endswith(".") for text in REMEDIES.values())
