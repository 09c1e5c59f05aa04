"""Frozen, black and repeated frames: found in either leg, and held against the source."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import InternalFault
from workers.pictures import Run, Watched, compare_runs, find_runs

RATE = Fraction(25)


def leg(change: list[float], black: list[float] | None = None) -> Watched:
    return Watched(np.array(change, dtype=np.float32), np.array(black or [0.0] * len(change), dtype=np.float32))


def moving(frames: int) -> list[float]:
    return [0.0, *[1.0] * (frames - 1)]


def with_freeze(first: int, repeats: int, frames: int = 100, level: float = 0.0) -> list[float]:
    change = moving(frames)
    change[first + 1 : first + 1 + repeats] = [level] * repeats
    return change


def test_a_frozen_second_counts_from_the_frame_that_is_shown_again() -> None:
    found = find_runs(leg(with_freeze(40, 24)), 95, RATE)
    assert found.frozen == (Run(40, 25),)
    assert found.repeated == ()


def test_a_frame_shown_twice_is_repeated_not_frozen() -> None:
    found = find_runs(leg(with_freeze(40, 1)), 95, RATE)
    assert found.frozen == ()
    assert found.repeated == (Run(40, 2),)


def test_a_key_frame_coded_anew_does_not_end_a_frozen_run() -> None:
    change = with_freeze(20, 40)
    change[40] = 0.08
    assert find_runs(leg(change), 95, RATE).frozen == (Run(20, 41),)


def test_black_frames_are_black_and_nothing_else() -> None:
    change, black = with_freeze(49, 25), [0.0] * 100
    change[50], black[50:75] = 49.0, [100.0] * 25
    found = find_runs(leg(change, black), 95, RATE)
    assert found.black == (Run(50, 25),)
    assert found.frozen == found.repeated == ()


def test_what_the_source_has_too_is_a_remark() -> None:
    source, output = leg(with_freeze(40, 24)), leg(with_freeze(40, 24, level=0.01))
    look = compare_runs(source, output, RATE)
    assert look.misses == ()
    assert look.remarks == ("the source is frozen from frame 40 on for 1.00 s",)
    assert look.output.frozen == (Run(40, 25),)


def test_a_result_that_stands_still_while_the_source_moves_is_a_miss() -> None:
    look = compare_runs(leg(moving(100)), leg(with_freeze(40, 24)), RATE)
    assert look.misses == ("the result stands still from frame 40 on for 1.00 s, and the source moves",)


def test_one_repeated_frame_of_the_result_is_a_miss() -> None:
    look = compare_runs(leg(moving(100)), leg(with_freeze(40, 1)), RATE)
    assert look.misses == ("the result repeats a frame from frame 40 on for 0.08 s, and the source moves",)


def test_noise_that_an_encoder_stills_is_no_frozen_picture() -> None:
    noisy = leg([0.0, *[0.16] * 99])  # measured: a still scene with noise of ± 6 of 255
    assert compare_runs(noisy, leg([0.0] * 100), RATE).misses == ()


def test_a_black_result_is_a_miss() -> None:
    black = [0.0] * 100
    black[30:60] = [100.0] * 30
    look = compare_runs(leg(moving(100)), leg(moving(100), black), RATE)
    assert look.misses == ("the result is black from frame 30 on for 1.20 s, and the source is not",)


def test_a_black_run_that_outlasts_the_sources_is_a_miss() -> None:
    short, long = [0.0] * 100, [0.0] * 100
    short[30:40], long[30:60] = [100.0] * 10, [100.0] * 30
    assert compare_runs(leg(moving(100), short), leg(moving(100), long), RATE).misses


@given(start=st.integers(5, 40), frames=st.integers(5, 40), early=st.integers(-2, 2), late=st.integers(-2, 2))
def test_a_fade_that_is_coded_coarsely_is_no_miss(start: int, frames: int, early: int, late: int) -> None:
    source, output = [0.0] * 100, [0.0] * 100
    source[start : start + frames] = [96.0] * frames
    output[start + early : start + frames + late] = [99.0] * (frames + late - early)
    assert compare_runs(leg(moving(100), source), leg(moving(100), output), RATE).misses == ()


@given(st.lists(st.sampled_from([0.0, 0.01, 0.05, 1.0]), min_size=1, max_size=200))
def test_a_leg_against_itself_never_misses(change: list[float]) -> None:
    assert compare_runs(leg(change), leg(change), RATE).misses == ()


def test_what_is_not_known_is_not_still() -> None:
    change = moving(50)
    change[20] = float("inf")  # a chunk's first frame
    assert find_runs(leg(change), 95, RATE).repeated == ()


def test_legs_of_different_length_are_not_compared() -> None:
    with pytest.raises(InternalFault):
        compare_runs(leg(moving(10)), leg(moving(9)), RATE)


def test_all_runs_are_counted_and_the_longest_named() -> None:
    change = moving(400)
    for first in range(10, 310, 10):
        change[first] = 0.0
    listed = find_runs(leg(change), 95, RATE).json(RATE)["repeated"]
    assert (listed["count"], listed["frames"], len(listed["runs"])) == (30, 60, 20)
