"""A span of time is halved until an archive answers in full: every study comes once, whatever the cap."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from common.errors import DestinationRefused, DestinationUnavailable, PolicyError
from common.network.halving import Answer, search
from common.network.query import FoundStudy
from common.network.spans import DateSpan, Span, TimeSpan

DATES = st.dates(date(2019, 1, 1), date(2019, 1, 20)) | st.dates(date(1890, 1, 1), date(2110, 1, 1))
SECONDS = st.integers(0, 24 * 3600 - 1)
STUDIES = st.lists(st.tuples(DATES, SECONDS, st.sampled_from(["", ".5", ".999999"])), max_size=60)


class CappedArchive:
    """Matches as PS3.4 C.2.2.2.5 says, and gives no more than ``cap`` answers; ``silent`` ones say that they are all."""

    def __init__(self, studies: list[FoundStudy], cap: int, *, spent: bool = False, silent: bool = False) -> None:
        self.studies, self.cap, self.spent, self.silent = studies, cap, spent, silent
        self.asked: list[str] = []

    def __call__(self, span: Span, most: int | None) -> tuple[list[FoundStudy], Answer]:
        self.asked.append(f"{span.date.text}T{span.time.text}")
        found = [one for one in self.studies if within(one.date, span.date.text) and within(one.time, span.time.text)]
        more = len(found) > self.cap
        given = [] if more and self.spent else found[: self.cap]
        return given, Answer([{}] * len(given), capped=more and not self.silent, spent=more and self.spent)


def within(value: str, asked: str) -> bool:
    low, dash, high = asked.partition("-")
    return not asked or not value or (low <= value <= (high or "99999999.9") if dash else value.startswith(low))


def study(number: int, day: date, seconds: int, fraction: str = "") -> FoundStudy:
    clock = f"{seconds // 3600:02}{seconds // 60 % 60:02}{seconds % 60:02}{fraction}"
    return FoundStudy(f"1.2.{number}", f"{day.year:04}{day:%m%d}", clock)


@given(STUDIES, st.integers(1, 20), st.booleans())
@settings(max_examples=150, deadline=None)
def test_no_study_is_lost_and_none_comes_twice(rows: list[tuple[date, int, str]], cap: int, spent: bool) -> None:
    there = [study(number, *row) for number, row in enumerate(rows)]
    seconds = [(one.date, one.time[:6]) for one in there]
    archive = CappedArchive(there, cap, spent=spent)
    if max((seconds.count(second) for second in seconds), default=0) > cap:
        with pytest.raises((DestinationRefused, DestinationUnavailable)):
            list(search(Span(), archive))
    else:
        assert sorted(one.study_uid for one in search(Span(), archive)) == sorted(one.study_uid for one in there)


@given(STUDIES, st.integers(1, 5))
@settings(max_examples=30, deadline=None)
def test_the_same_archive_is_asked_the_same_questions(rows: list[tuple[date, int, str]], cap: int) -> None:
    there = [study(number, *row) for number, row in enumerate(rows)]
    first, second = (CappedArchive(there, max(cap, len(there) // 4 + 1)) for _ in range(2))
    try:
        assert list(search(Span(), first)) == list(search(Span(), second))
    except DestinationRefused:
        return
    assert first.asked == second.asked


def test_studies_come_oldest_half_first() -> None:
    there = [study(n, date(2019, 1, 1) + timedelta(days=n), 0) for n in range(40)]
    found = list(search(Span.parse("20190101-20191231", ""), CappedArchive(there, 3)))
    assert found == there


def test_a_study_without_a_date_that_was_seen_comes_once() -> None:
    there = [FoundStudy("1.2.99"), *(study(n, date(2019, 1, 1 + n), 0) for n in range(9))]
    assert sorted(one.study_uid for one in search(Span(), CappedArchive(there, 3))) == sorted(
        one.study_uid for one in there
    )


def test_an_archive_that_ignores_the_range_is_found_out() -> None:
    there = [study(n, date(2019, 1, 1 + n), 0) for n in range(9)]

    def careless(_span: Span, _most: int | None) -> tuple[list[FoundStudy], Answer]:
        return there[:3], Answer([{}] * 3, capped=True)

    with pytest.raises(DestinationRefused, match="does not keep to ranges of StudyDate"):
        list(search(Span(), careless))


@given(STUDIES, st.integers(2, 10))
@settings(max_examples=150, deadline=None)
def test_a_cap_that_nobody_tells_of_is_found_out(rows: list[tuple[date, int, str]], cap: int) -> None:
    there = [study(number, *row) for number, row in enumerate(rows)]
    seconds = [(one.date, one.time[:6]) for one in there]
    assume(max((seconds.count(second) for second in seconds), default=0) < 2)
    found = search(Span(), CappedArchive(there, cap, silent=True))
    assert sorted(one.study_uid for one in found) == sorted(one.study_uid for one in there)


def test_what_an_archive_gives_outside_the_span_is_left_out() -> None:
    there = [study(n, date(2019, 1, 1 + n), 0) for n in range(9)]
    found = list(search(Span.parse("20190103-20190104", ""), lambda *_: (there, Answer([{}] * 9))))
    assert found == there[2:4]


@pytest.mark.parametrize("text", ["", "20190101", "20190101-20191231", "20190101-", "-20191231"])
def test_a_span_of_dates_is_written_as_it_was_read(text: str) -> None:
    assert DateSpan.parse(text).text == text


@pytest.mark.parametrize("text", ["2019", "2019-01-01", "20191301", "20191231-20190101", "yesterday"])
def test_what_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(PolicyError, match="StudyDate"):
        DateSpan.parse(text)


def test_the_fraction_of_a_second_belongs_to_its_second() -> None:
    halves = TimeSpan().halves()
    assert halves is not None
    assert [half.text for half in halves] == ["-115959.999999", "120000-"]
