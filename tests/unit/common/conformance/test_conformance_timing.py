"""Rules on what a header says of time, against the stream's own time stamps."""

from __future__ import annotations

from fractions import Fraction
from itertools import accumulate, pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from common.conformance import ShownTimes, check_header
from common.conformance.case import HeaderCase
from common.conformance.timing import vector_times
from common.dicom.timing import legal_ds
from common.dicom.transfer_syntaxes import ROOT, by_uid

MPEG_CLOCK = Fraction(1, 90_000)
VECTOR = 0x00181065
BY_VECTOR = {"FrameTime": None, "FrameIncrementPointer": VECTOR}


def rules(header: Dataset, description, shown: ShownTimes | None = None) -> set[str]:
    return {finding.rule for finding in check_header(header, description, f"{ROOT}.102", shown)}


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"FrameIncrementPointer": [0x00181063, 0x00181065]}, "header.pointer"),
        ({"FrameIncrementPointer": [0x00181063, 0x0054_0010]}, "header.pointer.dangling"),
        ({"FrameTime": "-33.3667"}, "header.rate.positive"),
        ({"FrameTimeVector": ["0", *["33.3667"] * 89]}, "header.timing.one"),
        ({"CineRate": 31}, "header.cine_rate"),
        ({"RecommendedDisplayFrameRate": 25}, "header.cine_rate"),
        ({"EffectiveDuration": "3.6"}, "header.duration"),
        ({"StartTrim": 0}, "header.trim"),
        ({"StopTrim": 91}, "header.trim"),
        ({"StartTrim": 60, "StopTrim": 30}, "header.trim"),
        ({"PreferredPlaybackSequencing": 7}, "header.sequencing"),
    ],
)
def test_a_wrong_time_breaks_its_rule(header_of, described, changes, rule):
    assert rule in rules(header_of(**changes), described())


@pytest.mark.parametrize(
    "changes",
    [
        {"CineRate": 29},
        {"RecommendedDisplayFrameRate": 30},
        {"EffectiveDuration": "3"},
        {"EffectiveDuration": "3.003"},
        {"StartTrim": 1, "StopTrim": 90},
        {"StartTrim": 45, "StopTrim": 45},
        {"PreferredPlaybackSequencing": 0},
    ],
)
def test_right_times_are_no_findings(header_of, described, changes):
    assert rules(header_of(**changes), described()) == set()


def test_a_pointer_to_an_attribute_that_is_there_does_not_dangle(header_of, described):
    assert rules(header_of(FrameIncrementPointer=[0x00181063, 0x00280010]), described()) == set()


def test_a_pointer_that_is_no_tag_is_found(header_of, described):
    header = header_of()
    header[Tag("FrameIncrementPointer")] = RawDataElement(
        Tag("FrameIncrementPointer"), "UL", 4, b"\x63\x10\x18\x00", 0, False, True
    )
    assert "header.pointer.type" in rules(header, described())


def irregular(frames: int = 90) -> list[int]:
    """Ticks of a 90 kHz clock: 29.97 frames/s on the whole, every third frame held twice as long."""
    return list(accumulate([3003 if n % 3 else 2 * 3003 for n in range(1, frames)], initial=0))


def vector_of(ticks: list[int], digits: int = 4) -> list[str]:
    steps = [(b - a) / 90 for a, b in pairwise(ticks)]
    return ["0", *(f"{step:.{digits}f}" for step in steps)]


def varying(described, ticks: list[int]):
    rate = Fraction(len(ticks) - 1) / (Fraction(ticks[-1]) * MPEG_CLOCK)
    seconds = float(len(ticks) / rate)
    return described(video={"constant_rate": False, "frame_rate": rate, "duration_ms": seconds * 1000})


def test_a_vector_of_the_real_times_is_clean(header_of, described):
    ticks = irregular()
    header = header_of(FrameTimeVector=vector_of(ticks), CineRate=None, **BY_VECTOR)
    assert rules(header, varying(described, ticks), ShownTimes(ticks, MPEG_CLOCK)) == set()


