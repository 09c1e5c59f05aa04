"""What describe refuses, and as what."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pydicom.data import get_testdata_file

from common.errors import InputError, NotVideo, ResourceLimit, TruncatedSource, UnreadableSource
from common.media import Description
from common.settings import Settings
from workers.describe import describe, describe_sandboxed

if TYPE_CHECKING:
    from tests.integration.workers.conftest import Studio

PICTURE = "testsrc2=s=160x120:r={rate}:d={seconds}"
X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-bf", "2", "-b_strategy", "0")
H264 = "1.2.840.10008.1.2.4.102"


def clip(studio: Studio, name: str, *words: str, rate: str = "25", seconds: float = 1) -> Path:
    return studio.make(name, PICTURE.format(rate=rate, seconds=seconds), *words)


def seen(path: Path) -> Description:
    return describe(path, path.suffix)


def sample(name: str) -> Path:
    path = get_testdata_file(name, download=False)
    assert isinstance(path, str)
    return Path(path)


@pytest.mark.parametrize(
    ("hint", "content", "error", "words"),
    [
        (".mp4", b"", UnreadableSource, "empty"),
        (".txt", b"patient list\n" * 50, NotVideo, "text"),
        (".png", b"\x89PNG\r\n\x1a\n" + bytes(500), NotVideo, "PNG"),
        (".jpg", b"\xff\xd8\xff\xe0" + bytes(500), NotVideo, "JPEG"),
        (".docx", b"PK\3\4" + bytes(500), NotVideo, "ZIP"),
        ("", bytes(range(256)) * 20, NotVideo, "data of an unknown kind"),
        (".dcm", b"patient list\n" * 50, UnreadableSource, "ends in .dcm, but the content is no DICOM: it is text"),
        (".mp4", b"patient list\n" * 50, UnreadableSource, "ends in .mp4, but the content is no video"),
        ("AVI", b"%PDF-1.7" + bytes(500), UnreadableSource, "it is a PDF document"),
        (".mpg", bytes(5000), UnreadableSource, "no video"),
    ],
)
def test_other_content_gets_its_verdict(
    hint: str, content: bytes, error: type[InputError], words: str, tmp_path: Path
) -> None:
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(error, match=words):
        describe(tmp_path / "a", hint)


@pytest.mark.parametrize("format_name", ["hls", "concat", "ffconcat", "sdp"])
def test_a_playlist_never_opens_another_file(format_name: str, studio: Studio) -> None:
    clip(studio, "a.ts", *X264)
    lists = {
        "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\na.ts\n#EXT-X-ENDLIST\n",
        "concat": "file 'a.ts'\n",
        "ffconcat": "ffconcat version 1.0\nfile a.ts\n",
        "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 9 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
    }
    path = studio.folder / "list.mp4"
    path.write_text(lists[format_name])
    with pytest.raises(UnreadableSource, match="no video"):
        seen(path)


def test_audio_alone_is_no_video(studio: Studio) -> None:
    path = studio.make("a.m4a", "sine=d=1", "-c:a", "aac")
    with pytest.raises(NotVideo, match="without video"):
        seen(path)


def test_a_folder_or_a_missing_file_is_unreadable(tmp_path: Path) -> None:
    with pytest.raises(UnreadableSource, match="no file"):
        describe(tmp_path, "")
    with pytest.raises(UnreadableSource, match="cannot be opened"):
        describe_sandboxed(tmp_path / "gone.mp4", ".mp4", Settings())


@pytest.mark.parametrize("front", [True, False])
def test_an_mp4_cut_in_half_is_truncated(front: bool, studio: Studio) -> None:
    path = clip(studio, "a.mp4", *X264, *(("-movflags", "+faststart") if front else ()))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(TruncatedSource):
        seen(path)


def test_an_mp4_without_its_index_is_truncated(studio: Studio) -> None:
    path = clip(studio, "a.mp4", *X264)
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.index(b"moov") - 4])
    with pytest.raises(TruncatedSource, match="no index"):
        seen(path)


@pytest.mark.parametrize(("name", "codec"), [("a.avi", ("-c:v", "mpeg4")), ("a.mkv", X264)])
def test_a_container_shorter_than_it_says_is_truncated(name: str, codec: tuple[str, ...], studio: Studio) -> None:
    path = clip(studio, name, *codec)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(TruncatedSource, match="header says"):
        seen(path)


def test_a_transport_stream_cut_short_is_taken_as_it_is(studio: Studio) -> None:
    path = clip(studio, "a.ts", *X264)
    path.write_bytes(path.read_bytes()[:20_000])
    assert 0 < seen(path).video.frame_count < 25


def test_the_sandbox_gives_the_same_answer_and_the_same_errors(studio: Studio) -> None:
    path = clip(studio, "a.mp4", *X264)
    assert describe_sandboxed(path, ".mp4", Settings()) == seen(path)
    with pytest.raises(NotVideo, match="single frame"):
        describe_sandboxed(sample("CT_small.dcm"), ".dcm", Settings())


def test_the_sandbox_ends_what_takes_too_long(studio: Studio) -> None:
    path = clip(studio, "a.mp4", *X264)
    with pytest.raises(ResourceLimit):
        describe_sandboxed(path, ".mp4", Settings(describe_seconds=0.001))
