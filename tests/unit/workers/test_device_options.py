"""What every device encoder is asked alike: options that this FFmpeg knows, closed groups, tags. Not run on a device."""

from __future__ import annotations

import pytest
from support.recipes import options, recipe, unknown

TARGETS = (("h264", 102), ("h264", 104), ("hevc", 107), ("hevc", 108))
CASES = [(f"{codec}_{family}", target) for family in ("nvenc", "qsv", "vaapi") for codec, target in TARGETS]


@pytest.mark.parametrize(("encoder", "target"), CASES)
def test_this_ffmpeg_knows_every_option_and_every_named_value(encoder: str, target: int) -> None:
    assert unknown(recipe(encoder, target)) == []


@pytest.mark.parametrize(("encoder", "target"), CASES)
def test_groups_are_closed_a_second_long_and_hold_two_b_pictures_in_a_row(encoder: str, target: int) -> None:
    chosen = options(recipe(encoder, target))
    assert (chosen["g"], chosen["bf"], chosen["flags:v"]) == ("29", "2", "+cgop")


@pytest.mark.parametrize(("encoder", "target"), CASES)
def test_the_stream_is_tagged_for_browsers_and_its_colour_is_written(encoder: str, target: int) -> None:
    chosen = options(recipe(encoder, target))
    assert chosen["tag:v"] == ("avc1" if encoder.startswith("h264") else "hvc1")
    assert [chosen[name] for name in ("color_range", "colorspace", "color_primaries", "color_trc")] == [
        *("tv", "bt709", "bt709", "bt709")
    ]
