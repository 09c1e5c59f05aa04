"""What describe says of plain media, judged by FFmpeg's own full decode and by the settings that made the clip."""

from __future__ import annotations

import hashlib
import re
import resource
import subprocess
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
import pytest

from common.media import Description, Kind, Scan
from common.process import Limits, call
from workers import encode
from workers.describe import describe
from workers.describe_media import read_media

if TYPE_CHECKING:
    from tests.integration.workers.conftest import Studio

PICTURE = "testsrc2=s=160x120:r={rate}:d={seconds}"
X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-bf", "2", "-b_strategy", "0")
INTERLACED = ("-vf", "tinterlace=4,setfield={order}", "-flags", "+ildct+ilme")


def clip(studio: Studio, name: str, *words: str, rate: str = "25", seconds: float = 1) -> Path:
    return studio.make(name, PICTURE.format(rate=rate, seconds=seconds), *words)


def shown(path: Path) -> int:
    """Frames that FFmpeg decodes."""
    argv = [encode.ffmpeg_program(), "-hide_banner", "-i", str(path), "-map", "0:v", "-fps_mode", "passthrough"]
    log = subprocess.run([*argv, "-f", "null", "-"], capture_output=True, text=True, check=True).stderr
    return int(re.findall(r"frame=\s*(\d+)", log)[-1])


def seen(path: Path) -> Description:
    return describe(path, path.suffix)


CLIPS: dict[str, tuple[str, tuple[str, ...], str]] = {
    "progressive MP4 with B-frames": ("a.mp4", X264, "25"),
    "progressive TS": ("a.ts", X264, "30000/1001"),
    "MBAFF in TS": ("a.ts", ("-vf", "tinterlace=4,setfield=tff", "-flags", "+ildct+ilme", *X264), "50"),
    "H.264 in Matroska": ("a.mkv", X264, "24000/1001"),
    "elementary H.264": ("a.264", X264, "25"),
    "QuickTime": ("a.mov", X264, "60000/1001"),
    "fragmented MP4": ("a.mp4", (*X264, "-movflags", "frag_keyframe+empty_moov"), "25"),
    "variable rate": ("a.mkv", ("-vf", "select=mod(n\\,5)-2", "-fps_mode", "vfr", *X264), "25"),
    "HEVC 10 bits": ("a.mp4", ("-c:v", "libx265", "-x265-params", "log-level=0", "-pix_fmt", "yuv420p10le"), "25"),
    "MPEG-2 in PS": ("a.mpg", ("-c:v", "mpeg2video", "-bf", "2"), "25"),
    "interlaced MPEG-2": (
        "a.mpg",
        ("-vf", "tinterlace=4,setfield=bff", "-flags", "+ildct+ilme", "-c:v", "mpeg2video", "-bf", "2"),
        "50",
    ),
    "MPEG-4 in AVI": ("a.avi", ("-c:v", "mpeg4", "-bf", "2"), "25"),
    "Motion JPEG in AVI": (
        "a.avi",
        (
            "-c:v",
            "mjpeg",
        ),
        "25",
    ),
    "open GOPs": ("a.ts", (*X264, "-x264-params", "keyint=8:open-gop=1"), "25"),
}


@pytest.mark.parametrize("what", CLIPS)
def test_frames_are_counted_as_ffmpeg_shows_them(what: str, studio: Studio) -> None:
    name, words, rate = CLIPS[what]
    path = clip(studio, name, *words, rate=rate)
    assert seen(path).video.frame_count == shown(path) > 0


def test_a_plain_mp4_is_described_as_it_was_made(studio: Studio) -> None:
    tags = ("-color_range", "tv", "-bsf:v", "h264_metadata=matrix_coefficients=1:colour_primaries=1")
    tags += ("-x264-params", "level=41:sar=4/3", "-vf", "setsar=4/3")
    path = clip(studio, "a.mp4", "-profile:v", "high", *X264, "-movflags", "+faststart", *tags, "-profile:v", "main")
    found = seen(path)
    video = found.video
    assert (found.kind, found.container, found.moov_first, found.fragmented) == (Kind.VIDEO, "mp4", True, False)
    assert (found.size_bytes, found.digest) == (path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())
    assert (video.codec, video.profile, video.level_idc, video.scan) == ("h264", "Main", 41, Scan.PROGRESSIVE)
    assert (video.width, video.height, video.pixel_aspect) == (160, 120, Fraction(4, 3))
    assert (video.pixel_format, video.bit_depth, video.chroma) == ("yuv420p", 8, "4:2:0")
    assert (video.full_range, video.matrix, video.primaries) == (False, "bt709", "bt709")
    assert (video.frame_rate, video.constant_rate, video.duration_ms) == (25, True, 1000.0)


