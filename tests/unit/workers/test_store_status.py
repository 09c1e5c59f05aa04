"""Every status that an archive may answer to a C-STORE has one meaning (PS3.4 B.2.3, PS3.7 9.1.1.1.9)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import DestinationRefused, DestinationUnavailable
from workers.deliver.store_status import judge


@pytest.mark.parametrize(
    ("status", "proof"),
    [
        (0x0000, "status 0000"),
        (0x0111, "status 0111 (already there)"),
        (0xB000, "status B000 (coercion of data elements)"),
        (0xB006, "status B006 (elements discarded)"),
        (0xB007, "status B007 (data set does not match SOP class)"),
        (0xB123, "status B123 (warning)"),
        (0x0001, "status 0001 (requested optional attributes are not supported)"),
        (0x0107, "status 0107 (attribute list error)"),
        (0x0116, "status 0116 (attribute value out of range)"),
    ],
)
def test_what_the_archive_kept_is_proven_in_its_own_words(status: int, proof: str) -> None:
    assert judge(status).proof == proof


@pytest.mark.parametrize("status", [0xB000, 0xB006, 0xB007, 0xBFFF, 0x0107, 0x0111])
def test_what_was_stored_with_a_warning_is_to_be_read_back(status: int) -> None:
    assert judge(status).warning


def test_a_success_needs_no_reading_back() -> None:
    assert judge(0x0000).warning == ""


@pytest.mark.parametrize("status", [0xA700, 0xA7FF, 0x0110, 0x0213])
def test_what_another_try_may_mend_is_unavailable(status: int) -> None:
    with pytest.raises(DestinationUnavailable, match=f"status {status:04X}"):
        judge(status)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (0xA900, "does not match"),
        (0xA9FF, "does not match"),
        (0xC000, "cannot understand"),
        (0xCFFF, "cannot understand"),
        (0x0117, "invalid SOP Instance"),
        (0x0122, "class not supported"),
        (0x0124, "not authorised"),
        (0xFE00, "no reason"),
    ],
)
def test_what_is_final_is_refused_with_its_reason(status: int, words: str) -> None:
    with pytest.raises(DestinationRefused, match=words):
        judge(status)


@settings(deadline=None, max_examples=60)
@given(status=st.integers(0, 0xFFFF))
def test_every_answer_names_its_status(status: int) -> None:
    try:
        text = judge(status).proof
    except (DestinationRefused, DestinationUnavailable) as error:
        text = error.message
    assert f"status {status:04X}" in text
