"""Memory is flat in file size: a recording of half a gigabyte passes through processes that stay small."""

from __future__ import annotations

import contextlib
import time

import psutil
import pytest
from support.desk import Desk, ffmpeg

pytestmark = pytest.mark.farm

LIMIT_BYTES = 200_000_000
SOURCE_BYTES = 400_000_000


def long_clip(desk: Desk) -> None:
    """A second of noise at a high rate, repeated without encoding it again."""
    piece = desk.folder / "piece.mp4"
    scene = "testsrc2=s=1280x720:r=25:d=1,noise=alls=80:allf=t,format=yuv420p"
    codec = (
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-profile:v",
        "high",
        "-level:v",
        "4.1",
        "-b:v",
        "40M",
        "-maxrate",
        "45M",
    )
    ffmpeg(
        "-f", "lavfi", "-i", scene, *codec, "-bufsize", "45M", "-color_range", "tv", "-colorspace", "bt709", str(piece)
    )
    repeats = SOURCE_BYTES // piece.stat().st_size
    ffmpeg("-stream_loop", str(repeats), "-i", str(piece), "-c", "copy", str(desk.file("long.mp4")))


def test_a_long_recording_is_rewrapped_in_little_memory(desk: Desk) -> None:
    long_clip(desk)
    process = desk.start("--map", str(desk.mapping()))
    peaks: dict[int, int] = {}
    while process.poll() is None:
        with contextlib.suppress(psutil.Error):
            root = psutil.Process(process.pid)
            for each in (root, *root.children(recursive=True)):
                with contextlib.suppress(psutil.Error):
                    peaks[each.pid] = max(peaks.get(each.pid, 0), each.memory_info().rss)
        time.sleep(0.02)
    run = desk.finish(process)
    assert run.items["long.mp4"]["path"] == "rewrap"
    assert run.items["long.mp4"]["bytes_after"] > SOURCE_BYTES
    assert max(peaks.values()) < LIMIT_BYTES
