"""Requests for headers, made by hand: of a plain clip with a mapping row, and of an ultrasound loop."""

from __future__ import annotations

from fractions import Fraction

from pydicom.dataset import Dataset

from common.dicom import sop_classes
from common.dicom.headers import HeaderRequest, build_header
from common.media import Description, DicomFacts, Kind, VideoStream
from common.orders import Path, Plan
from common.recipes import ARCHIVE

H264, MPEG2, STEREO, HEVC_10 = (f"1.2.840.10008.1.2.4.{x}" for x in (102, 100, 105, 108))
JPEG, NATIVE, IMPLICIT = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"
ENDOSCOPIC, TRUE_COLOR = sop_classes.VIDEO_ENDOSCOPIC, sop_classes.MULTIFRAME_TRUE_COLOR_SC
GREY, ULTRASOUND = sop_classes.MULTIFRAME_GRAYSCALE_BYTE_SC, sop_classes.ULTRASOUND_MULTIFRAME
XA = "1.2.840.10008.5.1.4.1.1.12.1"
FRAMES = 10


def video(**changes: object) -> VideoStream:
    values: dict[str, object] = {"codec": "h264", "width": 320, "height": 240, "pixel_format": "yuv420p"}
    values |= {"frame_rate": Fraction(25), "frame_count": FRAMES, "duration_ms": 400.0}
    return VideoStream.model_validate(values | changes)


def described(stream: VideoStream, dicom: DicomFacts | None = None, *, size: int = 100_000) -> Description:
    kind = Kind.VIDEO if dicom is None else Kind.DICOM_FRAMES if dicom.stream_length is None else Kind.DICOM_VIDEO
    return Description(kind=kind, digest="0" * 64, size_bytes=size, container="mp4", video=stream, dicom=dicom)


def plan(path: Path, sop_class: str, syntax: str = H264) -> Plan:
    recipe = ARCHIVE.ladder[0] if path is Path.ENCODE else None
    return Plan(path=path, reason="test", sop_class_uid=sop_class, transfer_syntax_uid=syntax, recipe=recipe)


def of_clip(
    path: Path = Path.REWRAP, sop_class: str = ENDOSCOPIC, syntax: str = H264, codec: str = "h264", **row: object
) -> Dataset:
    """The header of a plain clip with a mapping row."""
    supplied = Dataset()
    supplied.PatientID = "P-1"
    for keyword, value in row.items():
        setattr(supplied, keyword, value)
    source, output = described(video(codec=codec)), described(video())
    return build_header(
        HeaderRequest(None, supplied, source, output, plan(path, sop_class, syntax), "2.25.7", video_bytes=50_000)
    )


def loop(**values: object) -> Dataset:
    """The header of an ultrasound loop."""
    source = Dataset()
    source.SOPClassUID, source.SOPInstanceUID = ULTRASOUND, "1.2.3.4"
    source.StudyInstanceUID, source.SeriesInstanceUID, source.Modality = "1.2.3", "1.2.3.1", "US"
    source.PatientID, source.ImageType = "P-1", ["ORIGINAL", "PRIMARY", "CARDIAC", "0001"]
    source.NumberOfFrames, source.Rows, source.Columns = FRAMES, 240, 320
    source.PhotometricInterpretation, source.SamplesPerPixel, source.FrameTime = "RGB", 3, "40"
    for keyword, value in values.items():
        setattr(source, keyword, value)
    return source


def of_loop(
    source: Dataset,
    *,
    path: Path = Path.ENCODE,
    sop_class: str = ULTRASOUND,
    syntax: str = H264,
    coded_in: str = NATIVE,
    output: VideoStream | None = None,
    size: int = 100_000,
) -> Dataset:
    """The header of what becomes of a DICOM source."""
    facts = DicomFacts(
        sop_class_uid=str(source.SOPClassUID),
        sop_instance_uid=str(source.SOPInstanceUID),
        series_uid=str(source.SeriesInstanceUID),
        study_uid=str(source.StudyInstanceUID),
        transfer_syntax_uid=coded_in,
        photometric=source.PhotometricInterpretation,
        samples_per_pixel=source.SamplesPerPixel,
        rows=source.Rows,
        columns=source.Columns,
        number_of_frames=FRAMES,
        lossy=source.get("LossyImageCompression") == "01",
        stream_length=None if path is Path.ENCODE else 90_000,
    )
    before = described(video(codec="rawvideo", width=source.Columns, height=source.Rows), facts, size=size)
    after = described(output or video())
    return build_header(
        HeaderRequest(source, None, before, after, plan(path, sop_class, syntax), "2.25.7", video_bytes=50_000)
    )


def codes(header: Dataset, sequence: str) -> list[str]:
    return [item.CodeValue for item in header[sequence]]
