"""What a finished encode holds, read back from the file."""

from __future__ import annotations

import json
import shutil
import subprocess
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np
import pytest
from av.video.frame import PictureType

from common.media import AudioStream, Scan
from common.recipes import ARCHIVE, Audio
from workers import encode
from workers.ffmpeg.parse import parse_scores
from workers.quality import judge, pool

if TYPE_CHECKING:
    from tests.integration.workers.conftest import Clip, Studio

BARS = "testsrc2=s=160x120:r=25:d=1,format=yuv420p"
NOISE = "testsrc2=s=160x120:r=25:d=1,noise=alls=60:allf=t:all_seed=1,format=yuv420p"
SOURCE = ("-c:v", "libx264", "-preset", "ultrafast", "-qp", 10)


def nal_types(studio: Studio, path: Path) -> list[int]:
    stream = studio.ffmpeg("-i", path, "-c", "copy", "-bsf:v", "h264_mp4toannexb", "-f", "h264", "-")
    return [unit[0] & 31 for unit in stream.split(b"\0\0\1")[1:]]


def picture_types(path: Path) -> list[str]:
    with av.open(str(path)) as container:
        return [PictureType(frame.pict_type).name for frame in container.decode(video=0)]


def times(path: Path) -> list[float]:
    with av.open(str(path)) as container:
        return [float(frame.time or 0) for frame in container.decode(video=0)]


def test_the_stream_is_high_profile_level_4_1_with_every_tag_written(studio: Studio) -> None:
    studio.encode(studio.moving())
    with av.open(str(studio.folder / "out.mp4")) as container:
        context = container.streams.video[0].codec_context
        _, profile, _, level = (context.extradata or b"")[:4]  # avcC, ISO/IEC 14496-15 5.3.3.1
        assert (profile, level) == (100, 41)
        assert (context.name, context.profile, context.pix_fmt) == ("h264", "High", "yuv420p")
        assert (int(context.color_range), int(context.colorspace)) == (1, 5)  # limited; bt470bg: SD at 25 frames/s
        assert (int(context.color_primaries), int(context.color_trc)) == (5, 6)
        assert context.sample_aspect_ratio == 1


@pytest.mark.peer("mediainfo")
def test_mediainfo_reads_the_same_profile_and_no_more_references_than_the_level_holds(studio: Studio) -> None:
    studio.encode(studio.moving(BARS.replace("160x120", "1920x1080").replace("d=1", "d=0.2")), preset="slow")
    program = str(shutil.which("mediainfo"))
    text = subprocess.run([program, "--Output=JSON", studio.folder / "out.mp4"], capture_output=True, check=True).stdout
    track = next(one for one in json.loads(text)["media"]["track"] if one["@type"] == "Video")
    assert (track["Format_Profile"], track["Format_Level"], track["ScanType"]) == ("High", "4.1", "Progressive")
    assert int(track["Format_Settings_RefFrames"]) == 4  # 32768 / (120 × 68): the preset asked for 5


def test_groups_are_closed_and_as_long_as_the_recipe_says(studio: Studio) -> None:
    studio.encode(studio.moving(), gop_seconds=0.4)
    types = picture_types(studio.folder / "out.mp4")
    assert [n for n, kind in enumerate(types) if kind == "I"] == [0, 10, 20]
    assert nal_types(studio, studio.folder / "out.mp4").count(5) == 3  # as many IDR slices
    assert max(map(len, "".join(types).replace("I", "P").split("P"))) == 2  # B pictures in a row


def test_every_intra_picture_of_a_scene_full_of_cuts_is_an_idr_picture(studio: Studio) -> None:
    rows, columns = np.mgrid[:96, :96]
    waves = np.random.default_rng(1).uniform(-0.3, 0.3, (12, 2))
    scenes = [127 + 120 * np.sin(across * columns + down * rows) for across, down in waves]
    frames = np.repeat(np.array(scenes, np.uint8), 2, axis=0)  # a cut after every second picture
    studio.encode(studio.raw(frames, "gray"), gop_seconds=4)
    types = picture_types(studio.folder / "out.mp4")
    assert types.count("I") > 6
    assert nal_types(studio, studio.folder / "out.mp4").count(5) == types.count("I")


def test_the_index_lies_before_the_pictures(studio: Studio) -> None:
    studio.encode(studio.moving())
    data = (studio.folder / "out.mp4").read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")


def test_nothing_but_the_output_stays_behind(studio: Studio) -> None:
    done = studio.encode(studio.moving())
    assert list(studio.scratch.iterdir()) == []
    assert done.path == studio.folder / "out.mp4"
    assert done.size_bytes == done.path.stat().st_size


def test_no_metadata_of_the_source_comes_along(studio: Studio) -> None:
    path = studio.make("source.mp4", BARS, *SOURCE, "-metadata", "title=DOE^JANE", "-metadata", "comment=born 1970")
    studio.encode(studio.file(path))
    data = (studio.folder / "out.mp4").read_bytes()
    assert b"DOE" not in data
    assert b"1970" not in data


def test_the_same_order_gives_the_same_bytes(studio: Studio) -> None:
    clip = studio.moving()
    first, second = studio.encode(clip, name="a.mp4"), studio.encode(clip, name="b.mp4")
    assert first.path.read_bytes() == second.path.read_bytes()


