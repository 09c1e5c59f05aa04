"""Which SOP class a video becomes, as data; docs/sop-classes.md is generated from this module."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from common.errors import NoLegalPath

_STORAGE = "1.2.840.10008.5.1.4.1.1"

VIDEO_ENDOSCOPIC = f"{_STORAGE}.77.1.1.1"
VIDEO_MICROSCOPIC = f"{_STORAGE}.77.1.2.1"
VIDEO_PHOTOGRAPHIC = f"{_STORAGE}.77.1.4.1"
MULTIFRAME_TRUE_COLOR_SC = f"{_STORAGE}.7.4"
MULTIFRAME_GRAYSCALE_BYTE_SC = f"{_STORAGE}.7.2"
ULTRASOUND_MULTIFRAME = f"{_STORAGE}.3.1"


class Family(StrEnum):
    """Which set of modules the class demands beside the common ones."""

    VISIBLE_LIGHT = "VL"  # PS3.3 A.32.5–A.32.7: VL Image, Acquisition Context
    SECONDARY_CAPTURE = "SC"  # PS3.3 A.8.3, A.8.5: SC Equipment, SC Multi-frame Image
    ULTRASOUND = "US"  # PS3.3 A.7: US Image, US Region Calibration


@dataclass(frozen=True)
class VideoClass:
    """A SOP class that Cinefarm writes."""

    uid: str
    name: str
    family: Family
    modality: str  # of plain video when its row gives none
    clause: str


VIDEO_CLASSES: tuple[VideoClass, ...] = (
    VideoClass(VIDEO_ENDOSCOPIC, "Video Endoscopic Image Storage", Family.VISIBLE_LIGHT, "ES", "PS3.3 A.32.5"),
    VideoClass(VIDEO_MICROSCOPIC, "Video Microscopic Image Storage", Family.VISIBLE_LIGHT, "GM", "PS3.3 A.32.6"),
    VideoClass(VIDEO_PHOTOGRAPHIC, "Video Photographic Image Storage", Family.VISIBLE_LIGHT, "XC", "PS3.3 A.32.7"),
    VideoClass(
        MULTIFRAME_TRUE_COLOR_SC,
        "Multi-frame True Color Secondary Capture Image Storage",
        Family.SECONDARY_CAPTURE,
        "OT",
        "PS3.3 A.8.5",
    ),
    VideoClass(
        MULTIFRAME_GRAYSCALE_BYTE_SC,
        "Multi-frame Grayscale Byte Secondary Capture Image Storage",
        Family.SECONDARY_CAPTURE,
        "OT",
        "PS3.3 A.8.3",
    ),
    VideoClass(ULTRASOUND_MULTIFRAME, "Ultrasound Multi-frame Image Storage", Family.ULTRASOUND, "US", "PS3.3 A.7"),
)
_BY_UID = {row.uid: row for row in VIDEO_CLASSES}


@dataclass(frozen=True)
class SourceRule:
    """One row: a source class, what it becomes, and why."""

    source_uid: str
    source_name: str
    target_uid: str
    reason: str


_STAYS = "the class is made for video"
_TWIN = "the still class with many frames becomes its video twin"
_US = (
    "US Image admits YBR_PARTIAL_420 under the MPEG-2, H.264 and HEVC syntaxes (PS3.3 C.8.5.6.1.2): "
    "the class stays, and with it the calibrated regions"
)
_US_OLD = "an older or single-frame ultrasound class becomes Ultrasound Multi-frame, which keeps the calibrated regions"

SOURCE_RULES: tuple[SourceRule, ...] = (
    SourceRule(VIDEO_ENDOSCOPIC, "Video Endoscopic", VIDEO_ENDOSCOPIC, _STAYS),
    SourceRule(VIDEO_MICROSCOPIC, "Video Microscopic", VIDEO_MICROSCOPIC, _STAYS),
    SourceRule(VIDEO_PHOTOGRAPHIC, "Video Photographic", VIDEO_PHOTOGRAPHIC, _STAYS),
    SourceRule(f"{_STORAGE}.77.1.1", "VL Endoscopic (many frames)", VIDEO_ENDOSCOPIC, _TWIN),
    SourceRule(f"{_STORAGE}.77.1.2", "VL Microscopic (many frames)", VIDEO_MICROSCOPIC, _TWIN),
    SourceRule(f"{_STORAGE}.77.1.4", "VL Photographic (many frames)", VIDEO_PHOTOGRAPHIC, _TWIN),
    SourceRule(ULTRASOUND_MULTIFRAME, "Ultrasound Multi-frame", ULTRASOUND_MULTIFRAME, _US),
    SourceRule(f"{_STORAGE}.3", "Ultrasound Multi-frame (retired)", ULTRASOUND_MULTIFRAME, _US_OLD),
    SourceRule(f"{_STORAGE}.6.1", "Ultrasound (many frames)", ULTRASOUND_MULTIFRAME, _US_OLD),
    SourceRule(f"{_STORAGE}.6", "Ultrasound (retired, many frames)", ULTRASOUND_MULTIFRAME, _US_OLD),
    SourceRule(
        MULTIFRAME_TRUE_COLOR_SC,
        "Multi-frame True Color SC",
        MULTIFRAME_TRUE_COLOR_SC,
        "A.8.5.4 admits YBR_PARTIAL_420 under the video syntaxes",
    ),
    SourceRule(
        MULTIFRAME_GRAYSCALE_BYTE_SC,
        "Multi-frame Grayscale Byte SC",
        MULTIFRAME_TRUE_COLOR_SC,
        "A.8.3.4 wants one sample a pixel, MONOCHROME2; H.264 and HEVC syntaxes want three (PS3.5 8.2.7–8.2.11)",
    ),
)
_RULE_OF = {rule.source_uid: rule for rule in SOURCE_RULES}

GREY_STAYS = "MPEG-2 is the one video coding that DICOM lets carry MONOCHROME2 (PS3.5 8.2.5, 8.2.6), so the class stays"
OTHER = (
    "this class admits no video photometric interpretation: the loop becomes a Multi-frame True Color Secondary Capture "
    "that references its source"
)

LOOP_CLASSES: tuple[str, ...] = (
    *_BY_UID,
    *(f"{_STORAGE}.{x}" for x in ("3", "7.1", "7.3", "12.1", "12.2", "12.1.1", "12.2.1", "77.1.5.1", "77.1.5.2")),
)
"""Classes made for frames that are moments: what Cinefarm writes, retired ultrasound loops, the other multi-frame Secondary
Captures, X-ray angiography and fluoroscopy, ophthalmic photography."""

NOT_MOMENTS: dict[str, str] = {
    f"{_STORAGE}.2.1": "Enhanced CT",
    f"{_STORAGE}.2.2": "Legacy Converted Enhanced CT",
    f"{_STORAGE}.4.1": "Enhanced MR",
    f"{_STORAGE}.4.3": "Enhanced MR Color",
    f"{_STORAGE}.4.4": "Legacy Converted Enhanced MR",
    f"{_STORAGE}.6.2": "Enhanced US Volume",
    f"{_STORAGE}.13.1.1": "X-Ray 3D Angiographic",
    f"{_STORAGE}.13.1.2": "X-Ray 3D Craniofacial",
    f"{_STORAGE}.13.1.3": "Breast Tomosynthesis",
    f"{_STORAGE}.20": "Nuclear Medicine",
    f"{_STORAGE}.30": "Parametric Map",
    f"{_STORAGE}.66.4": "Segmentation",
    f"{_STORAGE}.77.1.5.4": "Ophthalmic Tomography",
    f"{_STORAGE}.77.1.5.8": "Ophthalmic OCT B-scan Volume Analysis",
    f"{_STORAGE}.77.1.6": "VL Whole Slide Microscopy",
    f"{_STORAGE}.128.1": "Legacy Converted Enhanced PET",
    f"{_STORAGE}.130": "Enhanced PET",
    f"{_STORAGE}.481.2": "RT Dose",
}
"""Classes whose frames are places, tiles or measurements, ordered by their functional groups: played as video they lose what
they mean, and eight bits lose what they measured (PS3.3 C.7.6.16, C.7.6.17)."""

MODALITY_CLASS: dict[str, str] = {
    "ES": VIDEO_ENDOSCOPIC,
    "GM": VIDEO_MICROSCOPIC,
    "SM": VIDEO_MICROSCOPIC,
    "XC": VIDEO_PHOTOGRAPHIC,
    "DMS": VIDEO_PHOTOGRAPHIC,
}
"""Plain video by its row's Modality; any other modality gives Multi-frame True Color SC."""

