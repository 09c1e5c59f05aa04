"""Rules on the header around a stream and on its encapsulation."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from common.conformance import Encapsulation, check_encapsulation, check_header, check_result
from common.conformance.document import rules_page
from common.dicom.encapsulation import write_instance
from common.dicom.transfer_syntaxes import ROOT, by_uid

HEVC_10 = {"codec": "hevc", "profile": "Main 10", "bit_depth": 10, "level_idc": 153}


def rules(header: Dataset, description, x: str = ".102") -> set[str]:
    return {finding.rule for finding in check_header(header, description, ROOT + x)}


def test_a_header_that_fits_has_no_findings(header_of, described):
    assert check_result(header_of(), described(), f"{ROOT}.102") == ()


def test_a_main_10_header_has_sixteen_bits_allocated(header_of, described):
    header = header_of(BitsAllocated=16, BitsStored=10, HighBit=9, LossyImageCompressionMethod="ISO_23008_2")
    assert rules(header, described(video=HEVC_10), ".108") == set()
    assert rules(header_of(LossyImageCompressionMethod="ISO_23008_2"), described(video=HEVC_10), ".108") == {
        "header.bits"
    }


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"StudyInstanceUID": None}, "header.uids"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.77.1.1"}, "header.sop_class"),
        ({"PhotometricInterpretation": "RGB"}, "header.photometric"),
        ({"PhotometricInterpretation": None}, "header.photometric"),
        ({"SamplesPerPixel": 1}, "header.samples"),
        ({"PlanarConfiguration": 1}, "header.samples"),
        ({"PlanarConfiguration": None}, "header.samples"),
        ({"BitsStored": 10}, "header.bits"),
        ({"PixelRepresentation": 1}, "header.bits"),
        ({"Rows": 1088}, "header.size"),
        ({"Columns": None}, "header.size"),
        ({"NumberOfFrames": 180}, "header.frames"),
        ({"NumberOfFrames": None}, "header.frames"),
        ({"PixelAspectRatio": [1, 1]}, "header.aspect"),
        ({"FrameIncrementPointer": None}, "header.pointer"),
        ({"FrameIncrementPointer": 0x00181065}, "header.pointer"),
        ({"FrameTime": None}, "header.pointer"),
        ({"FrameTime": "40"}, "header.rate"),
        ({"FrameTime": "33.3"}, "header.rate.rounded"),
        ({"CineRate": 25}, "header.cine_rate"),
        ({"LossyImageCompression": "00"}, "header.lossy"),
        ({"LossyImageCompression": None}, "header.lossy"),
        ({"LossyImageCompressionRatio": ["10", "93"]}, "header.lossy.steps"),
        ({"LossyImageCompressionMethod": "ISO_10918_1"}, "header.lossy.steps"),
        ({"LossyImageCompressionRatio": None}, "header.lossy.record"),
        ({"StereoPairsPresent": "YES"}, "header.stereo"),
    ],
)
def test_one_wrong_attribute_breaks_one_rule(header_of, described, changes, rule):
    assert rules(header_of(**changes), described()) == {rule}


def test_several_lossy_steps_end_with_the_streams_own(header_of, described):
    steps = {
        "LossyImageCompressionRatio": ["10", "93"],
        "LossyImageCompressionMethod": ["ISO_10918_1", "ISO_14496_10"],
    }
    assert rules(header_of(**steps), described()) == set()


@pytest.mark.parametrize(("x", "present", "fits"), [(".105", "YES", True), (".105", None, False), (".104", "NO", True)])
def test_stereo_is_announced_under_its_syntaxes_only(header_of, described, x, present, fits):
    found = rules(header_of(StereoPairsPresent=present), described(), x)
    assert ("header.stereo" not in found) == fits


def test_a_vector_has_one_increment_a_frame_and_gives_the_rate(header_of, described):
    increments = ["0", *["33.3667"] * 89]
    timed = {"FrameTime": None, "FrameIncrementPointer": 0x00181065}
    assert rules(header_of(FrameTimeVector=increments, **timed), described()) == set()
    assert rules(header_of(FrameTimeVector=increments[:-1], **timed), described()) == {"header.vector"}


def test_a_variable_rate_without_a_vector_is_a_warning(header_of, described):
    description = described(video={"constant_rate": False})
    findings = check_header(header_of(), description, f"{ROOT}.102")
    assert [(finding.rule, finding.severity) for finding in findings] == [("header.vector.absent", "warning")]


def test_grey_mpeg_2_has_one_sample_a_pixel(header_of, described):
    video = {"codec": "mpeg2video", "profile": "Main", "width": 720, "height": 576, "frame_rate": Fraction(25)}
    grey = {
        "PhotometricInterpretation": "MONOCHROME2",
        "SamplesPerPixel": 1,
        "PlanarConfiguration": None,
        "Rows": 576,
        "Columns": 720,
        "FrameTime": "40",
        "CineRate": 25,
        "LossyImageCompressionMethod": "ISO_13818_2",
    }
    assert rules(header_of(**grey), described(video=video), ".100") == set()


def test_non_square_pixels_are_announced_under_main_level(header_of, described):
    video = {"codec": "mpeg2video", "pixel_aspect": "16/15"}
    method = {"LossyImageCompressionMethod": "ISO_13818_2"}
    told = header_of(PixelAspectRatio=[15, 16], **method)
    assert "header.aspect.coded" not in rules(told, described(video=video), ".100")
    assert "header.aspect.coded" in rules(header_of(**method), described(video=video), ".100")


def test_a_decimal_string_of_seventeen_characters_is_found(header_of, described):
    header = header_of(FrameTime=None)
    raw = RawDataElement(Tag("FrameTime"), "DS", 18, b"33.36666666666667 ", 0, False, True)
    header[Tag("FrameTime")] = raw
    assert rules(header, described()) == {"header.decimals"}


KEYWORDS = [
    "Rows",
    "NumberOfFrames",
    "FrameTime",
    "FrameIncrementPointer",
    "PixelAspectRatio",
    "SOPClassUID",
    "CineRate",
]


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    keyword=st.sampled_from(KEYWORDS),
    value=st.binary(max_size=24),
    vr=st.sampled_from(["US", "DS", "IS", "UI", "AT", "OB"]),
)
def test_a_value_of_random_bytes_is_a_finding_and_no_crash(header_of, described, keyword, value, vr):
    header = header_of()
    header[Tag(keyword)] = RawDataElement(Tag(keyword), vr, len(value), value, 0, False, True)
    for finding in check_header(header, described(), f"{ROOT}.102"):
        assert finding.rule.startswith("header.")


def encapsulated(x: str = ".102", **changes: object) -> Encapsulation:
    """As the product writes it: 10 + 1 bytes and a pad."""
    plain = Encapsulation(by_uid(ROOT + x), "OB", True, (12,), 0, 90, 11)
    return replace(plain, **changes)


def encapsulation_rules(case: Encapsulation) -> set[str]:
    return {finding.rule for finding in check_encapsulation(case, case.syntax.uid)}


@pytest.mark.parametrize("x", [".100", ".102", ".107"])
def test_one_fragment_and_an_empty_table_have_no_findings(x):
    assert encapsulation_rules(encapsulated(x)) == set()


@pytest.mark.parametrize("x", [".100.1", ".102.1", ".107", ".108"])
def test_fragmentable_syntaxes_take_many_fragments(x):
    assert encapsulation_rules(encapsulated(x, fragments=(8, 12), total_length=20)) == set()


@pytest.mark.parametrize(
    ("x", "changes", "rule"),
    [
        (".102", {"fragments": (8, 12), "total_length": 20}, "encapsulation.fragments"),
        (".102", {"fragments": (), "total_length": None}, "encapsulation.fragments"),
        (".102", {"fragments": (11,)}, "encapsulation.even"),
        (".102", {"total_length": 9}, "encapsulation.total_length"),
        (".102", {"total_length": 13}, "encapsulation.total_length"),
        (".102", {"offsets": 1, "table_bytes": 4}, "encapsulation.offset_table"),
        (".102", {"offsets": 90, "table_bytes": 360}, "encapsulation.offset_table"),
        (".102", {"table_bytes": 2}, "encapsulation.offset_table"),
        (".101", {"offsets": 90, "table_bytes": 360}, "encapsulation.mpeg2_offset_table"),
        (".102", {"delimited": False}, "encapsulation.delimiter"),
        (".102", {"last_byte": 0x20}, "encapsulation.pad"),
        (".102", {"extended_table": True}, "encapsulation.extended_table"),
        (".102", {"vr": "OW"}, "encapsulation.element"),
        (".102", {"undefined_length": False, "fragments": ()}, "encapsulation.element"),
        (".102", {"total_length": None}, "encapsulation.total_length.absent"),
    ],
)
def test_each_breach_of_the_encapsulation_is_named(x, changes, rule):
    assert rule in encapsulation_rules(encapsulated(x, **changes))


def test_what_the_product_writes_is_encapsulated_as_it_should(header_of, tmp_path):
    from common.dicom.pixel_stream import read_header

    path = tmp_path / "written.dcm"
    with path.open("wb") as out:
        write_instance(out, header_of(), f"{ROOT}.102", [b"eleven byte"], 11)
    assert encapsulation_rules(Encapsulation.of(read_header(path), f"{ROOT}.102")) == set()


def test_the_page_of_rules_is_current(request):
    page = request.config.rootpath / "docs" / "conformance-rules.md"
    assert page.read_text(encoding="utf-8") == rules_page(), "run: python -m common.conformance.document > " + page.name
