"""Whole instances, written as the farm writes them and read by programs that are not ours."""

from __future__ import annotations

import subprocess
from fractions import Fraction
from pathlib import Path

import av
import imageio_ffmpeg
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.encaps import generate_fragments

from common.dicom import sop_classes
from common.dicom.headers import HeaderRequest, build_header
from common.errors import InternalFault
from common.media import Description, DicomFacts, Kind, VideoStream
from common.orders import Path as Way
from common.orders import Plan
from common.recipes import ARCHIVE
from workers.package import package, source_header, supplied_header

H264, HEVC, MPEG2 = (f"1.2.840.10008.1.2.4.{x}" for x in (102, 107, 100))
FRAMES = 12
ROW = (
    b'{"00100020":{"vr":"LO","Value":["P-1"]},"00100010":{"vr":"PN","Value":[{"Alphabetic":"M\xc3\xbcller^Eva"}]},'
    b'"00080005":{"vr":"CS","Value":["ISO_IR 192"]},"00080020":{"vr":"DA","Value":["20240229"]},'
    b'"00200010":{"vr":"SH","Value":["1"]},"0008002A":{"vr":"DT","Value":["20240229143000.5+0100"]}%s}'
)
MONOCHROME_MPEG2_ERRORS = {
    "Error - Unrecognized enumerated value <MONOCHROME2> for value 1 of attribute <Photometric Interpretation>",
    "Error - May only be 3 for MPEG Transfer Syntax - attribute <SamplesPerPixel>",
}
"""dciodvfy is wrong here: PS3.5 8.2.5 has MONOCHROME2 for single-component data (docs/sop-classes.md)."""

PLAIN_CLASSES = {
    "endoscopic": sop_classes.VIDEO_ENDOSCOPIC,
    "microscopic": sop_classes.VIDEO_MICROSCOPIC,
    "photographic": sop_classes.VIDEO_PHOTOGRAPHIC,
    "secondary capture": sop_classes.MULTIFRAME_TRUE_COLOR_SC,
}


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One small clip a codec: file by transfer syntax UID."""
    folder = tmp_path_factory.mktemp("clips")
    made = {}
    for uid, name, options in (
        (H264, "h264.mp4", "-c:v libx264 -profile:v high -movflags +faststart"),
        (MPEG2, "mpeg2.mpg", "-c:v mpeg2video -f vob"),
        (HEVC, "hevc.mp4", "-c:v libx265 -x265-params log-level=none -tag:v hvc1"),
    ):
        made[uid] = folder / name
        picture = f"testsrc2=size=320x240:rate=25:duration={FRAMES / 25}"
        argv = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i", picture, "-pix_fmt", "yuv420p"]
        subprocess.run([*argv, *options.split(), "-frames:v", str(FRAMES), str(made[uid])], check=True)
    return made


def video_stream(codec: str = "h264", **changes: object) -> VideoStream:
    values = {"codec": codec, "width": 320, "height": 240, "pixel_format": "yuv420p", "frame_rate": Fraction(25)}
    values |= {"frame_count": FRAMES, "duration_ms": FRAMES * 40.0}
    return VideoStream.model_validate(values | changes)


def plain(path: Path, codec: str = "h264") -> Description:
    size = path.stat().st_size
    return Description(kind=Kind.VIDEO, digest="0" * 64, size_bytes=size, container="mp4", video=video_stream(codec))


def plan(way: Way, sop_class: str, syntax: str = H264) -> Plan:
    recipe = ARCHIVE.ladder[0] if way is Way.ENCODE else None
    return Plan(path=way, reason="test", sop_class_uid=sop_class, transfer_syntax_uid=syntax, recipe=recipe)


def chunks(path: Path) -> list[bytes]:
    data = path.read_bytes()
    return [data[start : start + 1000] for start in range(0, len(data), 1000)]


def write(request: HeaderRequest, clip: Path, out: Path) -> Path:
    with out.open("wb") as sink:
        package(sink, build_header(request), request.plan.transfer_syntax_uid, chunks(clip), clip.stat().st_size)
    return out


def plain_request(
    clip: Path, sop_class: str, *, way: Way = Way.REWRAP, syntax: str = H264, codec: str = "h264"
) -> HeaderRequest:
    supplied = supplied_header(ROW % b"")
    described = plain(clip, codec)
    return HeaderRequest(
        None, supplied, described, described, plan(way, sop_class, syntax), "2.25.1", clip.stat().st_size
    )


def dicom_request(source: Path, clip: Path, sop_class: str, **changes: object) -> HeaderRequest:
    """The clip stands for what an encode of ``source`` gave: as many frames as it really holds, at the source's size."""
    header = source_header(source)
    facts = DicomFacts(
        sop_class_uid=header.SOPClassUID,
        sop_instance_uid=header.SOPInstanceUID,
        series_uid=header.SeriesInstanceUID,
        study_uid=header.StudyInstanceUID,
        transfer_syntax_uid=header.file_meta.TransferSyntaxUID,
        photometric=header.PhotometricInterpretation,
        samples_per_pixel=header.SamplesPerPixel,
        rows=header.Rows,
        columns=header.Columns,
        number_of_frames=header.get("NumberOfFrames", 1),
        lossy=header.get("LossyImageCompression") == "01",
    )
    size = source.stat().st_size
    video = video_stream("mjpeg", width=header.Columns, height=header.Rows)
    described = Description(
        kind=Kind.DICOM_FRAMES, digest="0" * 64, size_bytes=size, container="frames", video=video, dicom=facts
    )
    made = plan(Way.ENCODE, sop_class)
    return HeaderRequest(header, None, described, plain(clip), made, "2.25.2", clip.stat().st_size)