NO_MODALITY = "nothing names a class or modality: endoscopy is by far the most common source of plain clips"

REQUEST_NAMES: dict[str, str] = {
    "endoscopic": VIDEO_ENDOSCOPIC,
    "microscopic": VIDEO_MICROSCOPIC,
    "photographic": VIDEO_PHOTOGRAPHIC,
    "secondary-capture": MULTIFRAME_TRUE_COLOR_SC,
}
"""Short names a request may use instead of the UID."""


@dataclass(frozen=True)
class Target:
    """The class to write and why."""

    uid: str
    name: str
    reason: str


def video_class(uid: str) -> VideoClass:
    """The row of a class that Cinefarm writes.

    Raises:
        NoLegalPath: Cinefarm does not write this class.
    """
    try:
        return _BY_UID[uid]
    except KeyError:
        names = ", ".join(REQUEST_NAMES)
        raise NoLegalPath(
            f"SOP class {uid} cannot carry video here", hint=f"Ask for one of: {names}, or its UID."
        ) from None


def class_uid(requested: str | None) -> str:
    """The UID of a class that was asked for by its short name or its UID; empty: none was."""
    word = (requested or "").strip()
    return REQUEST_NAMES.get(word.lower(), word)


def class_name(uid: str) -> str:
    """What people call a class: 'Video Endoscopic'; the UID of one that Cinefarm does not write."""
    return _BY_UID[uid].name.removesuffix(" Image Storage") if uid in _BY_UID else uid


