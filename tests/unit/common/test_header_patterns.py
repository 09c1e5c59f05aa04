"""Patterns on texts of a header: which rules fit."""

from __future__ import annotations

import pytest
from pydantic import ValidationError
from pydicom import Dataset

from common.header_patterns import HeaderPatterns, rules_that_fit


@pytest.fixture
def header() -> Dataset:
    header = Dataset()
    header.SpecificCharacterSet = "ISO_IR 192"
    header.StudyDescription = "Koloskopie – Größe"
    header.SeriesDescription = " LOOP 3 "
    header.BodyPartExamined = ""
    return header


@pytest.mark.parametrize(
    ("patterns", "fits"),
    [
        ({"study_description": ("*KOLO*",)}, True),
        ({"study_description": ("*GRÖSSE",)}, True),
        ({"study_description": ("colo*", "kolo*")}, True),
        ({"study_description": ("kolo",)}, False),
        ({"series_description": ("loop ?",)}, True),
        ({"series_description": ("loop [12]",)}, False),
        ({"study_description": ("kolo*",), "series_description": ("still*",)}, False),
        ({"body_part": ("*",)}, False),
        ({"protocol": ("*",)}, False),
    ],
)
def test_every_list_fits_by_one_of_its_patterns(
    header: Dataset, patterns: dict[str, tuple[str, ...]], fits: bool
) -> None:
    assert HeaderPatterns.model_validate(patterns).fits(header) is fits


def test_the_answer_is_the_numbers_of_the_rules_that_ask(header: Dataset) -> None:
    loop, still = HeaderPatterns(series_description=("loop*",)), HeaderPatterns(series_description=("still*",))
    assert rules_that_fit((None, still, loop), header) == (2,)
    assert rules_that_fit((), header) == ()


def test_an_empty_pattern_is_refused() -> None:
    with pytest.raises(ValidationError):
        HeaderPatterns(protocol=("",))
