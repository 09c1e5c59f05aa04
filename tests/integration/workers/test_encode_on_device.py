"""Device encoders really started on a machine without their device, and what is made of it."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from support.recipes import recipe

from common.errors import HardwareFailed, LeaseLost, ResourceLimit, UnreadableSource
from common.forks import Limits
from common.process import call
from workers.ffmpeg import command

if TYPE_CHECKING:
    from tests.integration.workers.conftest import Studio

CASES = [
    *(("h264_nvenc", 102), ("hevc_nvenc", 107), ("hevc_nvenc", 108), ("h264_qsv", 102), ("hevc_qsv", 107)),
    *(("hevc_qsv", 108), ("h264_vaapi", 104), ("hevc_vaapi", 107), ("hevc_vaapi", 108)),
]
NO_DEVICE = not any(Path(place).exists() for place in ("/dev/dri", "/dev/nvidiactl"))

pytestmark = pytest.mark.skipif(not NO_DEVICE, reason="this machine has a device: the encode may succeed")


@pytest.mark.parametrize(("encoder", "target"), CASES)
def test_an_encoder_without_its_device_fails_as_hardware_and_leaves_nothing(
    studio: Studio, encoder: str, target: int
) -> None:
    with pytest.raises(HardwareFailed, match=encoder) as caught:
        studio.encode(studio.moving(), **recipe(encoder, target).model_dump())
    assert caught.value.stderr_tail
    assert str(studio.folder) not in caught.value.stderr_tail
    assert not (studio.folder / "out.mp4").exists()
    assert list(studio.scratch.iterdir()) == []


def test_reading_the_source_twice_gives_the_same_bytes_and_scores(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = studio.moving("testsrc2=s=320x240:r=25:d=4,format=yuv420p")
    once = studio.encode(clip, name="once.mp4")
    # the graph of a device that decodes, its decoder aside
    monkeypatch.setattr(command, "decode_options", lambda *_, **__: ("-hwaccel", "none"))
    twice = studio.encode(clip, name="twice.mp4")
    assert "-hwaccel" in twice.argv
    assert [word for word in twice.argv if word == "-i"] == ["-i"] * 2
    assert twice.path.read_bytes() == once.path.read_bytes()
    for metric, values in once.scores.items():
        np.testing.assert_array_equal(twice.scores[metric], values)


@pytest.mark.parametrize("family", ["nvenc", "vaapi"])
def test_a_device_that_cannot_decode_either_fails_as_hardware(studio: Studio, family: str) -> None:
    path = studio.make("uhd.mp4", "testsrc2=s=3840x2160:r=5:d=0.4,format=yuv420p", "-c:v", "libx264", "-qp", 40)
    with pytest.raises(HardwareFailed, match=f"hevc_{family}"):
        studio.encode(studio.file(path), **recipe(f"hevc_{family}", 107).model_dump())


def test_a_broken_source_is_not_the_devices_fault(studio: Studio) -> None:
    clip = studio.moving()
    Path(clip.media.args[-1]).write_bytes(b"no video at all" * 100)
    with pytest.raises(UnreadableSource):
        studio.encode(clip, **recipe("h264_nvenc", 102).model_dump())


def test_an_attempt_that_lost_its_lease_is_not_the_devices_fault(studio: Studio) -> None:
    clip = studio.moving("testsrc2=s=640x480:r=25:d=4,format=yuv420p")
    with pytest.raises(LeaseLost):
        studio.encode(clip, cancelled=lambda: True, **recipe("h264_qsv", 102).model_dump())


def test_memory_for_a_driver_is_limited_by_what_is_written_not_by_addresses_reserved() -> None:
    limits = Limits(data_bytes=1 << 30)
    assert call(_reserve, 64 << 30, limits=limits, what="reserving") == (1 << 30, resource.RLIM_INFINITY)
    with pytest.raises(ResourceLimit):
        call(_fill, 2 << 30, limits=limits, what="filling")


def _reserve(size: int) -> tuple[int, int]:
    import mmap

    with mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=mmap.PROT_READ):
        return resource.getrlimit(resource.RLIMIT_DATA)[0], resource.getrlimit(resource.RLIMIT_AS)[0]


def _fill(size: int) -> int:
    return len(bytearray(size))
