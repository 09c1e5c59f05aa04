"""qsv: every option is one that this FFmpeg knows, and says what the transfer syntax asks. Not run on a device."""

from __future__ import annotations

import pytest
from support.recipes import options, recipe

from workers.ffmpeg.encoders import ENCODERS

CASES = [("h264_qsv", 102), ("h264_qsv", 104), ("hevc_qsv", 107), ("hevc_qsv", 108)]


@pytest.mark.parametrize(("encoder", "target"), CASES)
def test_quality_mean_and_a_higher_peak_make_ffmpeg_choose_qvbr(encoder: str, target: int) -> None:
    asked = recipe(encoder, target)
    chosen = options(asked)
    assert chosen["global_quality:v"] == str(asked.crf)
    assert 0 < int(chosen["b:v"][:-1]) < int(chosen["maxrate"][:-1]) == asked.max_rate_kbit
    assert "look_ahead" not in chosen  # it would choose LA_ICQ, which knows no peak


def test_the_level_is_a_plain_number_and_the_tier_is_main() -> None:
    said = [(o["profile:v"], o["level:v"], o.get("tier")) for o in (options(recipe(*case)) for case in CASES)]
    assert said == [("high", "41", None), ("high", "42", None), ("main", "51", "main"), ("main10", "51", "main")]


def test_pictures_keep_their_types_and_every_intra_picture_is_an_idr_picture() -> None:
    chosen = options(recipe("hevc_qsv", 107))
    assert (chosen["adaptive_i"], chosen["adaptive_b"], chosen["forced_idr"], chosen["idr_interval"]) == tuple("0010")


def test_samples_are_only_interleaved() -> None:
    forms = [dict(ENCODERS["hevc_qsv"].upload(bits)[-1].options)["pix_fmts"] for bits in (8, 10)]
    assert forms == ["nv12", "p010le"]
