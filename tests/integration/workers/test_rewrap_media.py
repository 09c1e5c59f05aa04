"""A rewrap gives a new container and the very same bitstream."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import av
import pytest

from common.errors import InternalFault, LeaseLost, UnreadableSource
from common.media import AudioStream, Scan
from common.orders import Path as Way
from common.recipes import Audio
from workers import encode

if TYPE_CHECKING:
    from tests.integration.workers.conftest import Clip, Studio

BARS = "testsrc2=s=160x120:r=25:d=1,format=yuv420p"
TO_ANNEX_B = {"h264": "h264_mp4toannexb", "hevc": "hevc_mp4toannexb", "mpeg2video": "null"}
SOUND = AudioStream(codec="aac", sample_rate=44_100, channels=1, bit_rate=64_000)


def elementary(studio: Studio, path: Path, codec: str) -> str:
    """SHA-256 of the video's elementary stream. Between NAL units the zeros are the container's (H.264 B.1)."""
    words = ("-map", "0:V:0", "-c", "copy", "-bsf:v", TO_ANNEX_B[codec], "-f", codec)
    units = studio.ffmpeg("-i", path, *words, "-").split(b"\0\0\1")
    return hashlib.sha256(b"\0\0\1".join(unit.rstrip(b"\0") for unit in units)).hexdigest()


def source(studio: Studio, name: str, *words: object, **changes: object) -> Clip:
    path = studio.folder / name
    tone = ("-f", "lavfi", "-i", "sine=f=440:r=44100:d=1", "-ac", 1, "-c:a", "aac" if name != "s.mpg" else "mp2")
    studio.ffmpeg("-f", "lavfi", "-i", BARS, *tone, *words, path)
    return studio.file(path, audio=(SOUND,), **changes)


@pytest.mark.parametrize("name", ["s.mp4", "s.mkv", "s.ts", "s.mov"])
def test_h264_of_any_container_becomes_an_mp4_with_the_same_bits(studio: Studio, name: str) -> None:
    clip = source(studio, name, "-c:v", "libx264", "-bf", 2)
    done = studio.rewrap(clip)
    assert done.frame_count == 25
    assert elementary(studio, done.path, "h264") == elementary(studio, studio.folder / name, "h264")
    data = done.path.read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")
    assert b"avc1" in data
    assert list(studio.scratch.iterdir()) == []


def test_hevc_is_tagged_hvc1(studio: Studio) -> None:
    done = studio.rewrap(source(studio, "s.mkv", "-c:v", "libx265", "-x265-params", "log-level=none"))
    assert elementary(studio, done.path, "hevc") == elementary(studio, studio.folder / "s.mkv", "hevc")
    assert b"hvc1" in done.path.read_bytes()


@pytest.mark.parametrize(("flags", "scan"), [("", Scan.PROGRESSIVE), ("+ildct+ilme", Scan.TOP_FIELD_FIRST)])
def test_mpeg2_becomes_a_transport_stream_with_the_same_bits(studio: Studio, flags: str, scan: Scan) -> None:
    words = ("-c:v", "mpeg2video", "-q:v", 4, *(("-flags:v", flags) if flags else ()))
    done = studio.rewrap(source(studio, "s.mpg", *words, scan=scan))
    assert done.frame_count == 25
    assert elementary(studio, done.path, "mpeg2video") == elementary(studio, studio.folder / "s.mpg", "mpeg2video")
    assert done.path.read_bytes()[0] == 0x47  # sync byte of ISO/IEC 13818-1


def test_audio_is_dropped_unless_it_is_kept(studio: Studio) -> None:
    clip = source(studio, "s.mp4", "-c:v", "libx264")
    assert sounds(studio.rewrap(clip).path) == []
    assert sounds(studio.rewrap(clip, audio=Audio.KEEP).path) == [("aac", 44_100, 1)]


def test_reaudio_makes_the_sound_legal_and_leaves_the_pictures(studio: Studio) -> None:
    clip = source(studio, "s.ts", "-c:v", "libx264", "-bf", 2)
    done = studio.rewrap(clip, Way.REAUDIO, Audio.KEEP)
    assert sounds(done.path) == [("aac", 48_000, 2)]
    assert elementary(studio, done.path, "h264") == elementary(studio, studio.folder / "s.ts", "h264")


def test_mp2_of_a_program_stream_becomes_aac_beside_h264(studio: Studio) -> None:
    clip = source(studio, "s.mkv", "-c:v", "libx264", "-c:a", "mp2")
    assert sounds(studio.rewrap(clip, Way.REAUDIO, Audio.KEEP).path) == [("aac", 48_000, 2)]


def sounds(path: Path) -> list[tuple[str, int, int]]:
    with av.open(str(path)) as container:
        return [(one.codec_context.name, one.rate, one.channels) for one in container.streams.audio]


def test_no_name_in_a_container_comes_along(studio: Studio) -> None:
    clip = source(studio, "s.mp4", "-c:v", "libx264", "-metadata", "title=DOE^JANE", "-metadata:s:v", "title=DOE^JANE")
    assert b"DOE" not in studio.rewrap(clip).path.read_bytes()


def test_a_stream_with_other_frames_than_described_is_not_taken(studio: Studio) -> None:
    path = studio.make("s.mp4", BARS, "-c:v", "libx264")
    with pytest.raises(InternalFault, match="holds 25 frames of 160×120, not 24 of 160×120"):
        studio.rewrap(studio.file(path, count=24))
    assert list(studio.folder.glob("out*")) + list(studio.scratch.iterdir()) == []


def test_a_file_of_noise_is_unreadable(studio: Studio) -> None:
    path = studio.make("s.mp4", BARS, "-c:v", "libx264")
    clip = studio.file(path)
    path.write_bytes(bytes(range(256)) * 100)
    with pytest.raises(UnreadableSource):
        studio.rewrap(clip)


def test_a_cancelled_rewrap_leaves_nothing(studio: Studio) -> None:
    clip = source(studio, "s.mp4", "-c:v", "libx264")
    with pytest.raises(LeaseLost):
        encode.rewrap(
            clip.media,
            clip.description,
            studio.plan(Way.REWRAP),
            studio.folder / "out",
            studio.scratch,
            settings=studio.settings,
            cancelled=lambda: True,
        )
    assert list(studio.folder.glob("out*")) + list(studio.scratch.iterdir()) == []


def test_a_bare_mpeg_2_stream_gets_the_times_at_which_its_frames_are_shown(studio: Studio) -> None:
    path = studio.make("s.m2v", BARS, "-c:v", "mpeg2video", "-bf", 2, "-f", "mpeg2video")
    clip = studio.file(path)
    done = studio.rewrap(replace(clip, description=clip.description.model_copy(update={"container": "elementary"})))
    with av.open(str(done.path)) as container:
        times = [packet.pts for packet in container.demux(video=0) if packet.size]
    assert times != sorted(times)  # there are B-frames
    assert len(set(times)) == 25
    assert elementary(studio, done.path, "mpeg2video") == elementary(studio, path, "mpeg2video")


def test_sound_made_anew_beside_mpeg_2_is_mp3(studio: Studio) -> None:
    clip = source(studio, "s.mpg", "-c:v", "mpeg2video", "-q:v", 4)
    done = studio.rewrap(clip, Way.REAUDIO, Audio.KEEP)
    assert sounds(done.path) in ([("mp3", 48_000, 2)], [("mp3float", 48_000, 2)])
    assert elementary(studio, done.path, "mpeg2video") == elementary(studio, studio.folder / "s.mpg", "mpeg2video")
