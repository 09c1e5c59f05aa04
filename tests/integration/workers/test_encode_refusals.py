"""What is refused, what is stopped and what breaks off: each with its reason, and nothing left behind."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
import pytest

from common.errors import (
    LeaseLost,
    NoLegalPath,
    ResourceLimit,
    TruncatedSource,
    UnreadableSource,
    UnsupportedSource,
)
from common.settings import Settings
from workers import encode

if TYPE_CHECKING:
    from tests.integration.workers.conftest import Clip, Studio

BARS = "testsrc2=s=160x120:r=25:d=1,format=yuv420p"
LONG = BARS.replace("d=1", "d=9")
SOURCE = ("-c:v", "libx264", "-preset", "ultrafast", "-qp", 10)


def claimed(studio: Studio, url: str, width: int = 160, height: int = 120, rate: int = 25) -> Clip:
    """A source that is only described."""
    facts: dict[str, object] = {
        "codec": "h264",
        "width": width,
        "height": height,
        "pixel_format": "yuv420p",
        "frame_rate": Fraction(rate),
        "frame_count": 30,
        "duration_ms": 1000.0,
    }
    return studio.clip(("-i", url), None, facts, (), 1, "mp4")


def test_a_picture_beyond_the_level_is_refused_before_anything_runs(studio: Studio) -> None:
    clip = claimed(studio, "/nowhere", 3840, 2160, 30)
    with pytest.raises(NoLegalPath, match=r"32,400 macroblocks is above the 8,192") as caught:
        studio.encode(clip)
    assert "level 5.1" in caught.value.hint


def test_hd_at_thirty_frames_fits_level_4_1_and_at_sixty_does_not(studio: Studio) -> None:
    clip = studio.moving(BARS.replace("160x120", "1920x1088").replace("r=25:d=1", "r=30:d=0.1"))
    assert studio.encode(clip).frame_count == 3
    with pytest.raises(NoLegalPath, match="macroblocks/s"):
        studio.encode(claimed(studio, "/nowhere", 1920, 1080, 60))


def test_a_picture_too_small_for_vmaf_is_refused_before_anything_runs(studio: Studio) -> None:
    clip = claimed(studio, "/nowhere", 64, 16, 30)
    with pytest.raises(UnsupportedSource, match="64×16 is too small to measure"):
        studio.encode(clip)


def test_the_smallest_picture_is_measured(studio: Studio) -> None:
    frames = np.random.default_rng(2).integers(0, 255, (3, 32, 32), np.uint8)
    assert studio.encode(studio.raw(frames, "gray")).frame_count == 3


def test_a_crash_while_decoding_costs_the_source(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    program = studio.folder / "crashing-ffmpeg"
    program.write_text("#!/bin/sh\nkill -SEGV $$\n")
    program.chmod(0o755)
    clip = studio.moving()
    monkeypatch.setattr(encode, "ffmpeg_program", lambda: str(program))
    with pytest.raises(UnreadableSource, match="crashed"):
        studio.encode(clip)


@pytest.mark.parametrize("count", [40, 24])
def test_a_decoder_that_gives_other_frames_than_were_counted_found_an_unreadable_source(
    studio: Studio, count: int
) -> None:
    clip = studio.file(studio.make("source.mp4", BARS, *SOURCE), count=count)
    with pytest.raises(UnreadableSource, match=f"counted as {count} frames, and its decoder gave 25"):
        studio.encode(clip)
    assert list(studio.folder.glob("out*")) + list(studio.scratch.iterdir()) == []


def test_a_source_that_is_no_video_at_all_is_unreadable(studio: Studio) -> None:
    path = studio.folder / "noise.mp4"
    path.write_bytes(np.random.default_rng(3).bytes(100_000))
    with pytest.raises(UnreadableSource):
        studio.encode(claimed(studio, str(path)))


def test_a_source_whose_slices_are_ruined_is_unreadable(studio: Studio) -> None:
    path = studio.make("source.mp4", BARS, *SOURCE)
    clip, data = studio.file(path), bytearray(path.read_bytes())
    start = data.index(b"mdat") + 4
    data[start : start + 60_000] = np.random.default_rng(3).bytes(60_000)
    path.write_bytes(data)
    with pytest.raises(UnreadableSource):
        studio.encode(clip)


def test_a_feed_that_breaks_off_is_the_truncated_source_it_says(studio: Studio) -> None:
    whole = studio.raw(np.zeros((20, 96, 96, 3), np.uint8), "rgb24")

    def feed(stream: BinaryIO) -> None:
        stream.write(bytes(96 * 96 * 3 * 5))
        raise TruncatedSource("it ends at frame 5")

    clip = studio.clip(whole.media.args, feed, whole.description.video.model_dump(), (), 1, "frames")
    with pytest.raises(TruncatedSource, match="frame 5"):
        studio.encode(clip)


def test_a_cancelled_encode_leaves_nothing(studio: Studio) -> None:
    with pytest.raises(LeaseLost):
        studio.encode(studio.moving(LONG), cancelled=lambda: True)
    assert list(studio.folder.glob("out*")) + list(studio.scratch.iterdir()) == []


def test_an_encode_that_takes_too_long_meets_its_limit(studio: Studio) -> None:
    studio.settings = Settings(transcode_minimum_seconds=0.01, transcode_speed_floor=10_000)
    with pytest.raises(ResourceLimit, match="took longer"):
        studio.encode(studio.moving(LONG), preset="veryslow")
    assert list(studio.scratch.iterdir()) == []


def test_a_playlist_that_poses_as_a_video_opens_no_other_file(studio: Studio) -> None:
    studio.make("other.mp4", BARS, *SOURCE)
    path = studio.folder / "list.mp4"
    path.write_text("ffconcat version 1.0\nfile other.mp4\n")
    with pytest.raises(UnreadableSource):
        studio.encode(claimed(studio, str(path)))
