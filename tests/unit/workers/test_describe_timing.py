from __future__ import annotations

from array import array
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.describe_timing import cadence, fixed

MATROSKA, MPEG = Fraction(1, 1000), Fraction(1, 90_000)
RATES = [Fraction(rate) for rate in ("15", "24000/1001", "24", "25", "30000/1001", "30", "50", "60000/1001", "60")]


def ticks(rate: Fraction, count: int, clock: Fraction, start: int = 0) -> array[int]:
    return array("q", [start + round(number / rate / clock) for number in range(count)])


@settings(deadline=None, max_examples=60)
@given(
    rate=st.sampled_from(RATES),
    count=st.integers(100, 400),
    clock=st.sampled_from([MATROSKA, MPEG, Fraction(1, 600), Fraction(1, 12_800)]),
    start=st.integers(-1000, 10**9),
)
def test_a_rounded_clock_gives_the_exact_rate(rate: Fraction, count: int, clock: Fraction, start: int) -> None:
    found = cadence(ticks(rate, count, clock, start), clock, [])
    assert (found.rate, found.constant) == (rate, True)
    assert found.duration_ms == pytest.approx(float(1000 * count / rate))


def test_a_named_rate_wins_where_the_clock_cannot_tell() -> None:
    times = ticks(Fraction(30), 10, MATROSKA)
    assert cadence(times, MATROSKA, [Fraction(30000, 1001)]).rate == Fraction(30000, 1001)


def test_a_named_rate_that_does_not_fit_is_passed_over() -> None:
    assert cadence(ticks(Fraction(50), 100, MPEG), MPEG, [None, Fraction(25)]).rate == 50


def test_the_order_of_frames_does_not_matter() -> None:
    times = ticks(Fraction(25), 50, MPEG)
    assert cadence(array("q", reversed(times)), MPEG, []) == cadence(times, MPEG, [])


@settings(deadline=None, max_examples=60)
@given(rate=st.sampled_from(RATES), hole=st.integers(1, 98), clock=st.sampled_from([MATROSKA, MPEG]))
def test_a_missing_frame_is_no_constant_rate(rate: Fraction, hole: int, clock: Fraction) -> None:
    times = ticks(rate, 100, clock)
    times.pop(hole)
    assert not cadence(times, clock, [rate]).constant


def test_a_missing_frame_shows_where_a_tick_is_a_frame() -> None:
    clock = Fraction(1, 25)
    assert cadence(array("q", [0, 1, 2, 3]), clock, []).constant
    assert not cadence(array("q", [0, 1, 3, 4]), clock, []).constant


def test_a_variable_rate_gives_the_mean_with_the_last_frame_counted() -> None:
    found = cadence(array("q", [0, 40, 120, 160]), MATROSKA, [Fraction(25)], last_ticks=40)
    assert (found.rate, found.constant, found.duration_ms) == (20, False, 200.0)


def test_jitter_around_a_broadcast_rate_keeps_that_rate() -> None:
    times = array("q", [round(number * 1001 / 30) + (9 if number % 7 == 3 else 0) for number in range(300)])
    found = cadence(times, MATROSKA, [])
    assert (found.rate, found.constant) == (Fraction(30000, 1001), False)


@settings(deadline=None, max_examples=60)
@given(times=st.lists(st.integers(-(2**62), 2**62), min_size=1, max_size=20))
def test_absurd_times_still_give_a_positive_rate_and_duration(times: list[int]) -> None:
    found = cadence(array("q", times), MPEG, [])
    assert found.rate > 0
    assert found.duration_ms > 0


def test_one_frame_and_frames_without_times_take_the_named_rate() -> None:
    assert cadence(array("q", [77]), MPEG, [Fraction(50)]).duration_ms == 20.0
    assert fixed(50, [None]).rate == 25


def test_missing_frames_are_gaps() -> None:
    times = ticks(Fraction(25), 100, MPEG)
    kept = array("q", [time for number, time in enumerate(times) if number not in (30, 60, 61, 62)])
    found = cadence(kept, MPEG, [])
    assert [(gap.frame, gap.missing) for gap in found.gaps] == [(29, 1), (58, 3)]
    assert found.gap_count == 2


@given(st.lists(st.sampled_from([1, 2, 3]), min_size=50, max_size=120))
def test_gaps_ascend_and_a_constant_rate_has_none(steps: list[int]) -> None:
    times = array("q", [3000 * sum(steps[:number]) for number in range(len(steps))])
    found = cadence(times, MPEG, [])
    assert [gap.frame for gap in found.gaps] == sorted(gap.frame for gap in found.gaps)
    assert found.gap_count == 0 or not found.constant
