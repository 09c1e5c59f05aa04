"""What a search asks for, read from its URL; which values match (PS3.4 C.2.2.2); what a client takes."""

from __future__ import annotations

import fnmatch
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import PolicyError
from orchestrator.dicomweb.accept import Range, ranges
from orchestrator.dicomweb.attributes import PATIENT_ID, STUDY_DATE, Level, Match
from orchestrator.dicomweb.query import MOST, Query, parse

words = st.sampled_from(
    ["PatientID", "00100020", "StudyDate", "limit", "offset", "includefield", "fuzzymatching", "StudyInstanceUID", "x"]
)


@given(st.sampled_from(Level), st.lists(st.tuples(words, st.text(max_size=12)), max_size=5))
def test_every_query_is_understood_or_refused(level: Level, given: list[tuple[str, str]]) -> None:
    with suppress(PolicyError):
        query = parse(level, given, {})
        assert (query.level, 0 <= query.limit <= MOST, query.offset >= 0) == (level, True, True)
        assert all(match.wanted for match in query.matches)


def test_a_refusal_quotes_no_value() -> None:
    with pytest.raises(PolicyError) as refused:
        parse(Level.STUDY, [("StudyDate", "Doe^Jane")], {})
    assert "Doe" not in f"{refused.value.message} {refused.value.hint}"


def test_words_and_tags_are_the_same() -> None:
    by_word = parse(Level.STUDY, [("PatientID", "P-1"), ("includefield", "PatientAge,00101010")], {})
    by_tag = parse(Level.STUDY, [("00100020", "P-1"), ("includefield", "00101010"), ("includefield", "00101010")], {})
    assert by_word == by_tag == Query(Level.STUDY, (Match(PATIENT_ID, "P-1"),), frozenset({"00101010"}))


ids = st.text("Pp-12*?%_[]", min_size=1, max_size=8)


@given(ids.filter(lambda text: not set(text) & set("*?")), ids.filter(lambda text: not set(text) & set("[]")))
def test_wildcards_match_as_a_shell_does(value: str, wanted: str) -> None:
    dataset = {PATIENT_ID: {"vr": "LO", "Value": [value]}}
    assert Match(PATIENT_ID, wanted).fits(dataset) == fnmatch.fnmatchcase(value, wanted)


def test_no_pattern_takes_long() -> None:
    dataset = {PATIENT_ID: {"vr": "LO", "Value": ["a" * 5000]}}
    assert not Match(PATIENT_ID, "*a" * 400 + "b").fits(dataset)


days = st.dates().map(lambda day: day.strftime("%Y%m%d").zfill(8))


@given(days, days, days)
def test_a_day_lies_in_a_range_or_not(day: str, first: str, last: str) -> None:
    dataset = {STUDY_DATE: {"vr": "DA", "Value": [day]}}
    assert Match(STUDY_DATE, f"{first}-{last}").fits(dataset) == (first <= day <= last)
    assert Match(STUDY_DATE, f"{first}-").fits(dataset) == (first <= day)
    assert Match(STUDY_DATE, f"-{last}").fits(dataset) == (day <= last)


def test_what_a_client_takes_the_dearest_first() -> None:
    text = 'text/html;q=0.2, multipart/related; type="application/dicom"; transfer-syntax=1.2, video/*;q=0.5, a/b;q=0'
    assert ranges({"accept": text}) == (
        Range("multipart/related", "application/dicom", "1.2"),
        Range("video/*", weight=0.5),
        Range("text/html", weight=0.2),
    )
    assert ranges({}) == (Range("*/*"),)
    assert ranges({"accept": "a/b"}, "video/mp4") == (Range("video/mp4"),)


@pytest.mark.parametrize(
    ("text", "alone", "parts"),
    [
        ("video/mp4", True, False),
        ("video/*", True, False),
        ("*/*", True, True),
        ('multipart/related; type="video/mp4"', False, True),
        ('multipart/related; type="video/mp4"; transfer-syntax=1.2', False, False),
        ("multipart/related", False, True),
        ("image/jpeg", False, False),
    ],
)
def test_what_would_do(text: str, alone: bool, parts: bool) -> None:
    taken = ranges({"accept": text})[0]
    assert (taken.takes("video/mp4", "1.3"), taken.takes_parts("video/mp4", "1.3")) == (alone, parts)


@given(st.text(max_size=80))
def test_any_header_is_read(text: str) -> None:
    assert all(0 < one.weight <= 1 for one in ranges({"accept": text}))
