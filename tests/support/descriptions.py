"""Generated descriptions and destinations: what the planner is asked about. Most streams are legal somewhere, but for one or two
facts; wholly random ones would be legal nowhere, and laws about legal streams would hold for want of any."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from hypothesis import strategies as st

from common.dicom.sop_classes import MULTIFRAME_TRUE_COLOR_SC, ULTRASOUND_MULTIFRAME, VIDEO_ENDOSCOPIC
from common.dicom.transfer_syntaxes import ROOT, VIDEO_SYNTAXES
from common.media import AudioStream, Description, DicomFacts, Kind, Scan, VideoStream
from common.recipes import PROFILES, Profile
from common.settings import Settings
from orchestrator.acceptance import Acceptance
from orchestrator.destinations import Library

VIDEO_UIDS = tuple(syntax.uid for syntax in VIDEO_SYNTAXES)

_LIBRARY = Library.of(Settings(profiles_dir=None))
OHIF, WEASIS = _LIBRARY.viewer("ohif"), _LIBRARY.viewer("weasis")

_FILM, _NTSC, _NTSC_FIELD = Fraction(24000, 1001), Fraction(30000, 1001), Fraction(60000, 1001)
_TFF = Scan.TOP_FIELD_FIRST

LEGAL: dict[str, dict[str, Any]] = {
    ".100": {"codec": "mpeg2video", "profile": "Main", "level_idc": 8, "width": 720, "height": 576, "scan": _TFF},
    ".101": {"codec": "mpeg2video", "profile": "Main", "level_idc": 4, "width": 1280, "height": 720},
    ".102": {"codec": "h264", "profile": "High", "level_idc": 41, "width": 1920, "height": 1080},
    ".103": {"codec": "h264", "profile": "High", "level_idc": 41, "width": 1280, "height": 720, "frame_rate": _FILM},
    ".104": {"codec": "h264", "profile": "High", "level_idc": 42, "width": 1920, "height": 1080, "frame_rate": Fraction(60)},
    ".105": {"codec": "h264", "profile": "High", "level_idc": 42, "width": 1920, "height": 1080, "frame_packed": True},
    ".106": {"codec": "h264", "profile": "Stereo High", "level_idc": 42, "width": 1280, "height": 720},
    ".107": {"codec": "hevc", "profile": "Main", "level_idc": 153, "width": 3840, "height": 2160},
    ".108": {
        "codec": "hevc", "profile": "Main 10", "level_idc": 153, "width": 3840, "height": 2160,
        "bit_depth": 10, "pixel_format": "yuv420p10le",
    },
}  # fmt: skip
"""A stream that is legal under each syntax."""

CHANGES: tuple[dict[str, Any], ...] = (
    {"codec": "mpeg4", "profile": None, "level_idc": None},
    {"profile": "High 10"},
    {"profile": "Main"},
    {"level_idc": 51},
    {"width": 641, "height": 481},
    {"width": 352, "height": 288},
    {"width": 1920, "height": 1080},
    {"width": 3840, "height": 2160},
    {"width": 7680, "height": 4320},
    {"frame_rate": Fraction(15)},
    {"frame_rate": _NTSC},
    {"frame_rate": _NTSC_FIELD},
    {"frame_rate": Fraction(120)},
    {"constant_rate": False},
    {"pixel_aspect": Fraction(16, 15)},
    {"rotation": 90},
    {"chroma": "4:2:2", "pixel_format": "yuv422p"},
    {"bit_depth": 10, "pixel_format": "yuv420p10le"},
    {"full_range": True},
    {"scan": _TFF},
    {"bit_rate": 90_000_000},
    {"frame_packed": True},
)
"""What a real file has otherwise, often to its harm."""

SOUNDS = (
    AudioStream(codec="aac", sample_rate=48_000, channels=2, bit_rate=128_000),
    AudioStream(codec="aac", sample_rate=44_100, channels=1, bit_rate=64_000),
    AudioStream(codec="mp3", sample_rate=48_000, channels=2, bit_rate=128_000),
    AudioStream(codec="mp2", sample_rate=48_000, channels=2, bit_rate=224_000),
    AudioStream(codec="ac3", sample_rate=48_000, channels=6, bit_rate=448_000),
)
SIZES = (2_000_000, 2_000_000, 2**32 - 2, 2**32 - 1, 20 * 2**30)


def video(**changes: Any) -> VideoStream:
    """A legal 720p25 stream, but for ``changes``."""
    facts: dict[str, Any] = {
        "codec": "h264",
        "profile": "High",
        "level_idc": 40,
        "width": 1280,
        "height": 720,
        "pixel_format": "yuv420p",
        "full_range": False,
        "matrix": "bt709",
        "frame_rate": Fraction(25),
        "frame_count": 100,
        "duration_ms": 4000.0,
        "bit_rate": 4_000_000,
    }
    return VideoStream(**facts | changes)


def clip(stream: VideoStream | None = None, **changes: Any) -> Description:
    """An MP4 around it."""
    facts: dict[str, Any] = {
        "kind": Kind.VIDEO,
        "digest": "0" * 64,
        "size_bytes": 2_000_000,
        "container": "mp4",
        "moov_first": True,
        "video": stream or video(),
    }
    return Description(**facts | changes)


@st.composite
def videos(draw: st.DrawFn, legal: str) -> VideoStream:
    """A stream legal under one syntax, with up to two facts changed."""
    said: dict[str, Any] = {
        "bit_depth": 8,
        "pixel_format": "yuv420p",
        "frame_rate": Fraction(25),
        "bit_rate": 8_000_000,
    }
    said |= LEGAL[legal]
    for change in draw(st.lists(st.sampled_from(CHANGES), max_size=2)):
        said |= change
    frames = draw(st.integers(1, 500_000))
    said |= {"full_range": said.get("full_range", False), "matrix": "bt709"}
    return VideoStream(**said, frame_count=frames, duration_ms=float(1000 * frames / said["frame_rate"]))


@st.composite
def facts(draw: st.DrawFn, syntax: str) -> DicomFacts:
    """A header; its faults are those that a reader found in it."""
    classes = [VIDEO_ENDOSCOPIC, VIDEO_ENDOSCOPIC, ULTRASOUND_MULTIFRAME, MULTIFRAME_TRUE_COLOR_SC, "1.2.3"]
    return DicomFacts(
        sop_class_uid=draw(st.sampled_from(classes)),
        sop_instance_uid="1.2.3",
        series_uid="1.2.4",
        study_uid="1.2.5",
        transfer_syntax_uid=syntax,
        modality=draw(st.sampled_from(["ES", "US", ""])),
        fragment_count=draw(st.sampled_from([1, 1, 1, 3])),
        faults=draw(st.sampled_from([(), (), (), ("Number of Frames 9 where 10 is required",)])),
    )


@st.composite
def descriptions(draw: st.DrawFn) -> Description:
    """Plain files, DICOM video and DICOM frames."""
    legal = draw(st.sampled_from(list(LEGAL)))
    kind = draw(st.sampled_from([Kind.VIDEO, Kind.VIDEO, Kind.DICOM_VIDEO, Kind.DICOM_VIDEO, Kind.DICOM_FRAMES]))
    size, dicom, container = draw(st.sampled_from(SIZES)), None, "frames"
    if kind is Kind.DICOM_VIDEO:
        own = f"{ROOT}{legal}" + (".1" if size >= 2**32 and legal < ".107" else "")
        dicom = draw(facts(draw(st.sampled_from([own, own, own, *VIDEO_UIDS]))))
        dicom = dicom.model_copy(update={"stream_length": size - 5_000})
    elif kind is Kind.DICOM_FRAMES:
        dicom = draw(facts(f"{ROOT}.50"))
    if kind is not Kind.DICOM_FRAMES:
        container = draw(st.sampled_from(["mp4", "mp4", "mp4", "mpegts", "mpegps", "avi", "elementary"]))
    mp4 = container == "mp4"
    return Description(
        kind=kind,
        digest="0" * 64,
        size_bytes=size,
        container=container,
        moov_first=draw(st.booleans()) if mp4 else None,
        fragmented=mp4 and draw(st.sampled_from([False, False, False, True])),
        edit_list=mp4 and draw(st.sampled_from([False, False, False, True])),
        video=draw(videos(legal)),
        audio=draw(st.lists(st.sampled_from(SOUNDS), max_size=1).map(tuple)) if kind is not Kind.DICOM_FRAMES else (),
        other_streams=draw(st.sampled_from([0, 0, 0, 1])),
        dicom=dicom,
    )


def profiles(*, frames: bool = False) -> st.SearchStrategy[Profile]:
    """The built-in ones that make video; ``frames``: also those that code frame by frame."""
    return st.sampled_from([profile for profile in PROFILES.values() if frames or not profile.frames])


@st.composite
def acceptances(draw: st.DrawFn) -> Acceptance:
    """A destination that takes anything, or only some syntaxes, containers and sizes."""
    some = st.frozensets(st.sampled_from(VIDEO_UIDS), min_size=1)
    return Acceptance(
        destination=draw(st.sampled_from(["", "dicom://PACS@host:104"])),
        syntaxes=draw(st.none() | some),
        containers=draw(st.sampled_from([None, None, None, frozenset({"mp4"}), frozenset({"mp4", "mpegts"})])),
        fragmentable=draw(st.booleans()),
        prefers=draw(st.lists(st.sampled_from(VIDEO_UIDS), max_size=3, unique=True).map(tuple)),
        one_fragment=draw(st.sampled_from([False, False, True])),
        index_first=draw(st.sampled_from([False, False, True])),
        max_bytes=draw(st.sampled_from([None, None, None, 2**30, 2**40])),
        viewers=draw(st.sampled_from([(), (), (OHIF,), (WEASIS,), (OHIF, WEASIS)])),
    )


def destinations() -> st.SearchStrategy[list[Acceptance]]:
    """None to two of them."""
    return st.lists(acceptances(), max_size=2)
