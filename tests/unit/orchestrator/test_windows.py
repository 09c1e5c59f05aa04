"""Time windows by the clock on the wall, over midnight and over daylight saving."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import PolicyError
from orchestrator.windows import DAYS, parse_window

BERLIN = ZoneInfo("Europe/Berlin")
NIGHTS = "Mon-Fri 20:00-06:00 Europe/Berlin; Sat-Sun 00:00-24:00"
MINUTE = timedelta(minutes=1)


def berlin(text: str, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN, fold=fold)


@pytest.mark.parametrize(
    ("wall", "is_open"),
    [
        ("2026-11-23T19:59:59", False),  # Monday
        ("2026-11-23T20:00", True),
        ("2026-11-24T05:59", True),
        ("2026-11-24T06:00", False),
        ("2026-11-28T03:00", True),  # Friday's night and Saturday overlap
        ("2026-11-29T23:59", True),
        ("2026-11-30T00:00", False),  # Sunday's span ends at midnight, and Monday's begins in the evening
    ],
)
def test_nights_and_weekends_are_open(wall: str, is_open: bool) -> None:
    assert parse_window(NIGHTS).is_open(berlin(wall)) is is_open


def test_friday_evening_to_sunday_midnight_is_one_opening() -> None:
    window = parse_window(NIGHTS)
    assert window.next_change(berlin("2026-11-27T20:00")) == berlin("2026-11-30T00:00")
    assert window.last_change(berlin("2026-11-29T12:00")) == berlin("2026-11-27T20:00")


def test_the_moment_may_come_in_any_zone() -> None:
    moment = datetime(2026, 11, 23, 19, 0, tzinfo=UTC)
    assert parse_window(NIGHTS).is_open(moment)
    assert parse_window(NIGHTS).is_open(moment.astimezone(ZoneInfo("Asia/Tokyo")))


def test_a_night_without_its_skipped_hour_is_an_hour_shorter() -> None:
    window = parse_window("Sat 20:00-06:00 Europe/Berlin")
    opens, closes = berlin("2026-03-28T20:00"), window.next_change(berlin("2026-03-28T20:00"))
    assert closes == berlin("2026-03-29T06:00")
    assert closes - opens.astimezone(UTC) == timedelta(hours=9)


def test_a_night_with_its_doubled_hour_is_an_hour_longer() -> None:
    window = parse_window("Sat 20:00-06:00 Europe/Berlin")
    opens, closes = berlin("2026-10-24T20:00"), window.next_change(berlin("2026-10-24T20:00"))
    assert closes is not None
    assert closes - opens.astimezone(UTC) == timedelta(hours=11)


def test_a_window_within_the_skipped_hour_waits_a_week() -> None:
    window = parse_window("Sun 02:00-03:00 Europe/Berlin")
    assert window.next_change(berlin("2026-03-28T12:00")) == berlin("2026-04-05T02:00")


def test_a_window_that_ends_in_the_skipped_hour_ends_when_the_clock_jumps() -> None:
    window = parse_window("Sun 00:00-02:30 Europe/Berlin")
    assert window.next_change(berlin("2026-03-29T01:00")) == berlin("2026-03-29T03:00")


def test_a_window_within_the_doubled_hour_opens_twice() -> None:
    window = parse_window("Sun 02:15-02:45 Europe/Berlin")
    changes = [berlin("2026-10-25T00:00")]
    for _ in range(4):
        changes.append(window.next_change(changes[-1]) or changes[-1])
    walls = [("02:15", 0), ("02:45", 0), ("02:15", 1), ("02:45", 1)]
    assert changes[1:] == [berlin(f"2026-10-25T{wall}", fold).astimezone(UTC) for wall, fold in walls]


def test_a_window_that_never_closes_never_changes() -> None:
    always = parse_window("Mon-Sun 00:00-24:00 UTC")
    moment = berlin("2026-11-23T12:00")
    assert (always.is_open(moment), always.next_change(moment), always.last_change(moment)) == (True, None, None)


def test_days_may_be_listed_and_go_round_the_weekend() -> None:
    window = parse_window("fri-mon,wed 10:00-12:00 UTC")
    monday = datetime(2026, 11, 23, 11, tzinfo=UTC)
    assert [window.is_open(monday + timedelta(days=day)) for day in range(7)] == [True, False, True, False, *[True] * 3]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Mon",
        "Mon 20:00-06:00",
        "Mon-Fry 20:00-06:00 UTC",
        "Mon 25:00-06:00 UTC",
        "Mon 24:00-06:00 UTC",
        "Mon 20:60-06:00 UTC",
        "Mon 10:00-10:00 UTC",
        "Mon 20:00-06:00 Europe/Nowhere",
        "Mon 20:00-06:00 Europe",
        "Mon 20:00-06:00 ../../etc/passwd",
        "Mon 20:00-06:00 UTC;",
    ],
)
def test_what_is_not_understood_is_refused_with_the_form(text: str) -> None:
    with pytest.raises(PolicyError) as caught:
        parse_window(text)
    assert "Europe/Berlin" in caught.value.hint


ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "Asia/Kolkata", "UTC")
CHANGES = [(3, 8), (3, 29), (4, 5), (9, 6), (10, 4), (10, 25), (11, 1), (12, 31)]  # months and days of 2026

clock = st.integers(0, 23 * 60 + 59).map(lambda minutes: f"{minutes // 60:02}:{minutes % 60:02}")
spans = st.tuples(
    st.sets(st.sampled_from(DAYS), min_size=1).map(",".join), clock, clock, st.sampled_from(ZONES)
).filter(lambda span: span[1] != span[2])
texts = st.lists(spans.map(lambda span: f"{span[0]} {span[1]}-{span[2]} {span[3]}"), min_size=1, max_size=2)
moments = st.tuples(st.sampled_from(CHANGES), st.integers(-36 * 60, 36 * 60)).map(
    lambda pair: datetime(2026, *pair[0], tzinfo=UTC) + pair[1] * MINUTE
)


@settings(max_examples=60, deadline=None)
@given(texts, moments)
def test_the_next_change_is_the_first_minute_that_differs(text: list[str], moment: datetime) -> None:
    window = parse_window("; ".join(text))
    now_open, change = window.is_open(moment), window.next_change(moment)
    limit = min(change or moment + timedelta(days=3), moment + timedelta(days=3))
    minutes = range(int((limit - moment) / MINUTE))
    assert all(window.is_open(moment + n * MINUTE) == now_open for n in minutes)
    assert change is None or window.is_open(change) != now_open


@settings(max_examples=60, deadline=None)
@given(texts, moments)
def test_looking_back_from_a_change_finds_the_one_before(text: list[str], moment: datetime) -> None:
    window = parse_window("; ".join(text))
    first = window.next_change(moment)
    second = window.next_change(first) if first else None
    if first and second:
        assert window.last_change(second - MINUTE / 60) == first
        assert window.last_change(second) == second


@settings(max_examples=60, deadline=None)
@given(texts, moments)
def test_every_open_minute_lies_within_a_span_on_the_wall(text: list[str], moment: datetime) -> None:
    window = parse_window("; ".join(text))
    assert window.is_open(moment) == any(_within(part, moment) for part in text)


def _within(part: str, moment: datetime) -> bool:
    """The same question in words: today's span, or the tail of yesterday's."""
    days, times, zone = part.split(" ")
    start, end = times.split("-")
    wall = moment.astimezone(ZoneInfo(zone))
    shown, today = f"{wall:%H:%M}", DAYS[wall.weekday()]
    yesterday = DAYS[wall.weekday() - 1]
    if start < end:
        return today in days.split(",") and start <= shown < end
    return (today in days.split(",") and shown >= start) or (yesterday in days.split(",") and shown < end)
