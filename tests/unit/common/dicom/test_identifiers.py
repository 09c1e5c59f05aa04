"""The site's rules for identifiers: what they change, what they keep on record, what they refuse."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset

from common.dicom.explicit import explicit_copy
from common.dicom.identifiers import AccessionRule, Identifiers, PatientRule, coerce, would_change
from common.errors import BadIdentifiers, UnreadableSource

MOMENT = "20261123120000+0000"
TEXT = ("PatientID", "IssuerOfPatientID", "AccessionNumber")
MERGER = Identifiers(
    source="St. Elsewhere",
    patient=(PatientRule(when_issuer="OLD", prefix="E-", issuer="NEW"),),
    accession=(AccessionRule(match=r"(\d+)", replace=r"E\1"),),
)


def header(**values: object) -> Dataset:
    made = Dataset()
    made.SpecificCharacterSet = "ISO_IR 192"
    for keyword, value in ({"PatientID": "17", "IssuerOfPatientID": "OLD", "AccessionNumber": "4711"} | values).items():
        setattr(made, keyword, value)
    return made


def stored(dataset: Dataset) -> bytes:
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write_dataset(buffer, dataset)
    return buffer.getvalue()


def read(data: bytes) -> Dataset:
    """As a source's header comes: its elements raw."""
    return explicit_copy(read_dataset(io.BytesIO(data), False, True))


def identifiers(dataset: Dataset) -> list[str]:
    return [str(dataset.get(keyword) or "") for keyword in TEXT]


def restored(dataset: Dataset) -> Dataset:
    """The header before the last coercion, as a person would read it from the sequence."""
    *_, last = dataset.OriginalAttributesSequence
    for element in last.ModifiedAttributesSequence[0]:
        if element.is_empty:
            del dataset[element.tag]
        else:
            dataset[element.tag] = element
    if earlier := dataset.OriginalAttributesSequence[:-1]:
        dataset.OriginalAttributesSequence = earlier
    else:
        del dataset.OriginalAttributesSequence
    return dataset


def test_prefix_issuer_and_accession_number_are_coerced() -> None:
    made = header()
    assert coerce(made, MERGER, MOMENT)
    assert identifiers(made) == ["E-17", "NEW", "E4711"]


def test_the_originals_stand_in_the_sequence_with_who_when_and_why() -> None:
    made = header()
    coerce(made, MERGER, MOMENT)
    (item,) = made.OriginalAttributesSequence
    assert (item.SourceOfPreviousValues, item.ReasonForTheAttributeModification) == ("St. Elsewhere", "COERCE")
    assert (item.AttributeModificationDateTime, item.ModifyingSystem) == (MOMENT, MERGER.system)
    assert identifiers(item.ModifiedAttributesSequence[0]) == ["17", "OLD", "4711"]


def test_items_that_others_wrote_are_kept_before_ours() -> None:
    theirs = Dataset()
    theirs.ModifyingSystem, theirs.ReasonForTheAttributeModification = "PIX", "CORRECT"
    made = header(OriginalAttributesSequence=[theirs])
    coerce(made, MERGER, MOMENT)
    assert [item.ModifyingSystem for item in made.OriginalAttributesSequence] == ["PIX", MERGER.system]


def test_the_first_rule_that_fits_is_applied_alone() -> None:
    rules = Identifiers(patient=(PatientRule(when_issuer="OLD", prefix="A"), PatientRule(prefix="B")))
    old, other = header(), header(IssuerOfPatientID="ELSEWHERE")
    coerce(old, rules, MOMENT)
    coerce(other, rules, MOMENT)
    assert (old.PatientID, other.PatientID) == ("A17", "B17")


def test_a_rule_for_no_issuer_takes_headers_without_one() -> None:
    rules = Identifiers(patient=(PatientRule(when_issuer="", issuer="NEW"),))
    made = header(IssuerOfPatientID=None)
    coerce(made, rules, MOMENT)
    assert identifiers(made)[:2] == ["17", "NEW"]
    assert made.OriginalAttributesSequence[0].ModifiedAttributesSequence[0]["IssuerOfPatientID"].is_empty


def test_what_no_rule_fits_is_left_alone_and_gets_no_item() -> None:
    made = header(IssuerOfPatientID="NEW", AccessionNumber="E4711")
    assert not would_change(made, MERGER)
    assert not coerce(made, MERGER, MOMENT)
    assert "OriginalAttributesSequence" not in made


def test_a_list_maps_ids_and_refuses_those_it_does_not_have() -> None:
    rules = Identifiers(patient=(PatientRule(ids={"17": "P-0017"}),))
    made = header()
    coerce(made, rules, MOMENT)
    assert made.PatientID == "P-0017"
    with pytest.raises(BadIdentifiers) as refused:
        coerce(header(PatientID="18"), rules, MOMENT)
    assert "18" not in str(refused.value)


def test_the_requests_of_a_study_name_the_new_accession_number_too() -> None:
    request = Dataset()
    request.AccessionNumber, request.ScheduledProcedureStepID = "4711", "S1"
    made = read(stored(header(RequestAttributesSequence=[request])))
    coerce(made, MERGER, MOMENT)
    assert made.RequestAttributesSequence[0].AccessionNumber == "E4711"
    assert made.RequestAttributesSequence[0].ScheduledProcedureStepID == "S1"
    before = made.OriginalAttributesSequence[0].ModifiedAttributesSequence[0]
    assert before.RequestAttributesSequence[0].AccessionNumber == "4711"


