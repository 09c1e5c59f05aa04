"""A description by headers and index alone says what a whole reading says, wherever the container knows it."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.desk import ffmpeg

from workers.describe import describe
from workers.describe_quick import QUICK_PACKETS

FRAMES = 3 * QUICK_PACKETS
CLIPS = {
    "a.mp4": ("-c:v", "libx264", "-bf", "2"),
    "a.mkv": ("-c:v", "libx264", "-bf", "2"),
    "a.ts": ("-c:v", "libx264", "-bf", "2"),
    "a.mpg": ("-c:v", "mpeg2video", "-f", "vob"),
    "a.avi": ("-c:v", "mjpeg", "-pix_fmt", "yuvj420p"),
    "a.m2v": ("-c:v", "mpeg2video", "-f", "mpeg2video"),
}


@pytest.mark.parametrize("name", CLIPS)
def test_a_quick_description_agrees_with_a_full_one(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    ffmpeg("-f", "lavfi", "-i", f"testsrc2=s=96x64:r=25:d={FRAMES / 25},format=yuv420p", *CLIPS[name], str(path))
    full, quick = (describe(path, path.suffix, quick=quick) for quick in (False, True))
    exact = name.endswith((".mp4", ".avi"))
    assert full.video.frame_count == FRAMES
    assert quick.video.frame_count == pytest.approx(FRAMES, rel=0 if exact else 0.02 if name != "a.m2v" else 0.3)
    assert quick.video.bit_rate == pytest.approx(full.video.bit_rate, rel=0.05 if exact else 1.0)
    assert quick.digest == ""
    unknown = {"frame_count", "duration_ms", "bit_rate", "coding", "stream_digest"}
    assert quick.video.model_dump(exclude=unknown) == full.video.model_dump(exclude=unknown)
    assert quick.model_dump(exclude={"video", "digest", "notes"}) == full.model_dump(
        exclude={"video", "digest", "notes"}
    )


def test_a_short_clip_is_counted_in_full(tmp_path: Path) -> None:
    path = tmp_path / "short.ts"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=96x64:r=25:d=1,format=yuv420p", "-c:v", "libx264", str(path))
    full, quick = (describe(path, ".ts", quick=quick) for quick in (False, True))
    assert quick.video == full.video.model_copy(update={"stream_digest": None})


def test_a_quick_description_of_a_file_with_mp3_sound_counts_video_packets_alone(tmp_path: Path) -> None:
    path = tmp_path / "loud.ts"
    seconds = str(FRAMES / 25)
    scene = ("-f", "lavfi", "-i", f"testsrc2=s=96x64:r=25:d={seconds},format=yuv420p")
    tone = ("-f", "lavfi", "-i", f"sine=d={seconds}:sample_rate=48000")
    ffmpeg(*scene, *tone, "-c:v", "libx264", "-c:a", "libmp3lame", str(path))
    assert describe(path, ".ts", quick=True).video.frame_count == pytest.approx(FRAMES, rel=0.02)
