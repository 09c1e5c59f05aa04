"""What a header says of one part of a video."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset

from common.dicom.portions import Portion, cut_values, tell_of_parts
from common.dicom.uids import part_uid

EARLIEST, LATEST = datetime(1900, 1, 1), datetime(2100, 1, 1)  # noqa: DTZ001
UIDS = ("2.25.1", "2.25.2", "2.25.3")


def portion(number: int = 2, start_ms: float = 1500.0) -> Portion:
    return Portion(number, first_frame=30, frames=30, total_frames=90, start_ms=start_ms, uids=UIDS)


def cut(start_ms: float = 1500.0, **values: object) -> Dataset:
    header = Dataset()
    with disable_value_validation():
        for keyword, value in values.items():
            setattr(header, keyword, value)
        cut_values(header, portion(start_ms=start_ms))
    return header


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("20231231235959", "20240101000000.500000"),
        ("20231231235959.25", "20240101000000.750000"),
        ("20231231235958.500000+0100", "20240101000000.000000+0100"),
        ("202312312359", "202312312359"),  # to the minute: half a second more would invent digits
        ("no date", "no date"),
    ],
)
def test_an_acquisition_begins_when_its_part_does(before: str, after: str) -> None:
    assert str(cut(AcquisitionDateTime=before).AcquisitionDateTime) == after


def test_a_time_carries_its_date_over_midnight_and_stands_without_one() -> None:
    moved = cut(ContentDate="20240229", ContentTime="235959", AcquisitionTime="235959")
    assert (moved.ContentDate, moved.ContentTime, moved.AcquisitionTime) == (
        "20240301",
        "000000.500000",
        "000000.500000",
    )
    assert "AcquisitionDate" not in moved


@given(st.datetimes(min_value=EARLIEST, max_value=LATEST), st.integers(0, 10**7))
def test_a_whole_number_of_seconds_adds_no_digits(moment: datetime, seconds: int) -> None:
    moved = str(cut(1000.0 * seconds, AcquisitionDateTime=f"{moment:%Y%m%d%H%M%S}").AcquisitionDateTime)
    assert moved == f"{moment.replace(microsecond=0) + timedelta(seconds=seconds):%Y%m%d%H%M%S}"


def test_what_counts_frames_or_seconds_of_the_whole_goes() -> None:
    header = cut(StartTrim=5, StopTrim=80, RepresentativeFrameNumber=44, EffectiveDuration="3.6", PatientID="P")
    assert [element.keyword for element in header] == ["PatientID"]


def test_per_frame_groups_are_those_of_the_part() -> None:
    groups = []
    for number in range(90):
        groups.append(Dataset())
        groups[-1].StackID = str(number)
    kept = cut(PerFrameFunctionalGroupsSequence=groups).PerFrameFunctionalGroupsSequence
    assert [item.StackID for item in kept] == [str(number) for number in range(30, 60)]


@pytest.mark.parametrize(("own", "number"), [("", 2), ("0", 2), ("12", 12002), ("2147483647", 2), ("x1", 2)])
def test_instance_numbers_follow_each_other(own: str, number: int) -> None:
    text = own.encode().ljust(2 * ((len(own) + 1) // 2))
    stored = b"\x20\0\x13\0" + len(text).to_bytes(4, "little") + text  # a file may hold anything
    header = read_dataset(DicomBytesIO(stored), is_implicit_VR=True, is_little_endian=True)
    header.SOPClassUID = "1.2"
    with disable_value_validation():  # as around every header that is built
        tell_of_parts(header, portion())
        assert int(header.InstanceNumber) == number


def test_the_others_are_referenced_as_what_came_before_and_what_comes_after() -> None:
    header = Dataset()
    header.SOPClassUID = "1.2"
    tell_of_parts(header, portion())
    said = {
        item.ReferencedSOPInstanceUID: item.PurposeOfReferenceCodeSequence[0].CodeMeaning
        for item in header.ReferencedImageSequence
    }
    assert said == {"2.25.1": "Temporal Predecessor", "2.25.3": "Temporal Successor"}
    assert header.DerivationDescription == "Part 2 of 3: frames 31 to 60 of 90"


def test_every_part_has_a_uid_of_its_own_and_the_same_one_again() -> None:
    uids = {part_uid("2.25.9", number, parts, limit) for number in (1, 2) for parts in (2, 3) for limit in (10, 20)}
    assert len(uids) == 8
    assert part_uid("2.25.9", 1, 2, 10) in uids