def errors_of(path: Path) -> set[str]:
    """What dciodvfy calls an error. It exits 0 all the same, so that its words must be read."""
    finished = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False, errors="replace")
    assert finished.returncode in (0, 1), finished.stderr
    return {line for line in (finished.stdout + finished.stderr).splitlines() if line.startswith("Error")}


@pytest.mark.peer("dciodvfy")
@pytest.mark.parametrize("name", PLAIN_CLASSES)
@pytest.mark.parametrize("way", [Way.REWRAP, Way.ENCODE])
def test_dciodvfy_finds_no_error_in_a_plain_clip(name: str, way: Way, clips: dict[str, Path], tmp_path: Path) -> None:
    out = write(plain_request(clips[H264], PLAIN_CLASSES[name], way=way), clips[H264], tmp_path / "out.dcm")
    assert errors_of(out) == set()


@pytest.mark.peer("dciodvfy")
@pytest.mark.parametrize(
    ("sop_class", "known"),
    [
        (sop_classes.MULTIFRAME_TRUE_COLOR_SC, set()),
        (sop_classes.MULTIFRAME_GRAYSCALE_BYTE_SC, MONOCHROME_MPEG2_ERRORS),
    ],
)
def test_dciodvfy_finds_no_other_error_in_mpeg2_than_its_own_about_monochrome(
    sop_class: str, known: set[str], clips: dict[str, Path], tmp_path: Path
) -> None:
    request = plain_request(clips[MPEG2], sop_class, syntax=MPEG2, codec="mpeg2video")
    assert errors_of(write(request, clips[MPEG2], tmp_path / "out.dcm")) == known


@pytest.mark.peer("dciodvfy")
@pytest.mark.parametrize(
    ("name", "sop_class"),
    [
        ("examples_ybr_color.dcm", sop_classes.ULTRASOUND_MULTIFRAME),
        ("examples_ybr_color.dcm", sop_classes.MULTIFRAME_TRUE_COLOR_SC),
        ("color3d_jpeg_baseline.dcm", sop_classes.ULTRASOUND_MULTIFRAME),
        ("SC_rgb_2frame.dcm", sop_classes.MULTIFRAME_TRUE_COLOR_SC),
        ("emri_small.dcm", sop_classes.MULTIFRAME_TRUE_COLOR_SC),
        ("OBXXXX1A_2frame.dcm", sop_classes.ULTRASOUND_MULTIFRAME),
    ],
)
def test_dciodvfy_finds_no_error_that_the_source_had_not(
    name: str, sop_class: str, clips: dict[str, Path], tmp_path: Path
) -> None:
    source = Path(str(get_testdata_file(name, download=False)))
    out = write(dicom_request(source, clips[H264], sop_class), clips[H264], tmp_path / "out.dcm")
    assert errors_of(out) - errors_of(source) == set()


