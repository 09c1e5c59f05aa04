"""The columns of the mapping: what they may be called, what their cells may hold, and that no cell breaks anything."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom._dicom_dict import DicomDictionary
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from common.dicom.sop_classes import MULTIFRAME_TRUE_COLOR_SC, VIDEO_ENDOSCOPIC
from orchestrator.ingest.columns import FORMS, Column, clean, column, put


def _one_of_each() -> list[Column]:
    """One column for every pair of VR and VM that is allowed, and our short form."""
    kinds: dict[tuple[str, str], Column] = {}
    for entry in DicomDictionary.values():
        try:
            found = column(entry[4])
        except ValueError:
            continue
        kinds.setdefault((found.vr, found.vm), found)
    return [*kinds.values(), column("AnatomicRegion"), column("SOPClassUID")]


COLUMNS = _one_of_each()
CELLS = st.one_of(
    st.text(max_size=80),
    st.text(alphabet="0123456789.eE+-:TZ \\^=_/", max_size=30),
    st.sampled_from(
        ["1e400", "１２", "\\", "nan", "20240230", "2024-02-29", "25:00", "^^^^^", "a" * 65, "1.02", "x\x1b"]
    ),
)


def cell(name: str, text: str) -> str:
    return clean(column(name), text)


def refusal(each: Column, text: str) -> str | None:
    try:
        clean(each, text)
    except ValueError as error:
        return f"{error} {error.__cause__}"
    return None


def test_every_vr_that_is_allowed_has_a_form_for_people_and_a_column() -> None:
    assert {each.vr for each in COLUMNS} - {"SQ"} == set(FORMS)


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(COLUMNS), CELLS)
def test_a_cell_is_refused_or_can_be_written_as_dicom_and_as_json(each: Column, text: str) -> None:
    try:
        cleaned = clean(each, text)
    except ValueError:
        return
    if not cleaned:
        return
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    put(dataset, each, cleaned)
    assert Dataset.from_json(json.dumps(dataset.to_json_dict(), allow_nan=False)) == dataset
    stream = DicomBytesIO()
    stream.is_little_endian, stream.is_implicit_VR = True, False
    write_dataset(stream, dataset)


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(COLUMNS), st.text(alphabet="QXZqxz\\^\x01é", min_size=4, max_size=20).map(lambda text: f"Zq{text}")
)
def test_a_refusal_never_repeats_the_value(each: Column, text: str) -> None:
    told = refusal(each, text)
    assert told is None or "Zq" not in told


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(COLUMNS), CELLS)
def test_cleaning_twice_changes_nothing(each: Column, text: str) -> None:
    try:
        once = clean(each, text)
    except ValueError:
        return
    if once:
        assert clean(each, once) == once


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("StudyDate", "2024-02-29", "20240229"),
        ("StudyTime", "14:30", "1430"),
        ("StudyTime", "14:30:15.25", "143015.25"),
        ("AcquisitionDateTime", "2024-02-29T14:30:00+01:00", "20240229143000+0100"),
        ("PatientName", " Doe^Jane ", "Doe^Jane"),
        ("PatientName", "Yamada^Tarou=山田^太郎", "Yamada^Tarou=山田^太郎"),
        ("OtherPatientIDs", "a\\b", "a\\b"),
        ("PatientComments", "a\\b", "a\\b"),
        ("SOPClassUID", "Video Endoscopic", VIDEO_ENDOSCOPIC),
        ("SOPClassUID", "video endoscopic image storage", VIDEO_ENDOSCOPIC),
        ("SOPClassUID", "Endoscopic", VIDEO_ENDOSCOPIC),
        ("SOPClassUID", "secondary-capture", MULTIFRAME_TRUE_COLOR_SC),
        ("SOPClassUID", VIDEO_ENDOSCOPIC, VIDEO_ENDOSCOPIC),
        ("AnatomicRegion", "71854001 ^SCT^ Colon", "71854001^SCT^Colon"),
    ],
)
def test_a_cell_gets_dicoms_own_form(name: str, text: str, expected: str) -> None:
    assert cell(name, text) == expected


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("StudyDate", "2023-02-29", "YYYYMMDD"),
        ("StudyDate", "29.02.2024", "YYYYMMDD"),
        ("StudyDate", "20240101-20241231", "YYYYMMDD"),
        ("StudyTime", "25:00", "HHMMSS"),
        ("PatientSex", "female", "F, M, O"),
        ("PatientBirthDate", "１９７００１３１", "YYYYMMDD"),
        ("PatientID", "x" * 65, "64 characters"),
        ("PatientID", "two\nlines", "one line"),
        ("PatientName", "a^b^c^d^e^f", "Family^Given"),
        ("PatientWeight", "1e400", "decimal number"),
        ("SeriesNumber", "2147483648", "whole number"),
        ("StudyInstanceUID", "1.02", "leading zero"),
        ("StudyID", "a\\b", "2 values where 1 are allowed"),
        ("OtherPatientIDs", "a\\", "empty value"),
        ("SOPClassUID", "Basic Film Box", "storage class"),
        ("AnatomicRegion", "Colon", "value^scheme^meaning"),
        ("AnatomicRegion", "71854001^^Colon", "value^scheme^meaning"),
    ],
)
def test_an_illegal_cell_is_refused_with_the_legal_form(name: str, text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says.replace("^", r"\^")):
        cell(name, text)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("PatientsID", "did you mean PatientID"),
        ("patient name", "did you mean PatientName"),
        ("Zqx 4711", "is the first line missing"),
        ("SOPInstanceUID", "made by Cinefarm"),
        ("Rows", "read from the video"),
        ("PixelData", "read from the video"),
        ("TransferSyntaxUID", "read from the video"),
        ("MessageID", "not allowed"),
        ("DirectoryRecordType", "not allowed"),
        ("AnatomicRegionSequence", "type SQ"),
        ("ICCProfile", "not allowed"),
    ],
)
def test_a_column_that_cannot_be_is_refused_with_the_reason(name: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        column(name)


def test_an_unknown_columns_name_is_not_repeated_for_it_may_be_a_patients() -> None:
    with pytest.raises(ValueError, match="unknown") as refused:
        column("Patient^Ida")
    assert "Ida" not in str(refused.value)
