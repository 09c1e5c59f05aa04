"""The table of video transfer syntaxes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom._uid_dict import UID_dictionary

from common.dicom.transfer_syntaxes import (
    MAX_FRAGMENT_BYTES,
    ROOT,
    VIDEO_SYNTAXES,
    VideoSyntax,
    by_uid,
    certain_lossy_method,
    for_length,
    is_video,
)
from common.errors import NoLegalPath


def test_all_video_syntaxes_of_the_standard_are_there() -> None:
    numbers = [f"{ROOT}.{x}" for x in range(100, 109)] + [f"{ROOT}.{x}.1" for x in range(100, 107)]
    assert sorted(syntax.uid for syntax in VIDEO_SYNTAXES) == sorted(numbers)


@pytest.mark.parametrize("syntax", VIDEO_SYNTAXES, ids=lambda syntax: syntax.uid)
def test_names_are_those_of_the_registry(syntax: VideoSyntax) -> None:
    assert UID_dictionary[syntax.uid][0] == syntax.name


@pytest.mark.parametrize("syntax", VIDEO_SYNTAXES, ids=lambda syntax: syntax.uid)
def test_a_fragmentable_twin_differs_in_nothing_but_fragments(syntax: VideoSyntax) -> None:
    base = by_uid(syntax.base_uid)
    assert (base.codec, base.bits, base.level, base.stereo) == (syntax.codec, syntax.bits, syntax.level, syntax.stereo)
    assert syntax.fragmentable == (syntax.uid.endswith(".1") or syntax.codec == "hevc")


def test_a_stream_that_fits_one_fragment_keeps_its_syntax_and_a_longer_one_gets_the_twin() -> None:
    assert for_length(f"{ROOT}.102", MAX_FRAGMENT_BYTES).uid == f"{ROOT}.102"
    assert for_length(f"{ROOT}.102", MAX_FRAGMENT_BYTES + 1).uid == f"{ROOT}.102.1"
    assert for_length(f"{ROOT}.107", MAX_FRAGMENT_BYTES + 1).uid == f"{ROOT}.107"


def test_other_syntaxes_are_no_video() -> None:
    assert not is_video(f"{ROOT}.50")
    with pytest.raises(NoLegalPath):
        by_uid(f"{ROOT}.50")


@pytest.mark.parametrize(
    ("uid", "method"),
    [
        (f"{ROOT}.50", "ISO_10918_1"),
        (f"{ROOT}.102", "ISO_14496_10"),
        (f"{ROOT}.100.1", "ISO_13818_2"),
        (f"{ROOT}.91", None),
        (f"{ROOT}.70", None),
        ("1.2.840.10008.1.2.1", None),
    ],
)
def test_only_syntaxes_that_cannot_be_lossless_prove_a_lossy_step(uid: str, method: str | None) -> None:
    assert certain_lossy_method(uid) == method


@given(
    st.sampled_from([row for row in VIDEO_SYNTAXES if row.base_uid == row.uid]),
    st.integers(1, 10_000),
    st.integers(2, 10_000),
)
def test_a_twin_is_taken_exactly_where_one_fragment_cannot_hold_the_stream(
    row: VideoSyntax, length: int, fragment: int
) -> None:
    taken = for_length(row.uid, length, fragment_bytes=fragment)
    assert taken.base_uid == row.uid
    assert (taken.uid != row.uid) == (length > fragment and not row.fragmentable)
