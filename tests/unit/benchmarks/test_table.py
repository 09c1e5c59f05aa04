"""Rows, their bounds, and the table they make."""

from __future__ import annotations

import pytest
import table
from hypothesis import given
from hypothesis import strategies as st


def test_the_ratio_is_ours_by_the_reference():
    assert table.Row("x", 3.0, 4.0, "s", "other").ratio == 0.75


@pytest.mark.parametrize(
    ("ours", "asked", "verdict"),
    [
        (0.9, table.at_most(0.9), "yes"),
        (0.91, table.at_most(0.9), "NO"),
        (0.6, table.at_least(0.6), "yes"),
        (0.59, table.at_least(0.6), "NO"),
        (0.5, None, "–"),
    ],
)
def test_a_row_says_whether_what_was_asked_holds(ours, asked, verdict):
    assert table.Row("x", ours, 1.0, "s", "other", asked).verdict == verdict


@given(
    st.floats(0.001, 1e6),
    st.floats(0.001, 1e6),
    st.sampled_from([None, table.at_most(2), table.at_least(0.5)]),
    st.text(),
)
def test_a_row_survives_the_way_from_the_child(ours, reference, asked, note):
    row = table.Row("x", ours, reference, "s", "other", asked, note=note)
    assert "\n" not in row.dump()
    assert table.Row.load(row.dump()) == row


def test_the_table_has_a_line_for_each_row_and_each_failure():
    rows = [
        table.Row("encode", 1234.5, 2.0, "s", "two commands", table.at_most(0.9), 0.5),
        table.Failure("scale", "why"),
    ]
    lines = table.render(rows).splitlines()
    assert [cell.strip() for cell in lines[2].split("|")[1:-1]] == [
        "encode", "1234 s", "2 s: two commands", "0.5", "≤ 0.9", "yes", "",
    ]  # fmt: skip
    assert "FAILED | why |" in lines[3]