def target_class(
    source_class_uid: str | None, *, modality: str, monochrome: bool, codec: str, requested: str | None
) -> Target:
    """The SOP class of the result.

    ``source_class_uid`` is None for plain video, which goes by ``requested`` (UID or short name), then by ``modality``.
    A DICOM source goes by its class alone: ``requested`` is for plain video. ``codec`` is FFmpeg's name of the output's.

    Raises:
        NoLegalPath: the requested class cannot carry video, or not this one; or the source's frames are no moments.
    """
    if source_class_uid is None:
        return _of_plain_video(modality, requested, grey=monochrome and codec == "mpeg2video")
    if name := NOT_MOMENTS.get(source_class_uid):
        raise NoLegalPath(
            f"the frames of {name} Storage are places or measurements, not moments: as video they would lose their meaning",
            hint="Leave it as it is, or choose a lossless target that keeps its frames.",
        )
    if source_class_uid == MULTIFRAME_GRAYSCALE_BYTE_SC and monochrome and codec == "mpeg2video":
        return _target(MULTIFRAME_GRAYSCALE_BYTE_SC, GREY_STAYS)
    rule = _RULE_OF.get(source_class_uid)
    return _target(rule.target_uid, rule.reason) if rule else _target(MULTIFRAME_TRUE_COLOR_SC, OTHER)


def _of_plain_video(modality: str, requested: str | None, *, grey: bool) -> Target:
    if requested:
        chosen = video_class(class_uid(requested))
        if chosen.uid == ULTRASOUND_MULTIFRAME:
            raise NoLegalPath(
                "a plain clip lacks what Ultrasound Multi-frame demands of the scanner",
                hint="Ask for secondary-capture: it keeps Modality US.",
            )
        if chosen.uid == MULTIFRAME_GRAYSCALE_BYTE_SC and not grey:
            raise NoLegalPath(
                "Grayscale Byte Secondary Capture needs monochrome MPEG-2",
                hint="Ask for secondary-capture: the True Color class carries grey video too.",
            )
        return _target(chosen.uid, "requested for this item")
    modality = modality.strip().upper()
    if not modality:
        return _target(VIDEO_ENDOSCOPIC, NO_MODALITY)
    uid = MODALITY_CLASS.get(modality, MULTIFRAME_TRUE_COLOR_SC)
    return _target(uid, f"modality {modality[:16]} of its row")


def _target(uid: str, reason: str) -> Target:
    return Target(uid, _BY_UID[uid].name, reason)
