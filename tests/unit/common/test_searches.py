"""Where results of searches lie, and which are old."""

from __future__ import annotations

from datetime import UTC, date, datetime

from hypothesis import given
from hypothesis import strategies as st

from common.searches import KEPT_MONTHS, month_before, month_of, outdated, search_key


@given(st.dates(date(2000, 1, 1)), st.integers(0, 30))
def test_months_are_counted_over_the_turn_of_the_year(day: date, count: int) -> None:
    month = f"{day:%Y-%m}"
    earlier = month_before(month, count)
    assert len(earlier) == 7
    assert earlier <= month
    step = month
    for _ in range(count):
        step = month_before(step)
    assert step == earlier


def test_what_is_read_is_never_old() -> None:
    month = month_of(datetime(2026, 1, 31, tzinfo=UTC))
    read = [search_key(month_before(month, back), "ab" * 32, "cd" * 32) for back in range(KEPT_MONTHS)]
    assert month_before("2026-01") == "2025-12"
    assert outdated(month)[0] == "searches/2025-11/"
    assert not [key for key in read for prefix in outdated(month) if key.startswith(prefix)]
