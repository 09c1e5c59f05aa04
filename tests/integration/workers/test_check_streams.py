"""Streams that x264, x265, FFmpeg's MPEG-2 encoder and its muxers really write, each legal or wrong in one thing."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import imageio_ffmpeg
import pytest

from common.bitstream import h264
from common.bitstream.nal import annex_b
from common.media import ContentLight, MasteringDisplay
from workers.check import check_file
from workers.describe import describe

SD = "colorprim=smpte170m:transfer=smpte170m:colormatrix=smpte170m"
X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-level", "4.1")
X265 = ("-c:v", "libx265", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-tag:v", "hvc1")
MPEG2 = ("-c:v", "mpeg2video", "-maxrate", "15M", "-bufsize", "1835008", "-b:v", "6M")
NOISE = "nullsrc=s={size}:r=25:d={seconds},geq=random(1)*255:128:128"
FAST = ("-movflags", "+faststart")

Maker = Callable[..., Path]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("streams")


@pytest.fixture(scope="module")
def clip(folder: Path) -> Maker:
    def make(name: str, *options: str, graph: str = "", size: str = "160x120", seconds: float = 0.4) -> Path:
        path = folder / f"{len(list(folder.iterdir()))}-{name}"
        source = (graph or "testsrc2=s={size}:r=25:d={seconds}").format(size=size, seconds=seconds)
        run(*(("-f", "lavfi", "-i", source) if "-i" not in options else ()), *options, path)
        return path

    return make


def run(*words: object) -> None:
    argv = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *map(str, words)]
    subprocess.run(argv, check=True, timeout=120, stderr=subprocess.DEVNULL)


def rules(path: Path, x: str) -> dict[str, str]:
    return {finding.rule: finding.severity for finding in check_file(path, x)}


def test_references_beyond_the_level_are_found(clip: Maker) -> None:
    """3,600 macroblocks: nine frames at level 4.1 (MaxDpbMbs 32,768)."""
    nine, sixteen = (
        clip("a.mp4", *X264, "-x264-params", f"ref={count}:bframes=0:{SD}", size="1280x720", seconds=0.2)
        for count in (9, 16)
    )
    assert "stream.level.pictures" not in rules(nine, ".102")
    assert rules(sixteen, ".102").get("stream.level.pictures") == "error"


@pytest.mark.parametrize(("rate", "buffer"), [(100_000, 78_000), (62_000, 200_000)])
def test_an_hrd_beyond_the_level_is_found(clip: Maker, rate: int, buffer: int) -> None:
    legal, wrong = (
        clip("a.mp4", *X264, "-x264-params", f"nal-hrd=vbr:vbv-maxrate={kbit[0]}:vbv-bufsize={kbit[1]}:{SD}")
        for kbit in ((62_500, 78_125), (rate, buffer))
    )
    assert "stream.level.hrd" not in rules(legal, ".102")
    assert rules(wrong, ".102").get("stream.level.hrd") == "error"


def test_a_picture_larger_than_the_buffer_is_found(clip: Maker) -> None:
    calm = clip("a.mpg", *MPEG2, size="720x576")
    busy = clip("a.mpg", "-c:v", "mpeg2video", "-q:v", "1", "-g", "1", graph=NOISE, size="720x576", seconds=0.2)
    assert "stream.level.peak" not in rules(calm, ".100")
    assert rules(busy, ".100").get("stream.level.peak") == "error"
    assert rules(busy, ".100").get("stream.level.rate") == "warning"


def test_grey_and_rgb_labels_are_read_from_the_sequence_header(clip: Maker) -> None:
    grey = clip("grey.mp4", *X264, "-pix_fmt", "gray")
    labelled = clip("rgb.mp4", *X264, "-x264-params", "colormatrix=GBR")
    assert rules(grey, ".102").get("stream.chroma") == "error"
    assert rules(labelled, ".102").get("stream.matrix") == "error"


def test_x265_is_of_the_high_tier_unless_told(clip: Maker) -> None:
    high, main = (
        clip("a.mp4", *X265, "-x265-params", f"log-level=0:level-idc=51:high-tier={tier}:{SD}", *FAST)
        for tier in (1, 0)
    )
    assert rules(high, ".107") == {"stream.tier": "error"}
    assert rules(main, ".107") == {}


def test_parameter_sets_in_band_are_a_warning(clip: Maker, folder: Path) -> None:
    hvc1 = clip("a.mp4", *X265, "-x265-params", f"log-level=0:high-tier=0:{SD}", *FAST)
    hev1 = folder / "hev1.mp4"
    run("-i", hvc1, "-c", "copy", "-tag:v", "hev1", *FAST, hev1)
    assert rules(hvc1, ".107") == {}
    assert rules(hev1, ".107") == {"container.sample_entry.in_band": "warning"}


def test_hdr10_metadata_is_described_as_x265_was_told(clip: Maker) -> None:
    display = "master-display=G(8500,39850)B(6550,2300)R(35400,14600)WP(15635,16450)L(10000000,1):max-cll=1000,400"
    tags = "colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc"
    options = ("-pix_fmt", "yuv420p10le", "-x265-params", f"log-level=0:level-idc=51:high-tier=0:{tags}")
    graded, bare = clip("a.mp4", *X265, *options[:3], f"{options[3]}:{display}"), clip("a.mp4", *X265, *options)
    video = describe(graded, ".mp4").video
    assert video.mastering_display == MasteringDisplay(
        red=(35400, 14600),
        green=(8500, 39850),
        blue=(6550, 2300),
        white_point=(15635, 16450),
        max_luminance=10_000_000,
        min_luminance=1,
    )
    assert video.content_light == ContentLight(max_cll=1000, max_fall=400)
    assert "stream.colour.mastering" not in rules(graded, ".108")
    assert rules(bare, ".108").get("stream.colour.mastering") == "note"


def test_hdr10_metadata_of_the_container_is_described_too(clip: Maker, folder: Path) -> None:
    """Matroska carries it beside streams that cannot; the units stay those of the SEI message."""
    display = "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50):max-cll=900,300"
    hevc = clip("a.mkv", *X265[:4], "-pix_fmt", "yuv420p10le", "-x265-params", f"log-level=0:{display}")
    vp9 = folder / "a.webm"
    run("-i", hevc, "-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", vp9)
    said, carried = describe(hevc, ".mkv").video, describe(vp9, ".webm").video
    assert carried.coding is None
    assert carried.mastering_display == said.mastering_display is not None
    assert carried.content_light == said.content_light is not None


def test_a_blu_ray_stream_has_no_findings_and_a_plain_one_is_warned_of(clip: Maker) -> None:
    tags = "colorprim=bt709:transfer=bt709:colormatrix=bt709"
    disc = f"slices=4:keyint=24:min-keyint=1:open-gop=1:nal-hrd=vbr:vbv-maxrate=40000:vbv-bufsize=30000:b-pyramid=strict:ref=4:{tags}"
    rate = ("-preset", "veryfast", "-r", "24")
    legal = clip("a.mp4", *X264, *rate, "-bluray-compat", "1", "-x264-params", disc, *FAST, size="1280x720")
    plain = clip(
        "a.mp4", *X264, *rate, "-x264-params", f"bframes=6:b-adapt=0:{tags}", *FAST, size="1280x720", seconds=1.2
    )
    assert rules(legal, ".103") == {}
    assert set(rules(plain, ".103").values()) == {"warning"}
    assert {f"stream.bluray.{name}" for name in ("key_frames", "hrd", "slices", "b_pictures", "delimiters")} <= set(
        rules(plain, ".103")
    )


def test_progressive_25_frames_are_blu_ray_only_when_coded_as_interlaced(clip: Maker) -> None:
    plain, fake = (
        clip("a.mp4", *X264, "-x264-params", f"fake-interlaced={fake}", size="1920x1080", seconds=0.12)
        for fake in (0, 1)
    )
    assert rules(plain, ".103").get("stream.geometry") == "error"
    assert "stream.geometry" not in rules(fake, ".103")


def test_hd_mpeg_2_names_sixteen_by_nine(clip: Maker) -> None:
    options = (
        "-c:v",
        "mpeg2video",
        "-profile:v",
        "main",
        "-level:v",
        "high",
        "-b:v",
        "8M",
        "-maxrate",
        "20M",
        "-bufsize",
        "4M",
    )
    wide, narrow = (
        clip("a.ts", *options, "-bsf:v", f"mpeg2_metadata=display_aspect_ratio={shape}", size="1280x720")
        for shape in ("16/9", "4/3")
    )
    assert rules(narrow, ".101").get("stream.mpeg2.aspect") == "error"
    assert "stream.mpeg2.aspect" not in rules(wide, ".101")


def test_a_change_of_size_in_mid_stream_is_found(clip: Maker, folder: Path) -> None:
    parts = [clip("a.264", *X264, "-x264-params", f"keyint=5:{SD}", size=size) for size in ("160x120", "320x240")]
    joined, twice = folder / "sizes.264", folder / "twice.264"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    twice.write_bytes(2 * parts[0].read_bytes())
    assert rules(joined, ".102").get("stream.sizes") == "error"
    assert "stream.sizes" not in rules(twice, ".102")


def test_a_second_view_makes_stereo_high(clip: Maker, folder: Path) -> None:
    """The base view's own slices stand in for those of a second view: no free encoder writes one."""
    plain = clip("a.264", *X264, "-preset", "veryfast", "-x264-params", SD)
    stereo, lying = folder / "stereo.264", folder / "lying.264"
    stereo.write_bytes(with_second_view(plain.read_bytes(), slices=True))
    lying.write_bytes(with_second_view(plain.read_bytes(), slices=False))
    assert describe(stereo, ".264").video.profile == "Stereo High"
    assert not {"stream.profile", "stream.views"} & set(rules(stereo, ".106"))
    assert rules(lying, ".106").get("stream.views") == "error"
    assert rules(stereo, ".104").get("stream.profile") == "error"


