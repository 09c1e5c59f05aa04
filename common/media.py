"""What a source is: the description that a worker reads from the bytes and the planner decides by.

All values are frozen and cross the broker as JSON, so none of them may hold patient data: UIDs are the only identifiers.
"""

from __future__ import annotations

from enum import StrEnum
from fractions import Fraction
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer


def _to_fraction(value: object) -> Fraction:
    return value if isinstance(value, Fraction) else Fraction(str(value))


Ratio = Annotated[Fraction, BeforeValidator(_to_fraction), PlainSerializer(str, return_type=str)]
"""An exact ratio; JSON form ``"30000/1001"``."""


class Value(BaseModel):
    """Base of all values: frozen, and unknown fields are an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Kind(StrEnum):
    """How the pixels lie in the source."""

    VIDEO = "video"  # a plain media file: MP4, MPEG-TS, MPEG-PS, AVI, Matroska ...
    DICOM_VIDEO = "dicom-video"  # DICOM whose pixel data is one video bitstream
    DICOM_FRAMES = "dicom-frames"  # DICOM multi-frame whose pixel data is a sequence of images


class Scan(StrEnum):
    """Scan type of the frames."""

    PROGRESSIVE = "progressive"
    TOP_FIELD_FIRST = "tff"
    BOTTOM_FIELD_FIRST = "bff"


class Steady(Value):
    """A constant rate at which every frame of a variable one can be shown, some of them more than once."""

    rate: Ratio = Field(description="frames per second")
    frames: int = Field(gt=0, description="at that rate, repeated ones included")
    hold: int = Field(default=1, ge=1, description="how many of them show the last picture")


class VideoStream(Value):
    """The one video stream (the first that is no attached picture)."""

    codec: str = Field(description="FFmpeg's codec name: h264, hevc, mpeg2video, mjpeg, rawvideo, jpeg2000 ...")
    profile: str | None = Field(default=None, description="profile in the standard's words: High, Main, Main 10 ...")
    level_idc: int | None = Field(default=None, description="as coded: 41 for H.264 4.1, 153 for HEVC 5.1")
    width: int = Field(gt=0, description="pixels shown, after cropping")
    height: int = Field(gt=0, description="pixels shown, after cropping")
    pixel_aspect: Ratio = Field(default=Fraction(1), description="sample aspect ratio, width/height of a pixel")
    rotation: int = Field(default=0, description="clockwise degrees the player is asked to turn: 0, 90, 180, 270")
    mirrored: bool = Field(default=False, description="the player is asked to swap left and right, before it turns")
    pixel_format: str = Field(description="FFmpeg's name of the decoded format: yuv420p, yuvj420p, rgb24, gray ...")
    bit_depth: int = Field(default=8, description="bits per sample")
    chroma: str = Field(default="4:2:0", description="4:2:0, 4:2:2, 4:4:4 or 4:0:0 (monochrome)")
    full_range: bool | None = Field(default=None, description="True: 0–255, False: 16–235, None: untagged")
    matrix: str | None = Field(default=None, description="bt709, smpte170m, bt470bg ...; None: untagged")
    primaries: str | None = None
    transfer: str | None = None
    scan: Scan = Scan.PROGRESSIVE
    frame_rate: Ratio = Field(description="frames (not fields) per second")
    constant_rate: bool = Field(default=True, description="every frame lasts equally long, within the clock's rounding")
    frame_count: int = Field(gt=0, description="counted, never estimated from duration")
    duration_ms: float = Field(ge=0)
    bit_rate: int | None = Field(default=None, description="bit/s of the video stream alone")
    frame_packed: bool = Field(default=False, description="stereo: a frame packing arrangement SEI is present")
    steady: Steady | None = Field(default=None, description="of a variable rate: what it can be made")
    hidden_frames: int = Field(
        default=0, description="coded but not shown: an edit list hides them, or their key frame is missing"
    )
    trimmed: bool = Field(default=False, description="the stream crops its left side, which FFmpeg does only when told")


class AudioStream(Value):
    """One audio stream."""

    codec: str
    sample_rate: int = Field(description="Hz")
    channels: int
    bit_rate: int | None = Field(default=None, description="bit/s")


class DicomFacts(Value):
    """What the planner must know of a DICOM header; no patient data."""

    sop_class_uid: str
    sop_instance_uid: str
    series_uid: str
    study_uid: str
    transfer_syntax_uid: str
    modality: str = ""
    photometric: str = ""
    samples_per_pixel: int = 1
    planar_configuration: int = 0
    bits_allocated: int = 8
    bits_stored: int = 8
    pixel_representation: int = 0
    rows: int = 0
    columns: int = 0
    number_of_frames: int = 1
    lossy: bool = Field(default=False, description="(0028,2110) is 01")
    fragment_count: int | None = Field(default=None, description="fragments of encapsulated pixel data; None: native")
    pixel_data_offset: int = Field(default=0, description="byte offset of the Pixel Data element's tag in the file")
    stream_length: int | None = Field(
        default=None, description="bytes of the video stream without padding (DICOM_VIDEO only)"
    )
    faults: tuple[str, ...] = Field(
        default=(), description="errors of header and encapsulation against the stream, in words (DICOM_VIDEO only)"
    )


class Description(Value):
    """Everything the planner decides by. Made by a worker, stored in the ledger."""

    kind: Kind
    digest: str = Field(description="SHA-256 of the source's bytes, hexadecimal")
    size_bytes: int = Field(gt=0)
    container: str = Field(description="mp4, mpegts, mpegps, avi, matroska, elementary, frames, or FFmpeg's name")
    moov_first: bool | None = Field(default=None, description="MP4 only: moov lies before mdat")
    fragmented: bool = Field(default=False, description="MP4 only: movie fragments (moof) are used")
    edit_list: bool = Field(default=False, description="MP4 only: the video's edit list drops or shifts frames")
    video: VideoStream
    audio: tuple[AudioStream, ...] = ()
    other_streams: int = Field(default=0, description="subtitle, data and attached-picture streams")
    dicom: DicomFacts | None = None
    notes: tuple[str, ...] = Field(
        default=(), description="oddities a person should know, e.g. 'edit list drops 2 frames'"
    )
