"""Frame timing: read exactly, written legally."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from common.dicom.timing import (
    BROADCAST_RATES,
    DEFAULT_RATE,
    MAX_SHORT_VALUE_BYTES,
    legal_ds,
    rate_of_period,
    read_timing,
    write_timing,
)

NTSC = Fraction(30000, 1001)
RATES = st.one_of(
    st.sampled_from(BROADCAST_RATES),
    st.fractions(min_value=Fraction(1, 2), max_value=500, max_denominator=1001),
)


def header(frames: int = 10, **values: object) -> Dataset:
    dataset = Dataset()
    dataset.NumberOfFrames = frames
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


@pytest.mark.parametrize(
    ("period", "rate"),
    [
        ("33.367", NTSC),
        ("33.3666666666667", NTSC),
        ("33.37", NTSC),
        ("33.333", Fraction(30)),
        ("33.33", Fraction(30)),
        ("33", Fraction(30)),
        ("40", Fraction(25)),
        ("40.0", Fraction(25)),
        ("16.683", Fraction(60000, 1001)),
        ("16.68", Fraction(60000, 1001)),
        ("41.708", Fraction(24000, 1001)),
        ("30", Fraction(100, 3)),
        ("35", Fraction(200, 7)),
    ],
)
def test_a_printed_period_is_read_as_the_rate_it_stands_for(period: str, rate: Fraction) -> None:
    assert rate_of_period(period) == rate


@pytest.mark.parametrize("text", ["0", "-40", "nan", "inf", "1e-30", "1e30", "abc", ""])
def test_what_is_no_period_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - one kind of refusal, several words
        rate_of_period(text)


@given(RATES)
@example(Fraction(125, 2))
@example(Fraction(1000, 33))
@settings(deadline=None, max_examples=60)
def test_a_written_rate_is_read_back(rate: Fraction) -> None:
    dataset = header()
    write_timing(dataset, rate, None)
    timing = read_timing(dataset, 10)
    assert float(timing.frame_rate) == pytest.approx(float(rate), rel=1e-5)
    assert timing.source == "FrameTime"
    assert len(str(dataset.FrameTime)) <= 16
    if rate in BROADCAST_RATES:
        assert timing.frame_rate == rate


@given(st.lists(st.floats(min_value=10, max_value=900), min_size=2, max_size=40))
@example([10.0, 11.0])
@example([16.0, 16.0])
@example([20.0, 21.0])
@example([16.0, 17.0, 17.0, 16.0])
@settings(deadline=None, max_examples=60)
def test_a_written_vector_is_read_back(increments: list[float]) -> None:
    vector = (0.0, *(round(value, 2) for value in increments))
    dataset = header(len(vector))
    write_timing(dataset, Fraction(25), vector)
    assert tuple(float(value) for value in dataset.FrameTimeVector) == vector
    assert dataset.FrameIncrementPointer == 0x00181065
    assert "FrameTime" not in dataset
    timing = read_timing(dataset, len(vector))
    assert timing.vector_ms is None or timing.vector_ms == vector
    if len(set(vector[1:])) == 1:  # one period, as Frame Time has it: 16 may be 16.667 cut off
        assert timing.frame_rate == rate_of_period(dataset.FrameTimeVector[1].original_string)
        return
    mean = sum(vector) / len(increments)
    assert float(timing.frame_rate) == pytest.approx(1000 / mean, rel=0.02)


@given(st.integers(10, 900), st.lists(st.integers(0, 1), min_size=2, max_size=40))
@settings(deadline=None, max_examples=60)
def test_increments_that_differ_by_their_last_digit_keep_their_mean(least: int, more: list[int]) -> None:
    """Few frames of whole ms: 10 and 11 ms are 95 frames/s, not 100."""
    increments, count = [float(least + one) for one in more], len(more)
    dataset = header(count + 1)
    write_timing(dataset, Fraction(25), (0.0, *increments))
    rate = read_timing(dataset, count + 1).frame_rate
    assert abs(1000 * count / rate - Fraction(sum(increments))) <= 1


@pytest.mark.parametrize("rate", BROADCAST_RATES)
@pytest.mark.parametrize("cut_off", [False, True])
@pytest.mark.parametrize("frames", [3, 7, 30, 500])
def test_running_times_in_whole_ms_give_their_rate_back(rate: Fraction, frames: int, cut_off: bool) -> None:
    """Rounded or cut off, as equipment does it; rates a thousandth apart are told apart by long vectors alone."""
    exact = [1000 * n / rate for n in range(frames)]
    shown = [int(time) if cut_off else round(time) for time in exact]
    dataset = header(frames)
    dataset.FrameTimeVector = ["0", *(str(after - before) for before, after in pairwise(shown))]
    dataset.FrameIncrementPointer = 0x00181065
    found = read_timing(dataset, frames).frame_rate
    assert float(found) == pytest.approx(float(rate), rel=0.03 if frames < 10 else 2e-3)


@given(st.floats(min_value=1e-6, max_value=1e9))
@settings(deadline=None, max_examples=60)
def test_a_decimal_string_is_short_and_close(value: float) -> None:
    assert len(legal_ds(value)) <= 16
    assert float(legal_ds(value)) == pytest.approx(value, rel=1e-8)


def test_a_vector_too_long_for_its_element_is_written_as_a_rate() -> None:
    frames = MAX_SHORT_VALUE_BYTES // 4
    vector = (0.0, *(33.367 + number % 2 for number in range(frames - 1)))
    dataset = header(frames)
    write_timing(dataset, NTSC, vector)
    assert "FrameTimeVector" not in dataset
    assert dataset.FrameIncrementPointer == 0x00181063


def test_a_vector_of_another_length_than_the_frames_is_not_written() -> None:
    dataset = header(10)
    write_timing(dataset, Fraction(25), (0.0, 40.0, 50.0))
    assert "FrameTimeVector" not in dataset


def test_what_the_source_said_is_left_as_it_was_where_it_says_the_same() -> None:
    dataset = header(FrameTime="33.367", CineRate="29")
    write_timing(dataset, NTSC, None)
    assert (str(dataset.FrameTime), dataset.CineRate) == ("33.367", 29)


def test_a_wrong_frame_time_is_replaced() -> None:
    dataset = header(FrameTime="40")
    write_timing(dataset, Fraction(50), None)
    assert float(dataset.FrameTime) == 20


def test_cine_attributes_are_filled_in() -> None:
    dataset = header(50)
    write_timing(dataset, Fraction(25), None)
    assert (dataset.CineRate, dataset.RecommendedDisplayFrameRate, float(dataset.EffectiveDuration)) == (25, 25, 2)


def test_a_trim_beyond_the_last_frame_ends_there() -> None:
    dataset = header(10, StartTrim=1, StopTrim=99)
    write_timing(dataset, Fraction(25), None)
    assert (dataset.StartTrim, dataset.StopTrim) == (1, 10)


@pytest.mark.parametrize("rate", [NTSC, Fraction(30), Fraction(60000, 1001), Fraction(25)])
def test_a_vector_of_whole_milliseconds_is_read_as_the_rate_that_was_rounded(rate: Fraction) -> None:
    times = [round(number * 1000 / rate) for number in range(600)]
    vector = ["0", *(str(later - earlier) for earlier, later in pairwise(times))]
    timing = read_timing(header(600, FrameTimeVector=vector, FrameIncrementPointer=0x00181065), 600)
    assert (timing.frame_rate, timing.vector_ms) == (rate, None)


def test_the_pointer_decides_between_two_attributes() -> None:
    both = {"FrameTime": "40", "FrameTimeVector": ["0", *["20"] * 9]}
    assert read_timing(header(FrameIncrementPointer=0x00181063, **both), 10).source == "FrameTime"
    assert read_timing(header(FrameIncrementPointer=0x00181065, **both), 10).source == "FrameTimeVector"


@pytest.mark.parametrize(
    ("values", "rate", "source"),
    [
        ({"CineRate": "30"}, Fraction(30), "CineRate"),
        ({"RecommendedDisplayFrameRate": "15"}, Fraction(15), "RecommendedDisplayFrameRate"),
        ({"ActualFrameDuration": "40"}, Fraction(25), "ActualFrameDuration"),
        ({"EffectiveDuration": "0.4"}, Fraction(25), "EffectiveDuration"),
        ({"FrameTime": "0", "CineRate": "30"}, Fraction(30), "CineRate"),
        ({"FrameTimeVector": ["0", *["40"] * 9]}, Fraction(25), "FrameTimeVector"),
        ({}, DEFAULT_RATE, "default"),
    ],
)
def test_the_best_attribute_that_is_there_is_read(values: dict[str, object], rate: Fraction, source: str) -> None:
    timing = read_timing(header(**values), 10)
    assert (timing.frame_rate, timing.source, timing.vector_ms) == (rate, source, None)


def test_an_enhanced_header_gives_its_frame_acquisition_duration() -> None:
    content, group = Dataset(), Dataset()
    content.FrameAcquisitionDuration = 40.0
    group.FrameContentSequence = [content]
    timing = read_timing(header(PerFrameFunctionalGroupsSequence=[group]), 10)
    assert (timing.frame_rate, timing.source) == (Fraction(25), "FrameAcquisitionDuration")


def test_a_pointer_at_nothing_is_passed_over() -> None:
    assert read_timing(header(FrameIncrementPointer=0x00181063, CineRate="30"), 10).source == "CineRate"
