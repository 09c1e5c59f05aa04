"""New UIDs: the same for the same input, different for any other."""

from __future__ import annotations

import uuid

from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.uid import UID

from common.dicom.uids import (
    IMPLEMENTATION_CLASS_UID,
    IMPLEMENTATION_VERSION_NAME,
    derived_uid,
    instance_uid,
    series_uid,
    study_uid,
)

PARTS = st.lists(st.text(max_size=12), max_size=4)


@given(st.text(max_size=12), PARTS)
@settings(deadline=None, max_examples=60)
def test_a_derived_uid_is_a_valid_uuid_uid(role: str, parts: list[str]) -> None:
    uid = UID(derived_uid(role, *parts))
    assert uid.is_valid
    number = uuid.UUID(int=int(uid.removeprefix("2.25.")))
    assert (number.version, number.variant) == (8, uuid.RFC_4122)


@given(PARTS, PARTS)
@settings(deadline=None, max_examples=60)
def test_different_parts_give_different_uids(first: list[str], second: list[str]) -> None:
    assert (derived_uid("role", *first) == derived_uid("role", *second)) == (first == second)


def test_parts_do_not_run_into_each_other() -> None:
    assert derived_uid("role", "ab", "c") != derived_uid("role", "a", "bc")


def test_derivation_does_not_change_between_releases() -> None:
    assert derived_uid("implementation", "cinefarm") == IMPLEMENTATION_CLASS_UID
    assert len(IMPLEMENTATION_VERSION_NAME) <= 16


def test_an_instance_is_named_by_source_and_recipe() -> None:
    assert instance_uid("1.2.3", "a") == instance_uid("1.2.3", "a")
    assert len({instance_uid(source, recipe) for source in ("1.2.3", "1.2.4") for recipe in ("a", "b")}) == 4


def row(**values: str) -> Dataset:
    dataset = Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


def test_given_uids_are_kept() -> None:
    given_uids = row(StudyInstanceUID="1.2", SeriesInstanceUID="1.2.3")
    assert (study_uid(given_uids), series_uid(given_uids)) == ("1.2", "1.2.3")


def test_rows_of_one_study_share_it_and_series_part_by_number() -> None:
    first = row(PatientID="P", StudyDate="20240229", SeriesNumber="1")
    second = row(PatientID="P", StudyDate="20240229", SeriesNumber="2")
    assert study_uid(first) == study_uid(second)
    assert series_uid(first) != series_uid(second)
    assert study_uid(row(PatientID="Q", StudyDate="20240229")) != study_uid(first)
