"""A device's stream that breaks its syntax, or shows a ruined frame, goes to the CPU before any gate sees it."""

from __future__ import annotations

from fractions import Fraction

import pytest
from support.recipes import recipe

from common.errors import HardwareFailed
from common.media import Description, Kind, VideoStream
from common.orders import Path, Plan, Pooled
from common.recipes import ARCHIVE
from workers.device_check import check_device

DECODED_THERE = ("ffmpeg", "-hwaccel", "cuda")


def plan(encoder: str) -> Plan:
    chosen = recipe(encoder, 102)
    return Plan(
        path=Path.ENCODE,
        reason="a test",
        sop_class_uid="1.2",
        transfer_syntax_uid=chosen.transfer_syntax_uid,
        recipe=chosen,
        gate=ARCHIVE.gate,
    )


def stream(**changes: object) -> Description:
    facts: dict[str, object] = {
        "codec": "h264",
        "profile": "High",
        "level_idc": 41,
        "width": 1920,
        "height": 1080,
        "pixel_format": "yuv420p",
        "full_range": False,
        "matrix": "bt709",
        "frame_rate": Fraction(25),
        "frame_count": 100,
        "duration_ms": 4000.0,
    }
    video = VideoStream.model_validate(facts | changes)
    return Description(kind=Kind.VIDEO, digest="0" * 64, size_bytes=1, container="mp4", moov_first=True, video=video)


def scores(worst: float) -> dict[str, Pooled]:
    good = {"psnr_y": 45.0, "psnr_cb": 45.0, "psnr_cr": 45.0, "ssim": 0.99, "vmaf": 97.0}
    even = {name: Pooled(mean=v, harmonic_mean=v, min=v, p1=v, p5=v, worst_second=v) for name, v in good.items()}
    return even | {"psnr_y": even["psnr_y"].model_copy(update={"min": worst})}


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"level_idc": 51}, "level 5.1"), ({"profile": "High 10"}, "High 10"), ({"pixel_aspect": Fraction(2)}, "square")],
)
def test_a_stream_that_is_not_what_was_asked_for_is_the_devices_failure(changes: dict[str, object], words: str) -> None:
    with pytest.raises(HardwareFailed, match=words):
        check_device(plan("h264_nvenc"), stream(**changes), scores(44), ())
    check_device(plan("libx264"), stream(**changes), scores(44), ())  # ours: the conformance check will tell


def test_a_good_stream_passes() -> None:
    check_device(plan("h264_nvenc"), stream(), scores(44), DECODED_THERE)


def test_one_ruined_frame_is_enough_where_the_device_decoded() -> None:
    with pytest.raises(HardwareFailed, match="ruined frame: psnr_y min"):
        check_device(plan("h264_nvenc"), stream(), scores(20), DECODED_THERE)


def test_where_the_cpu_decoded_a_low_frame_is_the_gates_business() -> None:
    check_device(plan("h264_nvenc"), stream(), scores(20), ("ffmpeg",))