@pytest.mark.peer("dcmdump")
@pytest.mark.parametrize("uid", [H264, HEVC, MPEG2])
def test_dcmdump_reads_the_instance_to_its_end(uid: str, clips: dict[str, Path], tmp_path: Path) -> None:
    out = write(plain_request(clips[uid], sop_classes.VIDEO_ENDOSCOPIC, syntax=uid), clips[uid], tmp_path / "out.dcm")
    finished = subprocess.run(["dcmdump", str(out)], capture_output=True, text=True, check=True)
    assert "E:" not in finished.stderr
    assert "Müller" in finished.stdout
    assert "SequenceDelimitationItem" in finished.stdout


@pytest.mark.parametrize("uid", [H264, HEVC, MPEG2])
def test_the_stream_taken_out_again_decodes_to_every_frame(uid: str, clips: dict[str, Path], tmp_path: Path) -> None:
    out = write(plain_request(clips[uid], sop_classes.VIDEO_ENDOSCOPIC, syntax=uid), clips[uid], tmp_path / "out.dcm")
    dataset = pydicom.dcmread(out)
    stream = b"".join(generate_fragments(dataset.PixelData))[: dataset.EncapsulatedPixelDataValueTotalLength]
    assert stream == clips[uid].read_bytes()
    taken = tmp_path / "taken"
    taken.write_bytes(stream)
    with av.open(str(taken)) as container:
        assert sum(1 for _ in container.decode(video=0)) == dataset.NumberOfFrames == FRAMES


def test_private_elements_of_the_source_survive_byte_for_byte(clips: dict[str, Path], tmp_path: Path) -> None:
    source = Path(str(get_testdata_file("examples_ybr_color.dcm", download=False)))
    request = dicom_request(source, clips[H264], sop_classes.ULTRASOUND_MULTIFRAME)
    before, after = pydicom.dcmread(source), pydicom.dcmread(write(request, clips[H264], tmp_path / "out.dcm"))
    private = [tag for tag in before.keys() if tag.is_private]  # noqa: SIM118 - raw elements
    assert len(private) == 3
    assert all(after.get_item(tag).value == before.get_item(tag).value for tag in private)


def test_the_same_request_gives_the_same_bytes(clips: dict[str, Path], tmp_path: Path) -> None:
    source = Path(str(get_testdata_file("examples_ybr_color.dcm", download=False)))
    first, second = (
        write(dicom_request(source, clips[H264], sop_classes.ULTRASOUND_MULTIFRAME), clips[H264], tmp_path / name)
        for name in ("first", "second")
    )
    assert first.read_bytes() == second.read_bytes()


def test_a_source_in_implicit_vr_is_written_in_explicit_vr(clips: dict[str, Path], tmp_path: Path) -> None:
    source = Path(str(get_testdata_file("rtdose.dcm", download=False)))
    request = dicom_request(source, clips[H264], sop_classes.MULTIFRAME_TRUE_COLOR_SC)
    dataset = pydicom.dcmread(write(request, clips[H264], tmp_path / "out.dcm"))
    assert not dataset.original_encoding[0]
    assert dataset.PatientName == pydicom.dcmread(source, stop_before_pixels=True).PatientName
    assert dataset.DoseUnits == "RELATIVE"


@pytest.mark.parametrize("text", [b"", b"{", b"[1]", b'{"00100020":{"vr":"LO","Value":3}}', b"\xff"])
def test_a_broken_header_object_is_our_fault(text: bytes) -> None:
    with pytest.raises(InternalFault):
        supplied_header(text)