def test_a_vector_that_times_judge_is_not_held_against_the_mean_rate(header_of, described):
    """The mean rate counts how long the last frame is shown, which no vector says."""
    ticks = [0, 3003, 6006, 15_015]
    header = header_of(FrameTimeVector=vector_of(ticks), NumberOfFrames=4, CineRate=None, **BY_VECTOR)
    video = {"constant_rate": False, "frame_rate": Fraction(20), "frame_count": 4, "duration_ms": 200.0}
    description = described(video=video, size_bytes=130_000)
    assert rules(header, description, ShownTimes(ticks, MPEG_CLOCK)) == set()
    assert rules(header, description) == {"header.rate"}


def test_a_vector_of_the_right_mean_and_the_wrong_times_is_found(header_of, described):
    ticks = irregular()
    wrong = vector_of(ticks)
    wrong[2], wrong[3] = wrong[3], wrong[2]  # length, sum and mean stay
    findings = check_header(
        header_of(FrameTimeVector=wrong, CineRate=None, **BY_VECTOR),
        varying(described, ticks),
        f"{ROOT}.102",
        ShownTimes(ticks, MPEG_CLOCK),
    )
    assert [finding.rule for finding in findings] == ["header.vector.times"]
    assert "frame 3 66.7333 ms" in findings[0].found


def test_a_vector_rounded_to_whole_milliseconds_step_by_step_drifts(header_of, described):
    ticks = [3003 * n for n in range(90)]
    header = header_of(FrameTimeVector=["0", *["33"] * 89], **BY_VECTOR)
    assert "header.vector.times" in rules(header, described(), ShownTimes(ticks, MPEG_CLOCK))


def test_a_vector_of_rounded_running_times_is_clean(header_of, described):
    ticks = [3003 * n for n in range(90)]
    running = [round(tick / 90) for tick in ticks]
    steps = ["0", *(str(b - a) for a, b in pairwise(running))]
    header = header_of(FrameTimeVector=steps, **BY_VECTOR)
    assert rules(header, described(), ShownTimes(ticks, MPEG_CLOCK)) == set()


def test_a_vector_that_begins_later_than_zero_is_found(header_of, described):
    header = header_of(FrameTimeVector=["33.3667"] * 90, **BY_VECTOR)
    assert rules(header, described()) == {"header.vector"}


def test_an_increment_below_zero_is_found(header_of, described):
    steps = ["0", "-33.3667", *["34.1257"] * 88]
    assert "header.rate.positive" in rules(header_of(FrameTimeVector=steps, **BY_VECTOR), described())


def test_a_vector_too_long_for_a_decimal_string_is_found(header_of, described):
    frames = 9000  # 8 bytes each
    steps = ["0", *["33.3667"] * (frames - 1)]
    header = header_of(FrameTimeVector=steps, NumberOfFrames=frames, **BY_VECTOR)
    description = described(video={"frame_count": frames, "duration_ms": 300_300.0}, size_bytes=300_000_000)
    assert rules(header, description) == {"header.vector.length"}
    short = header_of(FrameTimeVector=steps[:8000], NumberOfFrames=8000, **BY_VECTOR)
    eight = described(video={"frame_count": 8000, "duration_ms": 266_933.0}, size_bytes=300_000_000)
    assert rules(short, eight) == set()


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.integers(1, 90_000), min_size=2, max_size=60))
def test_the_vector_made_of_any_time_stamps_fits_them(described, steps):
    ticks = list(accumulate(steps, initial=0))
    header = Dataset()
    header.FrameTimeVector = ["0", *(legal_ds(Fraction(step, 90)) for step in steps)]
    case = HeaderCase(header, described(), by_uid(f"{ROOT}.102"), ShownTimes(ticks, MPEG_CLOCK))
    assert list(vector_times(case)) == []
