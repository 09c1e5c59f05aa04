"""vaapi: every option is one that this FFmpeg knows, and says what the transfer syntax asks. Not run on a device."""

from __future__ import annotations

import pytest
from support.recipes import options, recipe

from workers.ffmpeg.encoders import ENCODERS

CASES = [("h264_vaapi", 102), ("h264_vaapi", 104), ("hevc_vaapi", 107), ("hevc_vaapi", 108)]


@pytest.mark.parametrize(("encoder", "target"), CASES)
def test_quality_is_constant_below_the_peak_rate_and_under_the_buffer_of_the_level(encoder: str, target: int) -> None:
    asked = recipe(encoder, target)
    chosen = options(asked)
    assert (chosen["rc_mode"], chosen["global_quality:v"]) == ("QVBR", str(asked.crf))
    assert int(chosen["b:v"][:-1]) < int(chosen["maxrate"][:-1]) == asked.max_rate_kbit
    assert chosen["bufsize"] == f"{asked.buffer_kbit}k"


def test_profile_level_and_tier_are_said() -> None:
    said = [(o["profile:v"], o["level:v"], o.get("tier")) for o in (options(recipe(*case)) for case in CASES)]
    assert said == [("high", "4.1", None), ("high", "4.2", None), ("main", "5.1", "main"), ("main10", "5.1", "main")]


def test_every_intra_picture_is_an_idr_picture_and_no_b_picture_a_reference() -> None:
    chosen = options(recipe("h264_vaapi", 102))
    assert (chosen["idr_interval"], chosen["b_depth"]) == ("0", "1")


def test_pictures_are_interleaved_and_uploaded_to_the_render_node() -> None:
    encoder = ENCODERS["hevc_vaapi"]
    assert [step.name for step in encoder.upload(8)] == ["scale", "format", "hwupload"]
    assert encoder.opens_render_node
