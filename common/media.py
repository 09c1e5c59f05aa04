"""What a source is: the description that a worker reads from the bytes and the planner decides by.

All values are frozen and cross the broker as JSON, so none of them may hold patient data: UIDs are the only identifiers.
"""

from __future__ import annotations

from enum import StrEnum
from fractions import Fraction
from typing import Annotated, Literal

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


class MasteringDisplay(Value):
    """The display a picture was graded on: SMPTE ST 2086, in the units of its SEI message (H.265 D.3.28, H.264 D.2.29)."""

    red: tuple[int, int] = Field(description="x and y, CIE 1931, in 0.00002")
    green: tuple[int, int] = Field(description="x and y, in 0.00002")
    blue: tuple[int, int] = Field(description="x and y, in 0.00002")
    white_point: tuple[int, int] = Field(description="x and y, in 0.00002")
    max_luminance: int = Field(description="in 0.0001 cd/m²")
    min_luminance: int = Field(description="in 0.0001 cd/m²")


class ContentLight(Value):
    """Content light level: CTA-861.3, H.265 D.3.35."""

    max_cll: int = Field(description="brightest sample of all, cd/m²; 0: unknown")
    max_fall: int = Field(description="brightest mean of a frame, cd/m²; 0: unknown")


class Hrd(Value):
    """What a stream says of the decoder's buffer: the largest of its schedules (H.264 E.1.2; MPEG-2: bit_rate and VBV)."""

    bit_rate: int = Field(description="bit/s")
    buffer_bits: int


class Coding(Value):
    """What the headers of the stream and of its first pictures say, as far as rules ask. None: not said, or not read."""

    coded_width: int | None = Field(default=None, description="luma samples that are decoded, before cropping")
    coded_height: int | None = Field(default=None, description="luma samples that are decoded, before cropping")
    chroma: str | None = Field(default=None, description="as coded: decoders show 4:0:0 as 4:2:0 now and then")
    matrix_code: int | None = Field(default=None, description="matrix_coefficients, ITU-T H.273 Table 4; 0 is GBR")
    tier: Literal["main", "high"] | None = Field(default=None, description="HEVC: general_tier_flag")
    compatible_profiles: tuple[int, ...] = Field(default=(), description="HEVC: general_profile_compatibility_flag[j]")
    vps_agrees: bool | None = Field(default=None, description="HEVC: the VPS names the SPS's profile, tier and level")
    reference_frames: int | None = Field(default=None, description="H.264: max_num_ref_frames")
    decoded_frames: int | None = Field(
        default=None, description="frames a decoder must hold: max_dec_frame_buffering; HEVC: sps_max_dec_pic_buffering"
    )
    nal_hrd: Hrd | None = Field(default=None, description="of all bytes; MPEG-2: the sequence header's")
    vcl_hrd: Hrd | None = Field(default=None, description="of the pictures alone")
    progressive_only: bool | None = Field(
        default=None, description="frame_mbs_only_flag; MPEG-2: progressive_sequence; HEVC: no field_seq_flag"
    )
    tools: tuple[str, ...] = Field(
        default=(),
        description="H.264: CABAC, 8x8 transform, B slices, interlaced coding, field pictures, MBAFF, slice groups ...",
    )
    slices: int | None = Field(default=None, description="fewest slices of one of the first pictures")
    b_pictures: int | None = Field(default=None, description="longest run of B pictures among the first")
    delimiters: bool | None = Field(default=None, description="H.264, HEVC: every picture begins with a delimiter")
    longest_gop: int | None = Field(default=None, description="frames from one key frame to the next, at most")
    peaks: tuple[tuple[int, int], ...] = Field(
        default=(), description="(n, bits of the n successive frames that hold most), for some n"
    )
    sizes: tuple[tuple[int, int], ...] = Field(default=(), description="picture sizes in the order they come up")
    parameter_sets: int | None = Field(default=None, description="different sequence headers in the stream")
    frame_packing: int | None = Field(
        default=None, description="frame_packing_arrangement_type: 3 side by side, 4 top and bottom ..."
    )
    second_view: bool = Field(default=False, description="H.264: slices of a second view (MVC) lie in the stream")
    aspect_code: int | None = Field(default=None, description="MPEG-2: aspect_ratio_information")
    rate_code: int | None = Field(default=None, description="MPEG-2: frame_rate_code")
    rate_extended: bool | None = Field(default=None, description="MPEG-2: frame_rate_extension_n or _d is not 0")
    low_delay: bool | None = Field(default=None, description="MPEG-2: the sequence says it has no B pictures")