def with_second_view(stream: bytes, *, slices: bool) -> bytes:
    """A subset sequence parameter set of profile 128 behind the first, and NAL units of type 20 behind its slices."""
    out = bytearray()
    for nal in annex_b(stream):
        out += b"\0\0\0\1" + nal
        kind = h264.nal_type(nal)
        if kind == h264.Nal.SPS:
            out += b"\0\0\0\1" + bytes([nal[0] & 0xE0 | h264.Nal.SUBSET_SPS, 128]) + nal[2:]
        elif slices and kind in (h264.Nal.SLICE, h264.Nal.IDR):
            out += b"\0\0\0\1" + bytes([nal[0] & 0xE0 | h264.Nal.SECOND_VIEW, 0x40, 0x00, 0x07]) + nal[1:]
    return bytes(out)


@pytest.mark.parametrize(("kind", "severity"), [(0, "warning"), (3, None), (4, None)])
def test_the_kind_of_frame_packing_is_read(clip: Maker, kind: int, severity: str | None) -> None:
    path = clip("a.mp4", *X264, "-x264-params", f"frame-packing={kind}")
    assert rules(path, ".105").get("stream.packing.kind") == severity
    assert "stream.packing" not in rules(path, ".105")


def test_two_programs_or_time_stamped_packets_are_no_plain_transport_stream(clip: Maker) -> None:
    plain = clip("a.ts", *X264)
    stamped = clip("a.m2ts", *X264, "-f", "mpegts", "-mpegts_m2ts_mode", "1")
    twice = clip("b.ts", *X264, "-map", "0:v", "-map", "0:v", "-program", "title=a:st=0", "-program", "title=b:st=1")
    assert not {rule for rule in rules(plain, ".102") if rule.startswith("container.")}
    assert rules(stamped, ".102").get("container.packets") == "error"
    assert rules(twice, ".102").get("container.programs") == "error"


def test_two_video_tracks_are_found(clip: Maker) -> None:
    found = rules(clip("a.mp4", *X264, *FAST, "-map", "0:v", "-map", "0:v"), ".102")
    assert found.get("container.video_streams") == "error"


def test_mp3_of_variable_rate_is_found(clip: Maker, folder: Path) -> None:
    video = clip("a.mp4", *X264, "-x264-params", SD, seconds=1)
    sound = ("-f", "lavfi", "-i", "aevalsrc=random(0)*t:s=48000:d=1:c=stereo", "-c:v", "copy", "-c:a", "libmp3lame")
    for quality, finding in ((("-q:a", "4"), "error"), (("-b:a", "128k"), None)):
        path = folder / "mp3.mp4"
        run("-i", video, *sound, *quality, *FAST, path)
        assert rules(path, ".102").get("audio.constant") == finding
