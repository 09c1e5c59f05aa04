"""Video in plain files and in DICOM fragments: what FFmpeg gets to see is the stream, whole and alone."""

from __future__ import annotations

import hashlib
import struct
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest

from common.errors import TruncatedSource, UnsupportedSource
from common.ffmpeg import ffmpeg_program
from common.media import Description, DicomFacts, Kind, VideoStream
from common.process import Limits, run
from workers.ffmpeg.command import remux_command
from workers.sources import MediaInput, open_source

FRAMES = 20
LIMITS = Limits(seconds=60, memory_bytes=8 << 30)


def ffmpeg(*words: str, media: MediaInput | None = None) -> None:
    argv = [ffmpeg_program(), "-hide_banner", "-nostdin", "-loglevel", "error", "-y", *words]
    run(argv, name="ffmpeg", limits=LIMITS, feed=media.feed if media else None)


def clip(path: Path, *options: str) -> Path:
    ffmpeg("-f", "lavfi", "-i", "testsrc2=160x120:rate=25", "-frames:v", str(FRAMES), *options, str(path))
    return path


H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
MPEG2 = ("-c:v", "mpeg2video", "-pix_fmt", "yuv420p")


def described(kind: Kind, container: str, codec: str = "h264", dicom: DicomFacts | None = None) -> Description:
    video = VideoStream(
        codec=codec,
        width=160,
        height=120,
        pixel_format="yuv420p",
        frame_rate=Fraction(25),
        frame_count=FRAMES,
        duration_ms=800,
        full_range=False,
        matrix="bt709",
    )
    return Description(kind=kind, digest="0" * 64, size_bytes=1, container=container, video=video, dicom=dicom)


def encapsulated(path: Path, stream: bytes, cuts: tuple[int, ...]) -> DicomFacts:
    """Pixel data of the stream cut at ``cuts``, odd tail padded, among bytes that are none of it."""
    edges = (0, *cuts, len(stream))
    body = b"".join(
        struct.pack("<HHI", 0xFFFE, 0xE000, len(part) + len(part) % 2) + part + b"\0" * (len(part) % 2)
        for part in (stream[a:b] for a, b in pairwise(edges))
    )
    before = b"\x47" * 301  # sync bytes that would mislead a demuxer
    tag = struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, 0xFFFFFFFF) + struct.pack("<HHI", 0xFFFE, 0xE000, 0)
    path.write_bytes(before + tag + body + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0) + b"\x47" * 301)
    return DicomFacts(
        sop_class_uid="1.2",
        sop_instance_uid="1.2.3",
        series_uid="1",
        study_uid="1",
        transfer_syntax_uid="1.2.840.10008.1.2.4.102.1",
        pixel_data_offset=len(before),
        stream_length=len(stream),
    )


def pictures(media: MediaInput, folder: Path) -> str:
    """SHA-256 over all decoded pictures, with their number."""
    target = folder / "pictures.yuv"
    ffmpeg(*media.args, "-map", "V:0", "-fps_mode", "passthrough", "-f", "rawvideo", str(target), media=media)
    assert target.stat().st_size == FRAMES * 160 * 120 * 3 // 2
    return hashlib.sha256(target.read_bytes()).hexdigest()


def plain(path: Path, container: str, codec: str = "h264") -> MediaInput:
    return open_source(path, described(Kind.VIDEO, container, codec), path.parent)


@pytest.mark.parametrize(
    ("name", "container", "codec", "options"),
    [
        ("x.mp4", "mp4", "h264", H264),
        ("x.ts", "mpegts", "h264", H264),
        ("x.mpg", "mpegps", "mpeg2video", (*MPEG2, "-f", "vob")),
        ("x.avi", "avi", "mjpeg", ("-c:v", "mjpeg", "-pix_fmt", "yuvj420p")),
        ("x.mkv", "matroska", "h264", H264),
        ("x.264", "elementary", "h264", H264),
        ("x.m2v", "elementary", "mpeg2video", MPEG2),
    ],
)
def test_every_frame_of_a_plain_file_comes_out(
    tmp_path: Path, name: str, container: str, codec: str, options: tuple[str, ...]
) -> None:
    media = plain(clip(tmp_path / name, *options), container, codec)
    assert (media.width, media.height, media.frame_count, media.frame_rate) == (160, 120, FRAMES, 25)
    assert (media.pixel_format, media.full_range, media.matrix) == ("yuv420p", False, "bt709")
    assert (media.seekable, media.feed) == (True, None)
    assert pictures(media, tmp_path)