def test_a_ten_bit_hevc_is_described_as_it_was_made(studio: Studio) -> None:
    video = seen(clip(studio, *CLIPS["HEVC 10 bits"][:1], *CLIPS["HEVC 10 bits"][1])).video
    assert (video.codec, video.profile, video.level_idc) == ("hevc", "Main 10", 30)
    assert (video.pixel_format, video.bit_depth) == ("yuv420p10le", 10)


@pytest.mark.parametrize("name", ["a.mp4", "a.ts", "a.mkv", "a.mov", "a.avi"])
@pytest.mark.parametrize("rate", ["24000/1001", "25", "30000/1001", "60"])
def test_broadcast_rates_are_exact_in_every_container(name: str, rate: str, studio: Studio) -> None:
    words = ("-c:v", "mpeg4") if name == "a.avi" else X264
    video = seen(clip(studio, name, *words, rate=rate)).video
    assert (video.frame_rate, video.constant_rate) == (Fraction(rate), True)


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4"])
def test_a_variable_rate_is_seen_and_its_mean_given(name: str, studio: Studio) -> None:
    words = ("-vf", "select=mod(n\\,5)-2", "-fps_mode", "vfr")
    video = seen(clip(studio, name, *words, *X264)).video
    assert (video.constant_rate, video.frame_count, video.frame_rate) == (False, 20, 20)
    assert video.duration_ms == pytest.approx(1000)


def test_one_dropped_frame_makes_the_rate_variable(studio: Studio) -> None:
    path = clip(studio, "a.mp4", "-vf", "select=n-12", "-fps_mode", "vfr", *X264)
    assert not seen(path).video.constant_rate


@pytest.mark.parametrize("order", ["tff", "bff"])
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a.ts", (*X264, "-x264-params", "{order}=1")),
        ("a.mp4", (*X264, "-x264-params", "{order}=1")),
        ("a.mpg", ("-c:v", "mpeg2video")),
    ],
)
def test_field_order_is_read_from_the_stream(name: str, words: tuple[str, ...], order: str, studio: Studio) -> None:
    options = [word.format(order=order) for word in (*INTERLACED, *words)]
    video = seen(clip(studio, name, *options, rate="50")).video
    assert (video.scan.value, video.frame_rate, video.frame_count) == (order, 25, 25)


def test_progressive_frames_in_an_interlaced_syntax_are_progressive(studio: Studio) -> None:
    path = clip(studio, "a.mp4", *X264, "-x264-params", "fake-interlaced=1")
    assert seen(path).video.scan is Scan.PROGRESSIVE


def test_frames_that_miss_their_key_frame_are_not_counted(studio: Studio) -> None:
    path = clip(studio, "a.ts", *X264, "-x264-params", "keyint=12:open-gop=1", seconds=2)
    path.write_bytes(path.read_bytes()[188 * 40 :])
    found = seen(path)
    assert found.video.frame_count == shown(path) < 50
    assert any("cannot be shown" in note for note in found.notes)
    assert (found.video.frame_rate, found.video.constant_rate) == (25, True)


@pytest.mark.parametrize(("turn", "clockwise"), [("90", 270), ("-90", 90), ("180", 180)])
def test_rotation_is_clockwise(turn: str, clockwise: int, studio: Studio) -> None:
    source = clip(studio, "a.mp4", *X264)
    studio.ffmpeg("-display_rotation", turn, "-i", source, "-c", "copy", studio.folder / "b.mp4")
    video = seen(studio.folder / "b.mp4").video
    assert (video.rotation, video.width, video.height) == (clockwise, 160, 120)


def test_frames_hidden_by_an_edit_list_are_not_counted(studio: Studio) -> None:
    source = clip(studio, "a.mp4", *X264)
    studio.ffmpeg("-ss", "0.4", "-i", source, "-c", "copy", studio.folder / "b.mp4")
    found = seen(studio.folder / "b.mp4")
    assert found.edit_list
    assert found.video.frame_count == shown(studio.folder / "b.mp4") == 15
    assert "edit list drops 10 frames" in found.notes


def test_frame_packing_is_found_in_the_sei(studio: Studio) -> None:
    assert seen(clip(studio, "a.mp4", *X264, "-x264-params", "frame-packing=3")).video.frame_packed
    assert not seen(clip(studio, "b.mp4", *X264)).video.frame_packed


