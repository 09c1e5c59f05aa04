"""What levels allow: known answers, and order."""

from __future__ import annotations

from dataclasses import astuple
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.levels import (
    H264_LEVELS,
    HEVC_LEVELS,
    h264_level_violations,
    h264_max_references,
    h264_minimal_level,
    hevc_level_violations,
    hevc_minimal_level,
    macroblocks,
)

sizes = st.integers(1, 5000)
rates = st.fractions(min_value=1, max_value=300, max_denominator=1001)
rules = settings(max_examples=60, deadline=None)


@pytest.mark.parametrize("table", [H264_LEVELS, HEVC_LEVELS], ids=["H.264", "HEVC"])
def test_no_limit_falls_from_one_level_to_the_next(table: dict[str, object]) -> None:
    for lower, upper in pairwise(table.values()):
        numbers = [[x for x in astuple(row)[1:] if not isinstance(x, bool)] for row in (lower, upper)]  # type: ignore[call-overload]
        assert all(a <= b for a, b in zip(*numbers, strict=True))
        assert numbers[0] != numbers[1]


@pytest.mark.parametrize(
    ("width", "height", "rate", "level"),
    [
        (176, 144, Fraction(15), "1"),
        (352, 288, Fraction(30), "1.3"),
        (640, 480, Fraction(30), "3"),
        (720, 576, Fraction(25), "3"),
        (1280, 720, Fraction(30), "3.1"),
        (1280, 720, Fraction(60), "3.2"),
        (1920, 1080, Fraction(30), "4"),
        (1920, 1088, Fraction(30), "4"),
        (1920, 1080, Fraction(60), "4.2"),
        (3840, 2160, Fraction(30), "5.1"),
        (3840, 2160, Fraction(60), "5.2"),
        (7680, 4320, Fraction(30), None),
    ],
)
def test_known_pictures_need_the_h264_level_that_people_expect(
    width: int, height: int, rate: Fraction, level: str | None
) -> None:
    assert h264_minimal_level(width, height, rate) == level


@pytest.mark.parametrize(
    ("width", "height", "rate", "level"),
    [
        (1280, 720, Fraction(30), "3.1"),
        (1920, 1080, Fraction(30), "4"),
        (1920, 1080, Fraction(60), "4.1"),
        (3840, 2160, Fraction(30), "5"),
        (3840, 2160, Fraction(60), "5.1"),
        (3840, 2160, Fraction(120), None),
    ],
)
def test_known_pictures_need_the_hevc_level_that_people_expect(
    width: int, height: int, rate: Fraction, level: str | None
) -> None:
    assert hevc_minimal_level(width, height, rate) == level


@given(sizes, sizes, rates)
@rules
def test_what_a_level_holds_every_higher_level_holds(width: int, height: int, rate: Fraction) -> None:
    for names, broken in ((H264_LEVELS, h264_level_violations), (HEVC_LEVELS, hevc_level_violations)):
        held = [not broken(width, height, rate, name) for name in names]
        assert held == sorted(held)


@given(sizes, sizes, rates, st.sampled_from(sorted(H264_LEVELS)))
@rules
def test_a_smaller_or_slower_picture_breaks_no_more_than_a_larger_one(
    width: int, height: int, rate: Fraction, level: str
) -> None:
    def count(*picture: object) -> int:
        return len(h264_level_violations(*picture, level))  # type: ignore[arg-type]

    assert count(max(1, width // 2), height, rate) <= count(width, height, rate)
    assert count(width, max(1, height // 2), rate) <= count(width, height, rate)
    assert count(width, height, rate / 2) <= count(width, height, rate)


@given(sizes, sizes)
@rules
def test_field_coding_never_takes_fewer_macroblocks_and_always_pairs_of_rows(width: int, height: int) -> None:
    frame, fields = macroblocks(width, height), macroblocks(width, height, interlaced=True)
    columns = -(-width // 16)
    assert 0 <= fields - frame <= columns
    assert fields % (2 * columns) == 0


def test_a_long_thin_picture_is_beyond_the_level_though_its_area_is_not() -> None:
    (broken,) = h264_level_violations(4112, 16, Fraction(1), "4.1")
    assert "longest side" in broken
    assert h264_level_violations(4096, 16, Fraction(1), "4.1") == ()


def test_every_broken_limit_is_told() -> None:
    broken = h264_level_violations(
        3840,
        2160,
        Fraction(60),
        "4.1",
        interlaced=True,
        bit_rate=62_500_001,
        buffer_bits=78_125_001,
        references=2,
    )
    words = ("frame size", "macroblock rate", "bit rate", "coded picture buffer", "reference frames")
    assert [next(w for w in words if b.startswith(w)) for b in broken] == list(words)


def test_the_limits_themselves_are_allowed() -> None:
    at = h264_level_violations(
        1920, 1080, Fraction(30), "4.1", bit_rate=62_500_000, buffer_bits=78_125_000, references=4
    )
    assert at == ()


def test_fields_end_with_level_4_1() -> None:
    for level, fine in (("2", False), ("2.1", True), ("4.1", True), ("4.2", False)):
        assert (not h264_level_violations(352, 288, Fraction(25), level, interlaced=True)) is fine


@pytest.mark.parametrize(("size", "frames"), [((1920, 1080), 4), ((1280, 720), 9), ((640, 480), 16)])
def test_reference_frames_at_level_4_1(size: tuple[int, int], frames: int) -> None:
    assert h264_max_references(*size, "4.1") == frames