class Steady(Value):
    """A constant rate at which every frame of a variable one can be shown, some of them more than once."""

    rate: Ratio = Field(description="frames per second")
    frames: int = Field(gt=0, description="at that rate, repeated ones included")
    hold: int = Field(default=1, ge=1, description="how many of them show the last picture")


class Gap(Value):
    """A place where a picture lasts so long that others seem to be missing."""

    frame: int = Field(description="number of the frame that lasts too long, from 0, in display order")
    missing: int = Field(description="frames that would have had room, by the usual distance")
    seconds: float = Field(description="how long it lasts")


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
    mastering_display: MasteringDisplay | None = Field(default=None, description="HDR10: ST 2086 metadata")
    content_light: ContentLight | None = Field(default=None, description="HDR10: MaxCLL and MaxFALL")
    coding: Coding | None = Field(default=None, description="None: a codec whose headers no rule asks for")
    steady: Steady | None = Field(default=None, description="of a variable rate: what it can be made")
    gaps: tuple[Gap, ...] = Field(default=(), description="of a variable rate: the longest ones, in order of time")
    gap_count: int = Field(default=0, description="all of them; a constant rate has none")
    hidden_frames: int = Field(
        default=0, description="coded but not shown: an edit list hides them, or their key frame is missing"
    )
    trimmed: bool = Field(default=False, description="the stream crops its left side, which FFmpeg does only when told")
    stream_digest: str | None = Field(
        default=None,
        description="SHA-256 of the elementary stream in its normal form (workers.elementary); None: not taken",
    )


class AudioStream(Value):
    """One audio stream."""

    codec: str
    sample_rate: int = Field(description="Hz")
    channels: int
    bit_rate: int | None = Field(default=None, description="bit/s")
    profile: str | None = Field(default=None, description="FFmpeg's name: LC, HE-AAC ...")
    layout: str | None = Field(default=None, description="FFmpeg's name: stereo, 5.1, 5.1(side) ...")
    constant_bit_rate: bool | None = Field(default=None, description="MPEG audio: every frame has one bit rate")
    start_ms: float | None = Field(
        default=None, description="when sound begins after the first frame is shown; below 0: before. None: not known"
    )
    duration_ms: float | None = Field(default=None, description="from its begin to the end of its last packet")


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
    coerced: bool = Field(default=False, description="the job's rules give it other identifiers")
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
    sample_entry: str | None = Field(default=None, description="MP4 only: avc1, avc3, hvc1, hev1, mp4v ...")
    sample_entries: int | None = Field(default=None, description="MP4 only: sample descriptions of the video track")
    external_data: bool = Field(default=False, description="MP4 only: samples of a track lie in another file")
    programs: int | None = Field(default=None, description="MPEG-TS only: programs in its association table")
    stream_type: int | None = Field(
        default=None, description="MPEG-TS only: stream_type of the video in its program map"
    )
    packet_bytes: int | None = Field(default=None, description="MPEG-TS only: 188; 192 with time stamps (M2TS)")
    video: VideoStream
    video_streams: int = Field(default=1, description="video streams, attached pictures left out")
    audio: tuple[AudioStream, ...] = ()
    other_streams: int = Field(default=0, description="subtitle, data and attached-picture streams")
    dicom: DicomFacts | None = None
    header_rules: tuple[int, ...] = Field(
        default=(),
        description="numbers, from 0, of the job's rules whose patterns fit its header; never the text itself",
    )
    notes: tuple[str, ...] = Field(
        default=(), description="oddities a person should know, e.g. 'edit list drops 2 frames'"
    )
