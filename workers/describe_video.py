"""The values of a video or audio stream from what FFmpeg's libraries say of its first frame."""

from __future__ import annotations

import struct
from math import atan2, degrees
from typing import TYPE_CHECKING, cast

from common.media import AudioStream, ContentLight, MasteringDisplay, Scan
from workers.ffmpeg.colour import Model, samples

if TYPE_CHECKING:
    from av.audio.codeccontext import AudioCodecContext
    from av.audio.stream import AudioStream as AudioTrack
    from av.sidedata.sidedata import SideDataContainer
    from av.video.frame import VideoFrame

    from workers.describe_sound import MpegFacts

_DISPLAY_MATRIX = "DISPLAYMATRIX"
_MASTERING = struct.Struct("=22i")
"""AVMasteringDisplayMetadata: ten rationals (red, green, blue, white: x and y; luminance: least, greatest), two flags."""

_CHROMA = {(2, 2): "4:2:0", (2, 1): "4:2:2", (1, 1): "4:4:4", (4, 1): "4:1:1", (4, 4): "4:1:0", (1, 2): "4:4:0"}
_TOP_FIRST_ORDERS = frozenset({2, 4})  # AV_FIELD_TT, AV_FIELD_TB: the top field is shown first, fields apart or woven
_BOTTOM_FIRST_ORDERS = frozenset({3, 5})  # AV_FIELD_BB, AV_FIELD_BT
_FULL, _LIMITED = 2, 1  # AVCOL_RANGE_JPEG, AVCOL_RANGE_MPEG

MATRICES = {
    1: "bt709",
    4: "fcc",
    5: "bt470bg",
    6: "smpte170m",
    7: "smpte240m",
    8: "ycgco",
    9: "bt2020nc",
    10: "bt2020c",
}
PRIMARIES = {1: "bt709", 4: "bt470m", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "film", 9: "bt2020"}
PRIMARIES |= {10: "smpte428", 11: "smpte431", 12: "smpte432"}
TRANSFERS = {1: "bt709", 4: "bt470m", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "linear", 11: "iec61966-2-4"}
TRANSFERS |= {13: "iec61966-2-1", 14: "bt2020-10", 15: "bt2020-12", 16: "smpte2084", 18: "arib-std-b67"}
"""ITU-T H.273 Tables 2 to 4 in FFmpeg's names; 2 and what is missing: untagged."""


def shape(pixel_format: str) -> tuple[int, str]:
    """(bits per sample, chroma format) of FFmpeg's pixel format.

    Raises:
        UnsupportedSource: a format without plain samples.
    """
    what = samples(pixel_format)
    return what.bits, "4:0:0" if what.model is Model.GREY else _CHROMA.get(what.chroma, "4:2:0")


def full_range(frame: VideoFrame) -> bool | None:
    """Range of the samples as tagged; the yuvj formats are full by definition."""
    if frame.format.name.startswith("yuvj") or frame.color_range == _FULL:
        return True
    return False if frame.color_range == _LIMITED else None


def field_order(order: int, top_first: bool | None, interlaced: bool) -> tuple[Scan, tuple[str, ...]]:
    """(scan, notes): ``interlaced`` tells whether any frame was; ``top_first`` from the pictures goes before ``order``.

    ``order`` is FFmpeg's AVFieldOrder, from the container or the decoder.
    """
    if not interlaced:
        return Scan.PROGRESSIVE, ()
    if top_first is None and order in _TOP_FIRST_ORDERS | _BOTTOM_FIRST_ORDERS:
        top_first = order in _TOP_FIRST_ORDERS
    notes = () if top_first is not None else ("field order unknown: top first assumed",)
    return Scan.BOTTOM_FIELD_FIRST if top_first is False else Scan.TOP_FIELD_FIRST, notes


def orientation(frame: VideoFrame) -> tuple[int, bool, tuple[str, ...]]:
    """(clockwise degrees, mirrored, notes) of the display matrix (ISO/IEC 14496-12 8.3.2); odd angles are noted only.

    A matrix whose determinant is negative mirrors: it is taken as left and right swapped first, then a turn.
    """
    matrix = _side_data(frame, _DISPLAY_MATRIX)
    if matrix is None:
        return 0, False, ()
    a, b, _, c, d = struct.unpack_from("=5i", matrix)
    mirrored = a * d < b * c
    sign = -1 if mirrored else 1
    angle = round(degrees(atan2(sign * b, sign * a))) % 360
    if angle % 90:
        return 0, mirrored, (f"turned by {angle} degrees, which is no right angle",)
    return angle, mirrored, ()


def mastering_display(frame: VideoFrame) -> MasteringDisplay | None:
    """What the decoder or the container says of the mastering display, in the units of the SEI message."""
    data = _side_data(frame, "MASTERING_DISPLAY_METADATA")
    if data is None or len(data) < _MASTERING.size:
        return None
    numbers = _MASTERING.unpack_from(data)
    parts = [0 if not bottom else top / bottom for top, bottom in zip(numbers[:20:2], numbers[1:20:2], strict=True)]
    if not all(numbers[20:22]):
        return None
    points = [(round(50_000 * parts[at]), round(50_000 * parts[at + 1])) for at in range(0, 8, 2)]
    low, high = (round(10_000 * part) for part in parts[8:])
    return MasteringDisplay(
        red=points[0], green=points[1], blue=points[2], white_point=points[3], max_luminance=high, min_luminance=low
    )


def content_light(frame: VideoFrame) -> ContentLight | None:
    """MaxCLL and MaxFALL as the decoder or the container says."""
    data = _side_data(frame, "CONTENT_LIGHT_LEVEL")
    if data is None or len(data) < 8:
        return None
    brightest, mean = struct.unpack_from("=2I", data)
    return ContentLight(max_cll=brightest, max_fall=mean)


def _side_data(frame: VideoFrame, kind: str) -> bytes | None:
    held = cast("SideDataContainer | None", getattr(frame, "side_data", None))  # a context in a frame's place has none
    found = held.get(kind) if held is not None else None
    return None if found is None else bytes(found)


def audio(track: AudioTrack, frames: MpegFacts | None, span: tuple[float, float] | None = None) -> AudioStream:
    """One audio stream; ``frames``: what the frames of MPEG audio say of themselves, which goes before a container's word;
    ``span``: begin after the first frame, and duration, ms.

    Codec ``unknown``, 0 Hz and 0 channels where FFmpeg cannot tell.
    """
    context = cast("AudioCodecContext | None", track.codec_context)  # None: no decoder, whatever its type says
    if context is None:
        return AudioStream(codec="unknown", sample_rate=0, channels=0)
    codec = context.codec.canonical_name if context.codec else "unknown"
    return AudioStream(
        codec=frames.codec if frames else codec,
        sample_rate=context.sample_rate or 0,
        channels=context.layout.nb_channels if context.layout else 0,
        bit_rate=(frames and frames.bit_rate) or context.bit_rate or None,
        profile=context.profile or None,
        layout=context.layout.name if context.layout else None,
        constant_bit_rate=frames.constant if frames else None,
        start_ms=None if span is None else span[0],
        duration_ms=None if span is None else span[1],
    )
