"""x265's options, and when a device is to blame for a failed encode."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
from support.recipes import options, recipe, unknown

from common.errors import (
    CinefarmError,
    HardwareFailed,
    InternalFault,
    LeaseLost,
    NoLegalPath,
    ProgramFailed,
    ResourceLimit,
    UnreadableSource,
    UnsupportedSource,
)
from common.media import Scan
from common.recipes import ARCHIVE, Recipe
from workers.ffmpeg.encoders import blaming_device, check_level, device_fault, encoder_of, on_device

TRANSCRIPTS = Path(__file__).parents[2] / "golden" / "hardware"
NVENC = recipe("h264_nvenc", 102)


def params(chosen: Recipe) -> dict[str, str]:
    return dict(pair.split("=") for pair in options(chosen)["x265-params"].split(":"))


@pytest.mark.parametrize("target", [107, 108])
def test_this_ffmpeg_knows_every_option(target: int) -> None:
    assert unknown(recipe("libx265", target)) == []


def test_level_tier_and_closed_groups_are_said_to_x265_itself() -> None:
    said = params(recipe("libx265", 107))
    assert (said["level-idc"], said["high-tier"], said["open-gop"]) == ("5.1", "0", "0")
    assert said["fps"] == "30000/1001"


def test_nothing_in_the_stream_depends_on_the_machine() -> None:
    assert (params(recipe("libx265", 107))["info"], params(recipe("libx265", 107))["const-vbv"]) == ("0", "1")
    assert options(recipe("libx265", 107))["threads"] == "6"


def test_a_picture_beyond_hevc_level_5_1_is_refused_with_its_limit() -> None:
    check_level(3840, 2160, Fraction(60), recipe("libx265", 107))
    with pytest.raises(NoLegalPath, match="sample rate"):
        check_level(3840, 2160, Fraction(65), recipe("libx265", 107))


def test_a_recipe_beyond_the_main_tier_is_refused() -> None:
    with pytest.raises(NoLegalPath, match="bit rate"):
        check_level(64, 64, Fraction(25), recipe("libx265", 107).model_copy(update={"max_rate_kbit": 40_001}))


@pytest.mark.parametrize("encoder", ["libx265", "hevc_nvenc", "hevc_qsv", "hevc_vaapi"])
def test_no_encoder_but_x264_gets_fields(encoder: str) -> None:
    encoder_of(recipe("libx264", 102), Scan.TOP_FIELD_FIRST)
    with pytest.raises(UnsupportedSource, match="interlaced"):
        encoder_of(recipe(encoder, 107), Scan.TOP_FIELD_FIRST)


def test_every_built_in_recipe_is_within_its_own_level_and_has_a_command() -> None:
    for rung in range(len(ARCHIVE.ladder)):
        for built_in in ARCHIVE.recipes(rung):
            encoder_of(built_in, Scan.PROGRESSIVE)
            check_level(1280, 720, Fraction(30), built_in)


@pytest.mark.parametrize("path", sorted(TRANSCRIPTS.iterdir()), ids=lambda path: path.stem)
def test_a_device_that_is_not_there_is_known_by_ffmpegs_own_words(path: Path) -> None:
    code, _, words = path.read_text().partition("\n")
    family = path.stem.partition("-")[0]
    fault = device_fault(recipe(f"h264_{family}", 102), ProgramFailed("ffmpeg", [], int(code), words))
    assert isinstance(fault, HardwareFailed)
    assert f"h264_{family} failed" in fault.message
    assert fault.stderr_tail == words
    assert not fault.retryable
    assert device_fault(recipe("libx264", 102), ProgramFailed("ffmpeg", [], int(code), words)) is None


@pytest.mark.parametrize(
    ("error", "blamed"),
    [
        (ProgramFailed("ffmpeg", [], -11, ""), True),  # a driver or a decoder crashed: the CPU will tell
        (ProgramFailed("ffmpeg", [], 228, "[out#0/mp4 @ 0x1] Error writing trailer: No space left on device"), False),
        (ProgramFailed("ffmpeg", [], 183, "Invalid data found when processing input"), False),
        (ResourceLimit("ffmpeg took longer than its limit of 600 s"), True),
        (InternalFault("the output cannot be read back"), True),
        (UnreadableSource("the source is no video that can be decoded"), False),
        (LeaseLost("given away"), False),
    ],
)
def test_in_doubt_the_device_is_to_blame_but_never_for_source_disk_or_lease(error: CinefarmError, blamed: bool) -> None:
    assert (device_fault(NVENC, error) is not None) is blamed
    assert device_fault(recipe("libx265", 107), error) is None
    with pytest.raises(HardwareFailed if blamed else type(error)), blaming_device(NVENC):
        raise error


def test_devices_are_told_from_the_cpu_by_the_encoders_name() -> None:
    by_device = {built_in.encoder for built_in in ARCHIVE.recipes(0) if on_device(built_in)}
    assert by_device == {f"{codec}_{family}" for codec in ("h264", "hevc") for family in ("nvenc", "qsv", "vaapi")}