def test_qualifiers_of_the_old_issuer_go_with_it() -> None:
    qualifier = Dataset()
    qualifier.UniversalEntityID, qualifier.UniversalEntityIDType = "1.2.3", "ISO"
    made = header(IssuerOfPatientIDQualifiersSequence=[qualifier])
    coerce(made, MERGER, MOMENT)
    assert "IssuerOfPatientIDQualifiersSequence" not in made
    before = made.OriginalAttributesSequence[0].ModifiedAttributesSequence[0]
    assert before.IssuerOfPatientIDQualifiersSequence[0].UniversalEntityID == "1.2.3"


def test_a_number_that_would_not_fit_is_refused_without_naming_it() -> None:
    rules = Identifiers(accession=(AccessionRule(prefix="0123456789-"),))
    with pytest.raises(BadIdentifiers, match="17 characters; 16 are the most") as refused:
        coerce(header(AccessionNumber="471199"), rules, MOMENT)
    assert "471199" not in str(refused.value)


def test_a_patient_id_of_several_values_is_refused() -> None:
    with pytest.raises(UnreadableSource, match="PatientID has several values"):
        coerce(read(stored(header()).replace(b"17", b"1\\")), Identifiers(patient=(PatientRule(prefix="A"),)), MOMENT)


@pytest.mark.parametrize("rule", [{"prefix": "Ä"}, {"ids": {"1": "2\n"}}, {"issuer": "日本"}])
def test_rules_write_only_what_fits_every_character_set(rule: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="printable ASCII"):
        PatientRule.model_validate(rule)


@pytest.mark.parametrize(
    ("character_set", "patient"),
    [("ISO_IR 100", "Müller-3"), (["", "ISO 2022 IR 87"], "山田-7"), ("GB18030", "王-9"), ("ISO_IR 192", "Ђ-1")],
)
def test_character_sets_survive(character_set: object, patient: str) -> None:
    before = stored(header(SpecificCharacterSet=character_set, PatientID=patient, PatientName=f"{patient}^x"))
    made = read(before)
    coerce(made, MERGER, MOMENT)
    again = read_dataset(io.BytesIO(stored(made)), False, True)
    assert again.PatientID == f"E-{patient}"
    assert again.OriginalAttributesSequence[0].ModifiedAttributesSequence[0].PatientID == patient
    assert stored(restored(read(stored(made)))) == before


def test_an_id_in_another_character_set_than_the_header_names_is_refused_not_garbled() -> None:
    wrong = stored(header(SpecificCharacterSet="ISO_IR 192", PatientID="ABCD")).replace(b"ABCD", b"AB\xfcD")
    with pytest.raises(UnreadableSource, match="character set"):
        coerce(read(wrong), MERGER, MOMENT)


IDS = st.text(st.characters(codec="latin-1", exclude_categories=["Cc"], exclude_characters="\\"), max_size=12)
RULES = st.builds(
    Identifiers,
    patient=st.lists(
        st.builds(
            PatientRule,
            when_issuer=st.none() | st.sampled_from(["", "OLD", "NEW"]),
            ids=st.dictionaries(st.sampled_from(["1", "2", "A1"]), st.sampled_from(["1", "2", "A1"]), max_size=3),
            unmapped=st.just("keep"),
            prefix=st.sampled_from(["", "A", "1"]),
            issuer=st.none() | st.sampled_from(["", "OLD", "NEW"]),
        ),
        max_size=2,
    ).map(tuple),
    accession=st.lists(
        st.builds(
            AccessionRule, match=st.sampled_from([".*", "(.)(.*)", r"\d*"]), prefix=st.sampled_from(["", "A", "1"])
        ),
        max_size=2,
    ).map(tuple),
)
HEADERS = st.builds(
    lambda patient, issuer, number: read(
        stored(
            header(
                SpecificCharacterSet="ISO_IR 100", PatientID=patient, IssuerOfPatientID=issuer, AccessionNumber=number
            )
        )
    ),
    st.sampled_from(["1", "2", "A1"]) | IDS,
    st.sampled_from(["OLD", "NEW", ""]),
    IDS,
)


@given(HEADERS, RULES)
def test_applying_twice_is_applying_once(made: Dataset, rules: Identifiers) -> None:
    expected = would_change(made, rules)
    assert coerce(made, rules, MOMENT) is expected
    once = stored(made)
    assert not coerce(made, rules, "20270101000000+0000")
    again = read(once)
    assert not coerce(again, rules, MOMENT)
    assert stored(made) == stored(again) == once


@given(HEADERS, st.lists(RULES, min_size=1, max_size=3))
def test_the_originals_can_be_restored_step_by_step(made: Dataset, site: list[Identifiers]) -> None:
    steps = [identifiers(made)]
    for rules in site:
        if coerce(made, rules, MOMENT):
            steps.append(identifiers(made))
    assert identifiers(made) == steps.pop()
    while steps:
        made = restored(read(stored(made)))
        assert identifiers(made) == steps.pop()
