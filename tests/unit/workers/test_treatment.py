"""Filters of the policies, and the mapping from source frames to output frames."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from common.dicom.timing import BROADCAST_RATES, MAX_SHORT_VALUE_BYTES, vector_of, write_timing
from common.errors import InternalFault, UnsupportedSource
from common.handling import AS_IT_IS, Handling
from common.media import Scan
from workers.describe_timing import places_of, steady
from workers.ffmpeg.conversion import Picture, conversion
from workers.ffmpeg.parse import parse_places
from workers.ffmpeg.treatment import runs

DEINTERLACE = Handling.model_validate({"interlaced": "deinterlace"})
TONE_MAP = Handling.model_validate({"dynamic_range": "tone-map"})
rules = settings(max_examples=60, deadline=None)
gaps = st.lists(st.integers(1, 9), min_size=1, max_size=60)


def picture(**changes: Any) -> Picture:
    facts: dict[str, Any] = {"width": 640, "height": 482, "pixel_format": "yuv420p", "frame_rate": Fraction(25)}
    return Picture(**facts | changes)


def names(shape: Picture, handling: Handling) -> list[str]:
    return [step.name for step in conversion(shape, handling=handling).filters]


def test_fields_become_frames_before_anything_else_looks_at_them() -> None:
    made = conversion(picture(scan=Scan.BOTTOM_FIELD_FIRST), handling=DEINTERLACE)
    assert made.filters[0].options == (("mode", "send_frame"), ("parity", "bff"), ("deint", "all"))
    assert made.height == 482  # kept fields would need 484
    assert dict(made.filters[-2].options)["field_mode"] == "prog"


def test_deinterlaced_video_may_be_turned() -> None:
    turned = picture(scan=Scan.TOP_FIELD_FIRST, rotation=90)
    with pytest.raises(UnsupportedSource, match="turned"):
        conversion(turned)
    assert (conversion(turned, handling=DEINTERLACE).width, names(turned, DEINTERLACE)[0]) == (482, "bwdif")


def test_packed_fields_are_unpacked_and_rgb_fields_are_refused() -> None:
    assert names(picture(scan=Scan.TOP_FIELD_FIRST, pixel_format="uyvy422"), DEINTERLACE)[:3] == [
        "scale",
        "format",
        "bwdif",
    ]
    with pytest.raises(UnsupportedSource, match="interlaced RGB"):
        conversion(picture(scan=Scan.TOP_FIELD_FIRST, pixel_format="rgb24"), handling=DEINTERLACE)


def test_a_tone_map_is_for_hdr_alone() -> None:
    assert "tonemap" not in names(picture(), TONE_MAP)
    hdr = picture(pixel_format="yuv420p10le", transfer="smpte2084", matrix="bt2020nc", primaries="bt2020")
    assert names(hdr, TONE_MAP).count("tonemap") == 1
    with pytest.raises(UnsupportedSource, match="full-range"):
        conversion(picture(pixel_format="gbrp10le", transfer="smpte2084"), handling=TONE_MAP)


def test_without_a_policy_no_filter_is_added() -> None:
    assert conversion(picture()) == conversion(picture(), handling=AS_IT_IS)


@given(gaps, st.sampled_from([rate for rate in BROADCAST_RATES if rate <= 60]))
@rules
def test_a_recording_with_frames_missing_gets_its_own_rate_back(gaps: list[int], rate: Fraction) -> None:
    times = np.cumsum([0, *gaps]) / float(rate)
    found = steady(times, 0.0)
    assert found is not None
    places = places_of(times * float(found.rate))
    assert np.abs(places - times * float(found.rate)).max() <= 0.1 + 1e-6
    assert found.rate <= rate
    assert found.frames == places[-1] + 1


@given(st.lists(st.floats(0.001, 0.5), min_size=1, max_size=60))
@rules
def test_no_frame_is_ever_left_out(gaps: list[float]) -> None:
    times = np.cumsum([0.0, *gaps])
    found = steady(times, gaps[-1])
    if found is None:
        return
    places = places_of(times * float(found.rate))
    assert (np.diff(places) >= 1).all()
    assert np.abs(places - times * float(found.rate)).max() <= 1 + 1e-6
    assert found.frames == int(places[-1]) + found.hold


def test_frames_closer_than_any_rate_have_no_constant_one() -> None:
    assert steady(np.array([0, 0.001, 0.002, 0.003, 0.004, 1.0]), 0.0) is None


def test_one_wrong_time_stamp_does_not_ask_for_hours_of_frames() -> None:
    assert steady(np.array([0, 0.04, 0.08, 36_000.0]), 0.04) is None


@given(gaps, st.integers(1, 5))
@rules
def test_the_mapping_says_how_often_each_frame_is_shown(gaps: list[int], hold: int) -> None:
    places = [0, *np.cumsum(gaps).tolist()]
    found = runs(places, hold)
    shown = [run.times for run in found for _ in range(run.count)]
    assert shown == [*gaps, hold]
    assert [run.first for run in found] == [sum(run.count for run in found[:n]) for n in range(len(found))]


def test_places_are_read_from_the_log(tmp_path: Path) -> None:
    log = tmp_path / "places.txt"
    log.write_text("frame:0    pts:5       pts_time:0.2\nplace=1\nframe:1    pts:7       pts_time:0.28\nplace=1\n")
    assert parse_places(log) == [5, 7]


@pytest.mark.parametrize("text", ["", "frame:0 pts:3 \nframe:1 pts:3 \n", "frame:0 pts:x \n"])
def test_a_log_that_proves_nothing_is_an_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "places.txt").write_text(text)
    with pytest.raises(InternalFault):
        parse_places(tmp_path / "places.txt")


@given(st.lists(st.integers(1, 20_000), min_size=1, max_size=300))
@rules
def test_a_vector_never_drifts_from_the_time_stamps(gaps: list[int]) -> None:
    ticks = [1000, *(1000 + np.cumsum(gaps)).tolist()]
    vector = vector_of(ticks, Fraction(1000, 90_000))
    assert vector is not None
    assert vector[0] == 0
    for shown, tick in zip(np.cumsum(vector), ticks, strict=True):
        assert abs(shown - (tick - 1000) / 90) <= 0.0006


@pytest.mark.parametrize(("frames", "fits"), [(9_000, True), (20_000, True), (40_000, False)])
def test_a_long_vector_gives_up_digits_and_then_itself(frames: int, fits: bool) -> None:
    ticks = [number * 3003 + number % 7 for number in range(frames)]
    vector = vector_of(ticks, Fraction(1000, 90_000))
    assert (vector is not None) is fits
    if vector is not None:
        header = Dataset()
        header.NumberOfFrames = frames
        write_timing(header, Fraction(30), vector)
        assert sum(len(str(value)) + 1 for value in header.FrameTimeVector) <= MAX_SHORT_VALUE_BYTES
        assert abs(sum(vector) - (ticks[-1] / 90)) <= 0.5
