"""Limits as they are written, pauses as they grow, and what fits into a window."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import and_, create_engine, literal, select, true

from common.errors import PolicyError
from orchestrator.breaker import LONGEST_PAUSE_SECONDS, draw, pause_seconds
from orchestrator.limit_words import parse_limit
from orchestrator.limits import DestinationLimit, Gate, parse_rate

PACS = "dicom://PACS@archive:104"
NIGHTS = "Mon-Sun 20:00-06:00 UTC"


@given(st.integers(0, 10_000))
def test_pauses_grow_and_are_bounded(away: int) -> None:
    assert 0 <= pause_seconds(away) <= pause_seconds(away + 1) <= LONGEST_PAUSE_SECONDS


@given(st.text())
def test_the_draw_of_an_order_lies_in_its_range(order_id: str) -> None:
    assert 0 <= draw(order_id) < 1


# ---- how limits are written


@pytest.mark.parametrize(
    ("text", "rate"),
    [("20MB/s", 20_000_000), ("500 kB/s", 500_000), ("1MiB/s", 1_048_576), ("100Mbit/s", 12_500_000), ("8bit/s", 1)],
)
def test_a_rate_is_read_in_its_unit(text: str, rate: int) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize("text", ["", "20", "20MB", "0MB/s", "-1MB/s", "fast", "7bit/s", "1TB/s"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(PolicyError):
        parse_rate(text)


def test_a_limit_on_the_command_line_names_destination_and_limits() -> None:
    uri, limit = parse_limit(f"{PACS} concurrent=2 rate=20MB/s window={NIGHTS}")
    assert uri == PACS
    assert limit == DestinationLimit(concurrent=2, bytes_per_second=20_000_000, window=NIGHTS)


def test_a_folder_with_blanks_in_its_name_can_be_limited() -> None:
    assert parse_limit("/mnt/the archive concurrent=1") == ("/mnt/the archive", DestinationLimit(concurrent=1))


@pytest.mark.parametrize("text", ["", PACS, f"{PACS} concurrent=0", f"{PACS} rate=fast", f"{PACS} window=at night"])
def test_a_limit_that_says_nothing_or_nonsense_is_refused(text: str) -> None:
    with pytest.raises(PolicyError):
        parse_limit(text)


# ---- what fits


@given(st.integers(0, 599), st.floats(0, 50_000), st.floats(0, 3600))
def test_what_may_begin_ends_in_time_or_fits_into_no_window(minute: int, seconds: float, overrun: float) -> None:
    moment = datetime(2026, 11, 24, 20, tzinfo=UTC) + timedelta(minutes=minute)
    left, whole = (600 - minute) * 60, 36_000
    conditions = Gate(moment, overrun).fits_window(NIGHTS, literal(seconds))
    with create_engine("sqlite://").connect() as connection:
        allowed = bool(connection.scalar(select(and_(true(), *conditions))))
    assert allowed == (seconds <= left + overrun or (seconds > whole + overrun and left >= whole / 2))


def test_without_a_window_anything_fits() -> None:
    moment = datetime(2026, 11, 24, tzinfo=UTC)
    assert Gate(moment).fits_window(None, literal(1e9)) == []
    assert Gate(moment).fits_window("Mon-Sun 00:00-24:00 UTC", literal(1e9)) == []