def test_scores_equal_those_of_measuring_the_finished_file(studio: Studio) -> None:
    clip = studio.moving(NOISE)
    done = studio.encode(clip)
    log = studio.folder / "second.csv"
    metrics = f"libvmaf=feature='name=psnr|name=float_ssim':log_fmt=csv:log_path={log}"
    studio.ffmpeg(*clip.media.args, "-i", done.path, "-lavfi", f"[1:v][0:v]{metrics}", "-f", "null", "-")
    expected = parse_scores(log, 25)
    assert set(done.scores) == {"psnr_y", "psnr_cb", "psnr_cr", "ssim", "vmaf"}
    for metric, values in expected.items():
        np.testing.assert_allclose(done.scores[metric], values, atol=1e-3)


def test_every_rung_of_a_ladder_scores_better_on_noise(studio: Studio) -> None:
    clip = studio.moving(NOISE)
    means = [pool(studio.encode(clip, crf=rung.crf).scores, Fraction(25))["psnr_y"].mean for rung in ARCHIVE.ladder]
    assert means == sorted(means)
    assert means[-1] - means[0] > 10


def test_noise_fails_the_first_rung_of_the_archive_gate_and_passes_the_last(studio: Studio) -> None:
    clip = studio.moving(NOISE)
    first, last = (
        judge(pool(studio.encode(clip, crf=ARCHIVE.ladder[n].crf).scores, Fraction(25)), ARCHIVE.gate) for n in (0, -1)
    )
    assert not first.passed
    assert last.passed, last.misses


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_clip_of_a_frame_or_two_is_encoded_and_measured(studio: Studio, count: int) -> None:
    frames = np.random.default_rng(2).integers(0, 255, (count, 96, 96, 3), np.uint8)
    done = studio.encode(studio.raw(frames, "rgb24"))
    assert done.frame_count == count
    assert {len(values) for values in done.scores.values()} == {count}


def test_frame_rate_and_start_are_exact(studio: Studio) -> None:
    clip = studio.moving(BARS.replace("r=25", "r=30000/1001"))
    studio.encode(clip)
    shown = times(studio.folder / "out.mp4")
    assert shown == pytest.approx([n * 1001 / 30000 for n in range(30)], abs=1e-6)


def test_a_variable_rate_keeps_its_own_times(studio: Studio) -> None:
    path = studio.make("vfr.mkv", BARS, "-vf", "select='not(eq(mod(n,5),2))'", "-fps_mode", "vfr", *SOURCE)
    studio.encode(studio.file(path, constant_rate=False, frame_rate=Fraction(20)))
    wanted = times(path)
    assert times(studio.folder / "out.mp4") == pytest.approx([time - wanted[0] for time in wanted], abs=1 / 90000)


@pytest.mark.parametrize(("scan", "letter"), [(Scan.TOP_FIELD_FIRST, "tff"), (Scan.BOTTOM_FIELD_FIRST, "bff")])
def test_interlaced_video_stays_interlaced_with_its_field_order(studio: Studio, scan: Scan, letter: str) -> None:
    fields = f"testsrc2=s=160x128:r=50:d=1,format=yuv420p,interlace=scan={letter}"
    words = ("-flags:v", "+ildct+ilme", "-c:v", "mpeg2video", "-q:v", 2)
    studio.encode(studio.file(studio.make("source.mpg", fields, *words), scan=scan))
    with av.open(str(studio.folder / "out.mp4")) as container:
        frames = list(container.decode(video=0))
    assert len(frames) == 25
    assert {frame.interlaced_frame for frame in frames} == {True}
    idet = f"select='gt(n,0)',idet,metadata=print:key=lavfi.idet.multiple.{letter}:file=-"
    text = studio.ffmpeg("-i", studio.folder / "out.mp4", "-vf", idet, "-f", "null", "-").decode()
    assert float(text.rsplit("=", 1)[1]) > 20  # the fields themselves move in that order


def test_audio_is_stripped_unless_it_is_asked_for(studio: Studio) -> None:
    clip = sounding(studio, "libmp3lame", 44_100, 1)
    studio.encode(clip)
    with av.open(str(studio.folder / "out.mp4")) as container:
        assert not container.streams.audio


@pytest.mark.parametrize(
    ("encoder", "rate", "channels", "expected"),
    [
        ("libmp3lame", 44_100, 1, ("mp3float", 44_100, 1)),
        ("aac", 44_100, 1, ("aac", 48_000, 2)),
        ("aac", 48_000, 2, ("aac", 48_000, 2)),
    ],
)
def test_kept_audio_is_copied_when_legal_and_made_legal_when_not(
    studio: Studio, encoder: str, rate: int, channels: int, expected: tuple[str, int, int]
) -> None:
    studio.encode(sounding(studio, encoder, rate, channels), audio=Audio.KEEP)
    with av.open(str(studio.folder / "out.mp4")) as container:
        sound = container.streams.audio[0]
        assert (sound.codec_context.name, sound.rate, sound.channels) == expected
        assert container.streams.video[0].frames == 25


def sounding(studio: Studio, encoder: str, rate: int, channels: int) -> Clip:
    path = studio.folder / "sound.mp4"
    tone = ("-f", "lavfi", "-i", f"sine=f=440:r={rate}:d=1", "-ac", channels, "-c:a", encoder)
    studio.ffmpeg("-f", "lavfi", "-i", BARS, *tone, *SOURCE, path)
    codec = "mp3" if encoder == "libmp3lame" else encoder
    return studio.file(path, audio=(AudioStream(codec=codec, sample_rate=rate, channels=channels, bit_rate=128_000),))


def test_the_command_on_the_record_names_no_place_of_this_machine(studio: Studio) -> None:
    done = studio.encode(studio.moving())
    assert str(studio.folder) not in " ".join(done.argv)
    assert done.argv[0] == "ffmpeg"
    assert encode.tool_versions()["ffmpeg"].startswith("n")
    assert done.encoder_version.startswith("x264 core ")
