"""The four colour rules."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import UnsupportedSource
from workers.ffmpeg.colour import BT709, MATRIX_CODES, Colour, Model, Samples, Tags, colour, samples

rules = settings(max_examples=60, deadline=None)
named = st.sampled_from([name for name in MATRIX_CODES.values() if name])
sizes = st.tuples(st.integers(2, 4096), st.integers(2, 2304))
rates = st.sampled_from([Fraction(25), Fraction(30000, 1001), Fraction(30), Fraction(50), Fraction(24)])
SD, PAL, HD = (720, 480), (720, 576), (1920, 1080)


def rule(
    pixel_format: str = "yuv420p",
    full: bool | None = None,
    matrix: str | None = None,
    transfer: str | None = None,
    size: tuple[int, int] = SD,
    rate: Fraction = Fraction(30),
) -> Colour:
    return colour(pixel_format, full, matrix, None, transfer, size, rate)


@pytest.mark.parametrize(
    ("pixel_format", "expected"),
    [
        ("yuv420p", Samples(Model.YCBCR, 8, (2, 2))),
        ("nv12", Samples(Model.YCBCR, 8, (2, 2))),
        ("yuvj422p", Samples(Model.YCBCR, 8, (2, 1))),
        ("yuv410p", Samples(Model.YCBCR, 8, (4, 4))),
        ("yuv444p12le", Samples(Model.YCBCR, 12, (1, 1))),
        ("rgb24", Samples(Model.RGB, 8, (1, 1))),
        ("gbrp", Samples(Model.RGB, 8, (1, 1))),
        ("pal8", Samples(Model.RGB, 8, (1, 1))),
        ("gray", Samples(Model.GREY, 8, (1, 1))),
        ("gray16le", Samples(Model.GREY, 16, (1, 1))),
        ("ya8", Samples(Model.GREY, 8, (1, 1))),
    ],
)
def test_pixel_formats_are_taken_apart(pixel_format: str, expected: Samples) -> None:
    assert samples(pixel_format) == expected


@pytest.mark.parametrize("pixel_format", ["", "no such format", "cuda", "bayer_bggr8"])
def test_formats_without_plain_samples_are_refused(pixel_format: str) -> None:
    with pytest.raises(UnsupportedSource):
        samples(pixel_format)


@given(named, sizes, rates)
@rules
def test_limited_420_with_8_bits_keeps_its_matrix_and_its_samples(
    matrix: str, size: tuple[int, int], rate: Fraction
) -> None:
    decided = rule("yuv420p", False, matrix, None, size, rate)
    assert not decided.convert
    assert decided.tags.matrix == decided.in_matrix == matrix


@given(st.sampled_from(["yuv422p", "yuv444p", "yuv420p10le", "nv12", "yuv410p"]), named)
@rules
def test_other_limited_samples_are_converted_within_their_matrix(pixel_format: str, matrix: str) -> None:
    decided = rule(pixel_format, False, matrix)
    assert decided.convert
    assert decided.tags.matrix == decided.in_matrix == matrix


@given(sizes, rates)
@rules
def test_untagged_hd_is_bt709_and_untagged_sd_is_bt601(size: tuple[int, int], rate: Fraction) -> None:
    hd = size[0] > 1279 or size[1] > 576
    assert (rule(size=size, rate=rate).tags.matrix == "bt709") is hd
    assert hd or rule(size=size, rate=rate).tags.matrix in ("bt470bg", "smpte170m")


@pytest.mark.parametrize(
    ("size", "rate", "tags"),
    [
        (SD, Fraction(30000, 1001), Tags("smpte170m", "smpte170m", "smpte170m")),
        (SD, Fraction(25), Tags("bt470bg", "bt470bg", "smpte170m")),
        (PAL, Fraction(24), Tags("bt470bg", "bt470bg", "smpte170m")),
        (HD, Fraction(25), BT709),
    ],
)
def test_untagged_video_gets_a_whole_description(size: tuple[int, int], rate: Fraction, tags: Tags) -> None:
    assert rule(size=size, rate=rate).tags == tags


@given(st.sampled_from(["rgb24", "gbrp", "pal8", "gray", "gray16le", "rgba"]), sizes)
@rules
def test_rgb_palette_and_grey_become_bt709_from_full_range(pixel_format: str, size: tuple[int, int]) -> None:
    assert rule(pixel_format, size=size) == Colour(BT709, True, "bt709", True)


@given(st.sampled_from(["bt709", "smpte170m", "bt470bg", "fcc", "smpte240m"]))
@rules
def test_full_range_becomes_bt709_out_of_its_own_matrix(matrix: str) -> None:
    assert rule("yuv420p", True, matrix) == Colour(BT709, True, matrix, True)


def test_the_old_jpeg_formats_are_full_range_without_being_told() -> None:
    assert rule("yuvj420p").in_full_range
    assert not rule("yuvj420p", full=False).in_full_range


def test_tags_of_the_source_win_over_what_would_be_assumed() -> None:
    assert rule(matrix="bt709", size=SD).tags.matrix == "bt709"
    assert colour("yuv420p", False, "bt709", "smpte432", None, HD, Fraction(25)).tags.primaries == "smpte432"


@pytest.mark.parametrize("transfer", ["smpte2084", "arib-std-b67"])
@pytest.mark.parametrize("pixel_format", ["yuv420p10le", "yuv444p", "gbrp", "yuvj420p"])
def test_hdr_that_would_have_to_be_converted_is_refused(pixel_format: str, transfer: str) -> None:
    with pytest.raises(UnsupportedSource, match="HDR"):
        rule(pixel_format, None, None if pixel_format == "gbrp" else "bt709", transfer)


def test_a_matrix_that_nobody_can_carry_is_refused() -> None:
    with pytest.raises(UnsupportedSource, match="ictcp"):
        rule(matrix="ictcp")


def test_full_range_in_a_wide_gamut_is_refused() -> None:
    with pytest.raises(UnsupportedSource, match="bt2020nc"):
        rule("yuv420p", True, "bt2020nc")
