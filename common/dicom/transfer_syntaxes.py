"""The video transfer syntaxes of PS3.5 8.2.5–8.2.11 as one table; the base UID decides all, fragmentable twins differ in fragments only."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from common.errors import NoLegalPath

MAX_FRAGMENT_BYTES = 2**32 - 2
"""Longest fragment: a 32-bit even item length; 0xFFFFFFFF means undefined (PS3.5 7.5.1 and A.4)."""

ROOT = "1.2.840.10008.1.2.4"

RLE_LOSSLESS = "1.2.840.10008.1.2.5"

MPEG2 = "ISO_13818_2"
H264 = "ISO_14496_10"
HEVC = "ISO_23008_2"
JPEG = "ISO_10918_1"
JPEG_LS = "ISO_14495_1"
JPEG_2000 = "ISO_15444_1"
HTJ2K = "ISO_15444_15"
JPEG_XL = "ISO_18181_1"
"""Defined terms of Lossy Image Compression Method (PS3.3 C.7.6.1.1.5.1)."""


@dataclass(frozen=True)
class BitDepth:
    """Bits Allocated, Bits Stored and High Bit."""

    allocated: int
    stored: int
    high: int


EIGHT = BitDepth(8, 8, 7)
TEN = BitDepth(16, 10, 9)


@dataclass(frozen=True)
class VideoSyntax:
    """What PS3.5 8.2.5–8.2.11 say about one video transfer syntax."""

    uid: str
    name: str
    codec: str  # FFmpeg's codec name
    profile: str  # in the standard's words
    level: str
    bits: BitDepth
    photometrics: tuple[str, ...]
    method: str  # Lossy Image Compression Method
    containers: tuple[str, ...]  # empty: the syntax names none, an elementary stream or any MPEG-2 system stream
    fragmentable: bool  # may hold more than one fragment
    stereo: bool = False

    @cached_property
    def base_uid(self) -> str:
        """UID of the twin that is not marked Fragmentable: the same bitstream rules hold."""
        return self.uid[:-2] if self.uid.count(".") > ROOT.count(".") + 1 else self.uid


_COLOUR = ("YBR_PARTIAL_420",)
_COLOUR_OR_GREY = ("YBR_PARTIAL_420", "MONOCHROME2")
_TS_OR_MP4 = ("mpegts", "mp4")


def _mpeg2(x: int, name: str, level: str) -> VideoSyntax:
    return VideoSyntax(
        f"{ROOT}.{x}", name, "mpeg2video", "Main", level, EIGHT, _COLOUR_OR_GREY, MPEG2, (), fragmentable=False
    )


def _h264(x: int, name: str, profile: str, level: str, *, stereo: bool = False) -> VideoSyntax:
    return VideoSyntax(
        f"{ROOT}.{x}", name, "h264", profile, level, EIGHT, _COLOUR, H264, _TS_OR_MP4, fragmentable=False, stereo=stereo
    )


def _hevc(x: int, name: str, profile: str, bits: BitDepth) -> VideoSyntax:
    return VideoSyntax(f"{ROOT}.{x}", name, "hevc", profile, "5.1", bits, _COLOUR, HEVC, _TS_OR_MP4, fragmentable=True)


_SINGLE = (
    _mpeg2(100, "MPEG2 Main Profile / Main Level", "Main"),
    _mpeg2(101, "MPEG2 Main Profile / High Level", "High"),
    _h264(102, "MPEG-4 AVC/H.264 High Profile / Level 4.1", "High", "4.1"),
    _h264(103, "MPEG-4 AVC/H.264 BD-compatible High Profile / Level 4.1", "High", "4.1"),
    _h264(104, "MPEG-4 AVC/H.264 High Profile / Level 4.2 For 2D Video", "High", "4.2"),
    _h264(105, "MPEG-4 AVC/H.264 High Profile / Level 4.2 For 3D Video", "High", "4.2", stereo=True),
    _h264(106, "MPEG-4 AVC/H.264 Stereo High Profile / Level 4.2", "Stereo High", "4.2", stereo=True),
)
_HEVC = (
    _hevc(107, "HEVC/H.265 Main Profile / Level 5.1", "Main", EIGHT),
    _hevc(108, "HEVC/H.265 Main 10 Profile / Level 5.1", "Main 10", TEN),
)


def _fragmentable(syntax: VideoSyntax) -> VideoSyntax:
    return replace(syntax, uid=f"{syntax.uid}.1", name=f"Fragmentable {syntax.name}", fragmentable=True)


VIDEO_SYNTAXES: tuple[VideoSyntax, ...] = (*_SINGLE, *_HEVC, *map(_fragmentable, _SINGLE))
_BY_UID = {syntax.uid: syntax for syntax in VIDEO_SYNTAXES}


def short(uid: str) -> str:
    """``.102`` or ``RLE`` for people; the whole UID of a syntax that has no short name."""
    if uid == RLE_LOSSLESS:
        return "RLE"
    return uid.removeprefix(ROOT) if uid.startswith(f"{ROOT}.") else uid


def is_video(uid: str) -> bool:
    """True when the pixel data under this transfer syntax is one video bitstream."""
    return uid in _BY_UID


def by_uid(uid: str) -> VideoSyntax:
    """The row of one video transfer syntax.

    Raises:
        NoLegalPath: the UID is no video transfer syntax.
    """
    try:
        return _BY_UID[uid]
    except KeyError:
        raise NoLegalPath(
            f"{uid} is no DICOM video transfer syntax", hint="Choose one of .100 to .108 in the profile's recipe."
        ) from None


def for_length(uid: str, stream_length: int, *, fragment_bytes: int = MAX_FRAGMENT_BYTES) -> VideoSyntax:
    """The syntax itself while one fragment holds the stream, else its fragmentable twin (PS3.5 A.4)."""
    syntax = by_uid(uid)
    if stream_length <= fragment_bytes or syntax.fragmentable:
        return syntax
    return by_uid(f"{syntax.uid}.1")


LOSSY_IMAGE_METHODS: dict[str, str] = {
    f"{ROOT}.50": JPEG,  # Baseline
    f"{ROOT}.51": JPEG,  # Extended
    f"{ROOT}.81": JPEG_LS,  # near-lossless; the lossless use of this syntax cannot be told from the UID
    f"{ROOT}.91": JPEG_2000,  # may be lossless too
    f"{ROOT}.203": HTJ2K,  # may be lossless too
    f"{ROOT}.112": JPEG_XL,  # may be lossless too
}
"""Method that a still-image syntax with a lossy mode would have used."""

ALWAYS_LOSSY = frozenset({f"{ROOT}.50", f"{ROOT}.51", f"{ROOT}.111", *_BY_UID})
"""Syntaxes whose pixel data has certainly lost something: DCT-based JPEG and all video (.111 carries recompressed JPEG)."""


def certain_lossy_method(uid: str) -> str | None:
    """The method of the lossy step that this transfer syntax proves, or None when it proves none."""
    if uid in _BY_UID:
        return _BY_UID[uid].method
    return LOSSY_IMAGE_METHODS.get(uid, JPEG) if uid in ALWAYS_LOSSY else None