@pytest.mark.parametrize("name", ["a:b.mp4", "concat:x|y.mp4", "100%d.mp4", "-i.mp4", "ü ,,:.mp4"])
def test_a_file_name_is_never_taken_for_something_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    clip(tmp_path / "plain.mp4", *H264).rename(tmp_path / name)
    media = open_source(Path(name), described(Kind.VIDEO, "mp4"), tmp_path)
    assert pictures(media, tmp_path)


@pytest.mark.parametrize("container", ["concat", "hls", "image2", "sdp", "lavfi", ""])
def test_containers_that_name_other_files_are_refused(tmp_path: Path, container: str) -> None:
    with pytest.raises(UnsupportedSource):
        open_source(tmp_path / "x", described(Kind.VIDEO, container), tmp_path)


def test_a_list_of_files_under_a_video_name_opens_none_of_them(tmp_path: Path) -> None:
    clip(tmp_path / "other.mp4", *H264)
    (tmp_path / "x.mp4").write_text("ffconcat version 1.0\nfile other.mp4\n")
    media = plain(tmp_path / "x.mp4", "mp4")
    with pytest.raises(Exception, match="Invalid data"):
        pictures(media, tmp_path)


@pytest.mark.parametrize("container", ["mp4", "mpegts"])
@pytest.mark.parametrize("folder", ["plain", "od,d:: |name"])
def test_one_fragment_is_read_in_place(tmp_path: Path, container: str, folder: str) -> None:
    (tmp_path / folder).mkdir()
    source = clip(tmp_path / ("x.mp4" if container == "mp4" else "x.ts"), *H264)
    stream = source.read_bytes() + b"\xff" * (source.stat().st_size % 2 == 0 and container == "mpegts")
    dicom = tmp_path / folder / "x.dcm"
    facts = encapsulated(dicom, stream, ())
    media = open_source(dicom, described(Kind.DICOM_VIDEO, container, dicom=facts), tmp_path / folder)
    assert (media.seekable, media.feed) == (True, None)
    assert pictures(media, tmp_path) == pictures(plain(source, container), tmp_path)
    assert list((tmp_path / folder).iterdir()) == [dicom]


def test_fragments_of_a_transport_stream_are_piped(tmp_path: Path) -> None:
    source = clip(tmp_path / "x.ts", *H264)
    stream = source.read_bytes()
    dicom = tmp_path / "x.dcm"
    facts = encapsulated(dicom, stream, (1000, 1002, 5000, len(stream) // 2 * 2 - 2))
    media = open_source(dicom, described(Kind.DICOM_VIDEO, "mpegts", dicom=facts), tmp_path)
    assert (media.seekable, media.feed is None) == (False, False)
    assert pictures(media, tmp_path) == pictures(plain(source, "mpegts"), tmp_path)


def test_fragments_of_an_mp4_with_its_index_last_are_joined_in_scratch(tmp_path: Path) -> None:
    source = clip(tmp_path / "x.mp4", *H264)
    stream = source.read_bytes()
    assert stream.index(b"moov") > stream.index(b"mdat")
    dicom, scratch = tmp_path / "x.dcm", tmp_path / "scratch"
    scratch.mkdir()
    facts = encapsulated(dicom, stream, (len(stream) // 4 * 2,))
    media = open_source(dicom, described(Kind.DICOM_VIDEO, "mp4", dicom=facts), scratch)
    assert media.seekable
    assert pictures(media, tmp_path) == pictures(plain(source, "mp4"), tmp_path)
    assert [path.read_bytes() for path in scratch.iterdir()] == [stream]


def test_fragments_shorter_than_the_stream_are_truncation(tmp_path: Path) -> None:
    dicom = tmp_path / "x.dcm"
    facts = encapsulated(dicom, bytes(5000), ()).model_copy(update={"stream_length": 5002})
    with pytest.raises(TruncatedSource, match="5002"):
        open_source(dicom, described(Kind.DICOM_VIDEO, "mpegts", dicom=facts), tmp_path)


def test_a_remux_command_takes_every_kind_of_input(tmp_path: Path) -> None:
    """ffmpeg-python builds the real command lines from our options: none may get lost or change its meaning."""
    from common.recipes import Audio

    source = clip(tmp_path / "x.ts", *H264)
    dicom = tmp_path / "x.dcm"
    stream = source.read_bytes()
    for cuts in ((), (1000,)):
        description = described(Kind.DICOM_VIDEO, "mpegts", dicom=encapsulated(dicom, stream, cuts))
        media = open_source(dicom, description, tmp_path)
        output = tmp_path / f"out{len(cuts)}.mp4"
        argv = remux_command(ffmpeg_program(), media, description, Audio.STRIP, output=output)
        run(argv, name="ffmpeg", limits=LIMITS, feed=media.feed, on_line=lambda _: None)
        assert pictures(plain(output, "mp4"), tmp_path) == pictures(plain(source, "mpegts"), tmp_path)
