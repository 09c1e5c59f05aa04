"""Waits between attempts, by error class."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import (
    CinefarmError,
    DestinationRefused,
    DestinationUnavailable,
    ProgramFailed,
    ResourceLimit,
    StoreFault,
    UnreadableSource,
)
from common.orders import Failure
from common.retry import BACKOFFS, JITTER, ORDINARY, Again, next_try

ERRORS: list[CinefarmError] = [
    DestinationUnavailable("away"),
    StoreFault("away"),
    ProgramFailed("ffmpeg", [], 1, "no"),
    ResourceLimit("too long"),
]
failures = st.sampled_from([Failure.of(error) for error in ERRORS])
draws = st.floats(0, 1, exclude_max=True)
NIGHT = 12 * 3600.0


def longest(failure: Failure) -> float:
    return BACKOFFS.get(failure.code, ORDINARY).longest_seconds


@given(failures, st.integers(1, 10_000), draws)
def test_every_wait_is_bounded(failure: Failure, attempt: int, draw: float) -> None:
    again = next_try(failure, attempt, attempt + 1, draw=draw)
    assert again is None or 0 < again.wait_seconds <= longest(failure)


@given(failures, draws, draws)
def test_later_attempts_never_wait_less_until_the_longest_wait(failure: Failure, first: float, second: float) -> None:
    tries = [next_try(failure, attempt, 50, draw=(first, second)[attempt % 2]) for attempt in range(1, 50)]
    waits = [again.wait_seconds for again in tries if again is not None]
    floor = longest(failure) * (1 - JITTER)
    assert all(before <= after or after >= floor for before, after in pairwise(waits))


@given(st.floats(0, NIGHT, exclude_max=True), st.floats(0, NIGHT, exclude_max=True), draws)
def test_patient_waits_grow_with_the_time_waited(one: float, other: float, draw: float) -> None:
    failure = Failure.of(DestinationUnavailable("away"))
    waits = [
        next_try(failure, 1, 4, waited_seconds=waited, patience_seconds=NIGHT, draw=draw)
        for waited in sorted((one, other))
    ]
    first, second = (again.wait_seconds for again in waits if again is not None)
    assert first <= second <= 900


def test_an_archive_that_is_away_for_a_night_uses_up_no_try_and_few_attempts() -> None:
    failure, waited, count = Failure.of(DestinationUnavailable("away")), 0.0, 0
    while again := next_try(failure, 99, 4, waited_seconds=waited, patience_seconds=NIGHT):
        assert not again.counted
        waited, count = waited + again.wait_seconds, count + 1
    assert waited >= NIGHT
    assert count < 60


def test_without_patience_an_archive_that_is_away_fails_after_the_last_try() -> None:
    failure = Failure.of(DestinationUnavailable("away"))
    assert [next_try(failure, attempt, 4) for attempt in (1, 2, 3, 4)] == [Again(2.0), Again(4.0), Again(8.0), None]


def test_a_store_that_stays_away_longer_than_a_night_ends_the_patience() -> None:
    failure = Failure.of(StoreFault("away"))
    assert next_try(failure, 1, 4, waited_seconds=NIGHT - 1, patience_seconds=9 * NIGHT) is not None
    assert next_try(failure, 1, 4, waited_seconds=NIGHT, patience_seconds=9 * NIGHT) is None


@pytest.mark.parametrize(("error", "tries"), [(ERRORS[2], 3), (ERRORS[3], 2)])
def test_a_program_that_fails_gets_few_tries_whatever_the_patience(error: CinefarmError, tries: int) -> None:
    failure = Failure.of(error)
    again = [next_try(failure, attempt, 9, patience_seconds=NIGHT) for attempt in range(1, 9)]
    assert [each is not None for each in again] == [attempt < tries for attempt in range(1, 9)]


@pytest.mark.parametrize("error", [DestinationRefused("no"), UnreadableSource("broken")])
def test_what_no_try_can_mend_is_given_up_at_once(error: CinefarmError) -> None:
    assert next_try(Failure.of(error), 1, 4, patience_seconds=NIGHT) is None