def test_audio_and_other_streams_are_listed(studio: Studio) -> None:
    (studio.folder / "s.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nwords\n")
    sound = ("-f", "lavfi", "-i", "sine=d=1:r=48000", "-i", studio.folder / "s.srt")
    words = ("-map", "0", "-map", "1", "-map", "2", *X264, "-c:a", "aac", "-ac", "2", "-b:a", "96k", "-c:s", "mov_text")
    path = studio.folder / "a.mp4"
    studio.ffmpeg("-f", "lavfi", "-i", PICTURE.format(rate=25, seconds=1), *sound, *words, path)
    found = seen(path)
    (audio,) = found.audio
    assert (audio.codec, audio.sample_rate, audio.channels, found.other_streams) == ("aac", 48000, 2, 1)


def test_bit_rate_is_the_video_streams_alone(studio: Studio) -> None:
    path = clip(studio, "a.mp4", *X264)
    with av.open(str(path)) as container:
        total = sum(packet.size for packet in container.demux(video=0))
    assert seen(path).video.bit_rate == 8 * total


def test_an_elementary_stream_without_timing_says_what_is_assumed(studio: Studio) -> None:
    words = ("-c:v", "libx265", "-x265-params", "log-level=0:no-vui-timing-info=1")
    found = seen(clip(studio, "a.265", *words, rate="10"))
    assert (found.container, found.video.frame_rate) == ("elementary", 25)
    assert found.notes == ("the stream names no frame rate: 25 frames/s assumed",)


def test_memory_is_flat_in_file_size(studio: Studio) -> None:
    raw = ("-c:v", "rawvideo", "-pix_fmt", "yuv420p")
    small = studio.make("a.avi", "color=s=640x480:r=25:d=0.4", *raw)
    big = studio.make("b.avi", "color=s=640x480:r=25:d=16", *raw)
    assert big.stat().st_size > 150_000_000
    peaks = [call(_peak_after, path, limits=Limits(seconds=60), what="a test") for path in (small, big)]
    big.unlink()
    assert peaks[1] - peaks[0] < 30_000_000


def _peak_after(path: Path) -> int:
    describe(path, path.suffix)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mp4", "aac"), ("a.ts", "mp2"), ("a.mkv", "ac3"), ("a.mp4", "mp3"), ("a.mov", "pcm_s16le")]
)
def test_sound_is_timed_against_the_pictures(studio: Studio, name: str, codec: str) -> None:
    path = studio.folder / name
    sound = ("-itsoffset", "0.25", "-f", "lavfi", "-i", "sine=d=1.75:r=48000")
    studio.ffmpeg("-f", "lavfi", "-i", PICTURE.format(rate=25, seconds=2), *sound, *X264, "-c:a", codec, path)
    (audio,) = seen(path).audio
    assert audio.start_ms == pytest.approx(250, abs=25)  # a frame of sound, at most
    assert audio.duration_ms == pytest.approx(1750, abs=60)


def test_a_quick_look_does_not_time_sound(studio: Studio) -> None:
    path = studio.folder / "a.mp4"
    studio.ffmpeg("-f", "lavfi", "-i", PICTURE.format(rate=25, seconds=1), "-f", "lavfi", "-i", "sine=d=1", *X264, path)
    (audio,) = read_media(lambda: path, quick=True).audio
    assert audio.start_ms is None


@pytest.mark.parametrize("name", ["mp4", "mpg", "ts", "avi", "mkv"])
@pytest.mark.parametrize(("encoder", "codec", "rate"), [("mp2", "mp2", 384_000), ("libmp3lame", "mp3", 320_000)])
def test_mpeg_audio_is_what_its_frames_say(studio: Studio, name: str, encoder: str, codec: str, rate: int) -> None:
    """MP4 has one type for all layers, and of an index only the mean rate comes, which was above the highest allowed."""
    sound = ("-f", "lavfi", "-i", "sine=r=48000:d=1", "-ac", "2", "-c:a", encoder, "-b:a", str(rate))
    video = "libx264" if name == "mp4" else "mpeg2video"
    (track,) = seen(clip(studio, f"sound.{name}", *sound, "-c:v", video)).audio
    assert (track.codec, track.bit_rate, track.constant_bit_rate) == (codec, rate, True)


def test_mp3_of_variable_bit_rate_is_seen(studio: Studio) -> None:
    sound = ("-f", "lavfi", "-i", "aevalsrc=gt(t\\,0.5)*random(0):s=48000:d=1", "-c:a", "libmp3lame", "-q:a", "4")
    (track,) = seen(clip(studio, "sound.mp4", *sound, "-c:v", "libx264")).audio
    assert (track.codec, track.constant_bit_rate) == ("mp3", False)
