"""Which SOP class a video becomes, and the page that says so."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom._uid_dict import UID_dictionary

from common.dicom import sop_classes
from common.dicom.sop_class_page import BEGIN, with_tables
from common.dicom.sop_classes import SOURCE_RULES, VIDEO_CLASSES, target_class, video_class
from common.errors import NoLegalPath

PAGE = Path(__file__).parents[4] / "docs" / "sop-classes.md"


def target(source: str | None = None, *, modality: str = "", codec: str = "h264", **given: object) -> str:
    monochrome, requested = bool(given.get("monochrome")), given.get("requested")
    assert requested is None or isinstance(requested, str)
    return target_class(source, modality=modality, monochrome=monochrome, codec=codec, requested=requested).uid


def test_the_page_is_current() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert with_tables(page) == page, "run: python -m common.dicom.sop_class_page docs/sop-classes.md"


def test_a_page_without_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="marks"):
        with_tables(BEGIN)


@pytest.mark.parametrize("row", VIDEO_CLASSES, ids=lambda row: row.name)
def test_classes_are_those_of_the_registry(row: sop_classes.VideoClass) -> None:
    assert UID_dictionary[row.uid][0] == row.name


@pytest.mark.parametrize("rule", SOURCE_RULES, ids=lambda rule: rule.source_name)
def test_every_rule_leads_to_a_class_that_is_written(rule: sop_classes.SourceRule) -> None:
    assert target(rule.source_uid) == video_class(rule.target_uid).uid


def test_the_grayscale_class_stays_in_mpeg2_alone() -> None:
    grey = sop_classes.MULTIFRAME_GRAYSCALE_BYTE_SC
    assert target(grey, codec="mpeg2video", monochrome=True) == grey
    assert target(grey, codec="h264", monochrome=True) == sop_classes.MULTIFRAME_TRUE_COLOR_SC


def test_any_other_class_becomes_a_secondary_capture() -> None:
    assert target("1.2.840.10008.5.1.4.1.1.12.1", modality="XA") == sop_classes.MULTIFRAME_TRUE_COLOR_SC


def test_a_dicom_source_goes_by_its_class_whatever_is_requested() -> None:
    ultrasound = sop_classes.ULTRASOUND_MULTIFRAME
    assert target(ultrasound, requested="endoscopic") == ultrasound


@pytest.mark.parametrize(
    ("modality", "uid"),
    [
        ("ES", sop_classes.VIDEO_ENDOSCOPIC),
        (" gm ", sop_classes.VIDEO_MICROSCOPIC),
        ("XC", sop_classes.VIDEO_PHOTOGRAPHIC),
        ("US", sop_classes.MULTIFRAME_TRUE_COLOR_SC),
        ("", sop_classes.VIDEO_ENDOSCOPIC),
    ],
)
def test_a_plain_clip_goes_by_its_modality(modality: str, uid: str) -> None:
    assert target(modality=modality) == uid


def test_a_request_goes_before_the_modality() -> None:
    assert target(modality="ES", requested="Microscopic") == sop_classes.VIDEO_MICROSCOPIC
    assert target(modality="ES", requested=sop_classes.VIDEO_PHOTOGRAPHIC) == sop_classes.VIDEO_PHOTOGRAPHIC


@pytest.mark.parametrize(
    "requested",
    ["1.2.840.10008.5.1.4.1.1.2", "x", sop_classes.ULTRASOUND_MULTIFRAME, sop_classes.MULTIFRAME_GRAYSCALE_BYTE_SC],
)
def test_a_class_that_cannot_carry_the_clip_is_refused(requested: str) -> None:
    with pytest.raises(NoLegalPath):
        target(requested=requested)
