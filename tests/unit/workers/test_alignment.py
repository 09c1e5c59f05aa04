"""Shifted, lost and doubled frames are named; what cannot be told is not accused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from common.errors import InternalFault
from workers.alignment import Shift, compare, read_signatures

rules = settings(max_examples=40, deadline=None)
Frames = NDArray[np.uint16]


def film(frames: int, motion: float = 300.0, seed: int = 1) -> Frames:
    """A picture that wanders by about so many 16-bit steps a frame, 257 of which are an 8-bit level."""
    random = np.random.default_rng(seed)
    steps = random.normal(0, motion, (frames, 16, 16)).cumsum(axis=0)
    return np.clip(30_000 + steps, 0, 65_535).astype(np.uint16)


def coded(frames: Frames, noise: float = 20.0) -> Frames:
    """As an encoder would leave it."""
    return np.clip(frames + np.random.default_rng(9).normal(0, noise, frames.shape), 0, 65_535).astype(np.uint16)


def test_a_true_copy_is_aligned_and_every_frame_can_be_told() -> None:
    source = film(100)
    found = compare(source, coded(source))
    assert (found.shifts, found.told, found.misses) == ((), 100, ())


@given(st.integers(-3, 3).filter(bool), st.integers(0, 1000))
@rules
def test_a_whole_result_that_is_shifted_is_named(late: int, seed: int) -> None:
    source = film(60, seed=seed)
    result = coded(source[np.clip(np.arange(60) - late, 0, 59)])
    (shift,) = compare(source, result).shifts
    assert shift.late == late
    assert shift.last - shift.first >= 60 - 2 * abs(late)


@given(st.integers(10, 80), st.integers(0, 1000))
@rules
def test_a_doubled_frame_makes_the_rest_late_and_the_place_is_exact(at: int, seed: int) -> None:
    source = film(100, seed=seed)
    order = [*range(at), *range(at - 1, 99)]
    assert compare(source, coded(source[order])).shifts == (Shift(at, 99, 1),)


@given(st.integers(10, 80), st.integers(0, 1000))
@rules
def test_a_lost_frame_makes_the_rest_early_and_the_place_is_exact(at: int, seed: int) -> None:
    source = film(100, seed=seed)
    order = [*range(at), *range(at + 1, 100)]  # and one frame fewer
    assert compare(source, coded(source[order])).shifts == (Shift(at, 98, -1),)


def test_one_frame_that_shows_its_neighbour_is_named() -> None:
    source = film(100, motion=1500)
    result = coded(source)
    result[50] = result[49]
    assert compare(source, result).misses == ("frame 50 of the result shows frame 49 of the source",)


def test_words_say_how_far_and_from_where() -> None:
    source = film(100)
    order = np.arange(100)
    assert compare(source, source[np.clip(order - 1, 0, 99)]).word == "the result is one frame late"
    late = np.where(order < 40, order, order - 2)
    assert compare(source, source[late]).word == "the result is two frames late from frame 40 on"
    spell = np.where((order >= 40) & (order < 60), order + 1, order)
    assert compare(source, source[spell]).word == "the result is one frame early in frames 40 to 59"


@given(st.integers(0, 1000))
@rules
def test_a_still_picture_with_noise_is_not_accused_and_the_finding_says_so(seed: int) -> None:
    still = np.repeat(film(1), 50, axis=0)
    noise = np.random.default_rng(seed).normal(0, 20, (2, *still.shape))
    source, result = (np.clip(still + one, 0, 65_535).astype(np.uint16) for one in noise)
    found = compare(source, result)
    assert found.shifts == ()
    assert found.told == 0
    assert found.word.startswith("cannot be told")


@given(st.integers(0, 1000), st.floats(0, 3000))
@rules
def test_a_bad_result_in_its_place_is_not_taken_for_a_shifted_one(seed: int, noise: float) -> None:
    source = film(80, seed=seed)
    assert compare(source, coded(source, noise)).shifts == ()


def test_a_picture_that_repeats_itself_is_not_accused() -> None:
    source = film(2, motion=3000)[np.arange(60) % 2]
    assert compare(source, coded(source)).shifts == ()


def test_a_brighter_result_is_not_taken_for_a_shifted_one() -> None:
    source = film(80)
    assert compare(source, coded(source + np.uint16(2000))).shifts == ()


def test_more_frames_than_a_block_are_compared_like_few() -> None:
    source = film(5000, motion=100)
    order = np.where(np.arange(5000) < 4000, np.arange(5000), np.arange(5000) - 1)
    assert compare(source, source[order]).shifts == (Shift(4000, 4999, 1),)


@pytest.mark.parametrize("written", [b"", b"\0" * 1023, b"\0" * 3072])
def test_a_record_of_another_number_of_frames_proves_nothing(tmp_path: Path, written: bytes) -> None:
    path = tmp_path / "luma"
    path.write_bytes(written)
    with pytest.raises(InternalFault, match="frames, not 2"):
        read_signatures(path, 2)


def test_a_missing_record_proves_nothing(tmp_path: Path) -> None:
    with pytest.raises(InternalFault, match="was not recorded"):
        read_signatures(tmp_path / "luma", 2)


def test_the_record_holds_the_result_left_and_the_source_right(tmp_path: Path) -> None:
    path = tmp_path / "luma"
    pair = np.zeros((2, 16, 32), "<u2")
    pair[:, :, 16:] = 7
    path.write_bytes(pair.tobytes())
    source, result = read_signatures(path, 2)
    assert (int(source.min()), int(result.max())) == (7, 0)
