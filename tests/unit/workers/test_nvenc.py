"""nvenc: every option is one that this FFmpeg knows, and says what the transfer syntax asks. Not run on a device."""

from __future__ import annotations

from fractions import Fraction

import pytest
from support.recipes import options, recipe

from common.media import VideoStream
from workers.ffmpeg.conversion import Picture, conversion
from workers.ffmpeg.device_decode import decode_options
from workers.ffmpeg.encoders import ENCODERS

CASES = [("h264_nvenc", 102), ("h264_nvenc", 104), ("hevc_nvenc", 107), ("hevc_nvenc", 108)]


@pytest.mark.parametrize(("encoder", "target"), CASES)
def test_quality_is_constant_below_the_peak_rate_of_the_level(encoder: str, target: int) -> None:
    asked = recipe(encoder, target)
    chosen = options(asked)
    assert (chosen["rc"], chosen["cq"], chosen["b:v"]) == ("vbr", str(asked.crf), "0")
    assert chosen["maxrate"] == ("50000k" if target < 107 else "40000k")


def test_scene_cuts_put_no_plain_intra_picture_into_a_group() -> None:
    chosen = options(recipe("h264_nvenc", 102))
    assert (chosen["no-scenecut"], chosen["forced-idr"], chosen["b_adapt"]) == ("1", "1", "0")


def test_profile_level_and_tier_are_said() -> None:
    said = [(o["profile:v"], o["level:v"], o.get("tier")) for o in (options(recipe(*case)) for case in CASES)]
    assert said == [("high", "4.1", None), ("high", "4.2", None), ("main", "5.1", "main"), ("main10", "5.1", "main")]


def test_eight_bits_go_in_as_they_are_and_ten_as_p010() -> None:
    upload = ENCODERS["hevc_nvenc"].upload
    assert upload(8) == ()
    assert [step.name for step in upload(10)] == ["scale", "format"]
    assert dict(upload(10)[1].options) == {"pix_fmts": "p010le"}


UHD = VideoStream(
    codec="h264",
    width=3840,
    height=2160,
    pixel_format="yuv420p",
    frame_rate=Fraction(30),
    frame_count=9,
    duration_ms=300,
)


def decoding(
    encoder: str = "hevc_nvenc", *, location: str = "/a", sound: bool = False, **changes: object
) -> tuple[str, ...]:
    video = UHD.model_copy(update=changes)
    return decode_options(recipe(encoder, 107), video, conversion(Picture.of(video)), location, sound=sound)


def test_large_pictures_that_stay_as_they_are_may_be_decoded_on_the_device() -> None:
    assert decoding()[:4] == ("-hwaccel", "cuda", "-hwaccel_output_format", "cuda")
    assert decoding("hevc_vaapi")[:4] == ("-hwaccel", "vaapi", "-hwaccel_output_format", "vaapi")
    assert decoding(codec="hevc") == decoding()


@pytest.mark.parametrize(
    "changes",
    [
        {"encoder": "hevc_qsv"},
        {"encoder": "libx265"},
        {"location": "pipe:0"},
        {"location": "https://store/key"},
        {"sound": True},
        {"codec": "mpeg2video"},
        {"width": 1920, "height": 1080},
        {"pixel_format": "yuv420p10le"},
        {"pixel_format": "yuvj420p", "full_range": True},
        {"pixel_aspect": Fraction(4, 3)},
        {"rotation": 180},
        {"height": 2161},
    ],
)
def test_all_else_is_decoded_on_the_cpu(changes: dict[str, object]) -> None:
    assert decoding(**changes) == ()  # type: ignore[arg-type]
