"""What describe says of DICOM files."""

from __future__ import annotations

import hashlib
import struct
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset

from common.dicom.encapsulation import write_instance
from common.errors import InputError, NotVideo, TruncatedSource, UnreadableSource, UnsupportedSource
from common.media import Description, Kind
from workers.describe import describe

if TYPE_CHECKING:
    from tests.integration.workers.conftest import Studio

PICTURE = "testsrc2=s=160x120:r={rate}:d={seconds}"
X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-bf", "2", "-b_strategy", "0")
H264 = "1.2.840.10008.1.2.4.102"
ENDOSCOPY = "1.2.840.10008.5.1.4.1.1.77.1.1.1"


def clip(studio: Studio, name: str, *words: str, rate: str = "25", seconds: float = 1) -> Path:
    return studio.make(name, PICTURE.format(rate=rate, seconds=seconds), *words)


def seen(path: Path) -> Description:
    return describe(path, path.suffix)


def sample(name: str) -> Path:
    path = get_testdata_file(name, download=False)
    assert isinstance(path, str)
    return Path(path)


def instance(path: Path, stream: bytes, syntax: str = H264, *, frames: int = 25, named_length: bool = True) -> Path:
    """A DICOM video by our own writer; without ``named_length`` (7FE0,0003) is taken out again."""
    header = Dataset()
    header.SOPClassUID, header.SOPInstanceUID = ENDOSCOPY, "2.25.1"
    header.SeriesInstanceUID, header.StudyInstanceUID, header.Modality = "2.25.2", "2.25.3", "ES"
    header.NumberOfFrames, header.Rows, header.Columns = frames, 120, 160
    header.SamplesPerPixel, header.PhotometricInterpretation = 3, "YBR_PARTIAL_420"
    header.BitsAllocated = header.BitsStored = 8
    header.LossyImageCompression = "01"
    with path.open("wb") as out:
        write_instance(out, header, syntax, [stream], len(stream))
    if not named_length:
        element = struct.pack("<HH2sHIQ", 0x7FE0, 0x0003, b"UV", 0, 8, len(stream))
        path.write_bytes(path.read_bytes().replace(element, b""))
    return path


def test_dicom_video_is_described_through_its_fragment(studio: Studio) -> None:
    stream = clip(studio, "a.mp4", *X264, "-movflags", "+faststart").read_bytes()
    path = instance(studio.folder / "a.dcm", stream)
    found, plain = seen(path), seen(studio.folder / "a.mp4")
    assert (found.kind, found.container, found.video) == (Kind.DICOM_VIDEO, "mp4", plain.video)
    assert found.digest == hashlib.sha256(path.read_bytes()).hexdigest()
    facts = found.dicom
    assert facts is not None
    assert (facts.stream_length, facts.fragment_count, facts.transfer_syntax_uid) == (len(stream), 1, H264)
    assert (facts.modality, facts.rows, facts.number_of_frames, facts.lossy) == ("ES", 120, 25, True)
    assert path.read_bytes()[facts.pixel_data_offset :][:4] == b"\xe0\x7f\x10\x00"
    assert found.notes == ()


def test_several_fragments_are_one_stream(studio: Studio) -> None:
    stream = clip(studio, "a.ts", *X264).read_bytes()
    whole = instance(studio.folder / "a.dcm", stream).read_bytes()
    at = whole.index(stream) - 8
    cut = 10_000
    items = b"".join(struct.pack("<HHI", 0xFFFE, 0xE000, len(part)) + part for part in (stream[:cut], stream[cut:]))
    path = studio.folder / "b.dcm"
    path.write_bytes(whole[:at] + items + whole[at + 8 + len(stream) + len(stream) % 2 :])
    found = seen(path)
    assert (found.video.frame_count, found.container) == (25, "mpegts")
    assert found.dicom is not None
    assert (found.dicom.fragment_count, found.dicom.stream_length) == (2, len(stream))


@pytest.mark.parametrize(("name", "extra"), [("a.mp4", 0), ("a.mp4", 1), ("a.ts", 0)])
def test_a_pad_byte_is_cut_off_where_the_container_proves_it(name: str, extra: int, studio: Studio) -> None:
    stream = clip(studio, name, *X264).read_bytes()
    if name == "a.mp4":  # an even and an odd length, by a free box
        stream += struct.pack(">I4s", 8 + (len(stream) + extra) % 2, b"free") + bytes((len(stream) + extra) % 2)
    found = seen(instance(studio.folder / "a.dcm", stream, named_length=False))
    assert found.dicom is not None
    assert found.dicom.stream_length == len(stream)


def test_a_wrong_frame_number_in_the_header_is_noted(studio: Studio) -> None:
    stream = clip(studio, "a.ts", *X264).read_bytes()
    found = seen(instance(studio.folder / "a.dcm", stream, frames=24))
    assert found.video.frame_count == 25
    assert found.notes == ("the header says 24 frames, the stream holds 25",)


def test_a_video_syntax_around_something_else_is_unreadable(tmp_path: Path) -> None:
    with pytest.raises(UnreadableSource):
        seen(instance(tmp_path / "a.dcm", b"no video " * 500))


def test_a_multi_frame_jpeg_is_a_sequence_of_images() -> None:
    found = seen(sample("examples_ybr_color.dcm"))
    video = found.video
    assert (found.kind, found.container, video.codec) == (Kind.DICOM_FRAMES, "frames", "mjpeg")
    assert (video.frame_count, video.width, video.height, video.constant_rate) == (30, 320, 240, True)
    assert (video.pixel_format, video.chroma, video.full_range) == ("yuvj420p", "4:2:0", True)
    assert found.dicom is not None
    assert (found.dicom.fragment_count, found.dicom.photometric) == (30, "YBR_FULL_422")


def test_native_frames_without_timing_say_what_is_assumed() -> None:
    found = seen(sample("emri_small.dcm"))
    video = found.video
    assert (video.codec, video.frame_count, video.chroma, video.bit_depth) == ("rawvideo", 10, "4:0:0", 12)
    assert (video.frame_rate, found.notes) == (25, ("no timing in the header: 25 frames/s assumed",))
    assert found.dicom is not None
    assert found.dicom.fragment_count is None


def test_pixel_aspect_of_dicom_has_the_height_first(tmp_path: Path) -> None:
    from pydicom import dcmread

    dataset = dcmread(sample("examples_ybr_color.dcm"))
    dataset.PixelAspectRatio = ["4", "5"]
    dataset.save_as(tmp_path / "a.dcm")
    assert seen(tmp_path / "a.dcm").video.pixel_aspect == Fraction(5, 4)


def test_more_frames_announced_than_there_are_is_truncated(tmp_path: Path) -> None:
    from pydicom import dcmread

    dataset = dcmread(sample("examples_ybr_color.dcm"))
    dataset.NumberOfFrames = 31
    dataset.save_as(tmp_path / "a.dcm")
    with pytest.raises(TruncatedSource, match="31 frames"):
        seen(tmp_path / "a.dcm")


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("CT_small.dcm", NotVideo),  # a single frame
        ("DICOMDIR", NotVideo),
        ("reportsi.dcm", NotVideo),  # a structured report
        ("UN_sequence.dcm", NotVideo),
        ("MR_truncated.dcm", TruncatedSource),
        ("rtplan_truncated.dcm", TruncatedSource),
        ("emri_small_jpeg_2k_lossless_too_short.dcm", TruncatedSource),
        ("image_dfl.dcm", UnsupportedSource),
    ],
)
def test_dicom_that_is_no_video_gets_its_verdict(name: str, error: type[InputError]) -> None:
    with pytest.raises(error):
        seen(sample(name))
