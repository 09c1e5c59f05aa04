"""Rules on the level: what the stream claims, and what its pictures, bit rate and buffers really need."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from common.conformance.rules import OF_SYNTAX, Breach, Rule, StreamCase
from common.levels import (
    H264_LEVELS,
    HEVC_LEVELS,
    NAL_PER_VCL,
    h264_level_violations,
    h264_max_references,
    hevc_level_violations,
    hevc_max_pictures,
    level_budget,
    mpeg2_level_violations,
)
from common.media import Coding, Hrd, Scan, VideoStream

MPEG2_IDS: dict[int, str] = {10: "Low", 8: "Main", 6: "High 1440", 4: "High"}
"""Level identifications, ISO/IEC 13818-2 Table 8-3."""

MPEG2_DECODABLE: dict[str, tuple[int, ...]] = {"Main": (8, 10), "High": (4,)}
"""Level of the syntax → level identifications: a Main Level decoder decodes Low Level; .101 does not support High 1440
(PS3.5 8.2.6, note 7), and the pictures it allows do not fit Main Level."""

UNBOUNDED_RATE = 400 * 0x3FFFF
"""bit/s: bit_rate of all ones, as MPEG-1 marks a variable rate (ISO/IEC 11172-2 2.4.3.2). MPEG-2 knows no such mark, but
FFmpeg writes it where no rate was named."""

_HEVC_UNIT = 30  # general_level_idc is 30 times the level number (H.265 A.4.1)


def claim(case: StreamCase) -> Iterator[Breach]:
    """The level that the stream names is the syntax's or a lower one: decoders go by level_idc."""
    level, syntax = case.video.level_idc, case.syntax
    if level is None or case.video.codec != syntax.codec:
        return
    if syntax.codec == "mpeg2video":
        legal, named = level in MPEG2_DECODABLE[syntax.level], f"level identification {level}"
    elif syntax.codec == "h264":
        legal, named = level <= _h264_idc(syntax.level), f"level {_h264_name(level)}"
    else:
        legal, named = level <= float(syntax.level) * _HEVC_UNIT, f"level {level / _HEVC_UNIT:g}"
    if not legal:
        yield Breach(
            named, f"level {syntax.level} at most" if syntax.codec != "mpeg2video" else f"{syntax.level} level"
        )


def limits(case: StreamCase) -> Iterator[Breach]:
    """Frame size, rate and bit rate, computed anew, fit the syntax's level or a lower one (H.264 A.3, H.265 A.4, 13818-2 8)."""
    if case.video.codec == case.syntax.codec:
        yield from _breaches(_violations(case), case.syntax.level)


def decoded_pictures(case: StreamCase) -> Iterator[Breach]:
    """The decoder holds no more pictures than the level allows: max_num_ref_frames and max_dec_frame_buffering within
    MaxDpbFrames (H.264 A.3.1 h), sps_max_dec_pic_buffering within MaxDpbSize (H.265 A.4.2)."""
    yield from _of_coding(case, _dpb)


def promised_rate(case: StreamCase) -> Iterator[Breach]:
    """Bit rates and buffers that the headers name fit the level: hrd_parameters (H.264 A.3.1, A.3.3; H.265 A.4.2), bit_rate
    and vbv_buffer_size (13818-2 Tables 8-13, 8-14)."""
    yield from _of_coding(case, _hrd)


def busiest(case: StreamCase) -> Iterator[Breach]:
    """A buffer as large as the level's, filled at the level's bit rate, never runs dry: so many bits fit into no shorter time
    (H.264 C.1, H.265 C.2, 13818-2 Annex C)."""
    yield from _of_coding(case, _peak)


def own_limits(case: StreamCase) -> Iterator[Breach]:
    """The stream keeps within the level that it names itself."""
    level = _named_level(case)
    if case.video.codec != case.syntax.codec or level is None:
        return
    beyond = _beyond(case, level) or _buffers(case, level)
    if beyond and not _violations(case) and not _buffers(case, case.syntax.level):
        yield Breach(f"a stream that names level {level} and goes beyond it", f"the limits of level {level}")


def unnamed_rate(case: StreamCase) -> Iterator[Breach]:
    """The sequence header of MPEG-2 names a bit rate: all ones stand for "variable" in MPEG-1 only (13818-2 6.3.3)."""
    coding = case.video.coding
    if case.video.codec == "mpeg2video" and coding and coding.nal_hrd and coding.nal_hrd.bit_rate == UNBOUNDED_RATE:
        yield Breach("a bit_rate of all ones", "the highest bit rate of the stream")


def _breaches(found: tuple[str, ...], level: str) -> Iterator[Breach]:
    return (Breach(broken, f"the limits of level {level}") for broken in found)


def _of_coding(case: StreamCase, check: Callable[[VideoStream, Coding, str], Iterator[str]]) -> Iterator[Breach]:
    if case.video.codec == case.syntax.codec and case.video.coding:
        yield from _breaches(tuple(check(case.video, case.video.coding, case.syntax.level)), case.syntax.level)


def _violations(case: StreamCase) -> tuple[str, ...]:
    """What breaks the syntax's level. A stream of a lower level is legal too, even where the higher forbids interlace."""
    syntax = case.syntax
    if syntax.codec == "mpeg2video":
        return _beyond(case, syntax.level)
    names = list(H264_LEVELS if syntax.codec == "h264" else HEVC_LEVELS)
    lower = names[: names.index(syntax.level) + 1]
    found = [_beyond(case, name) for name in lower]
    return () if not all(found) else found[-1]


def _beyond(case: StreamCase, level: str) -> tuple[str, ...]:
    """What of the picture and of the mean bit rate is beyond a level."""
    video = case.video
    width, height = _decoded_size(video)
    rate = _channel_rate(video, level_budget(video.codec, level)[1])
    if video.codec == "mpeg2video":
        return mpeg2_level_violations(width, height, video.frame_rate, level, bit_rate=rate)
    if video.codec == "hevc":
        return hevc_level_violations(width, height, video.frame_rate, level, bit_rate=rate)
    interlaced = video.scan is not Scan.PROGRESSIVE or (
        video.coding is not None and video.coding.progressive_only is False
    )
    return h264_level_violations(width, height, video.frame_rate, level, interlaced=interlaced, bit_rate=rate)


def _buffers(case: StreamCase, level: str) -> tuple[str, ...]:
    coding = case.video.coding
    if coding is None:
        return ()
    return tuple(words for check in (_dpb, _hrd, _peak) for words in check(case.video, coding, level))


def _decoded_size(video: VideoStream) -> tuple[int, int]:
    """Levels count decoded samples, not those that cropping leaves (H.264 A.3.1: PicSizeInMbs, H.265 A.4.1)."""
    coding = video.coding
    if coding and coding.coded_width and coding.coded_height:
        return coding.coded_width, coding.coded_height
    return video.width, video.height


def _dpb(video: VideoStream, coding: Coding, level: str) -> Iterator[str]:
    needed = max(coding.decoded_frames or 0, coding.reference_frames or 0)
    if video.codec == "mpeg2video":
        return
    allowed = (h264_max_references if video.codec == "h264" else hevc_max_pictures)(*_decoded_size(video), level)
    if needed > allowed > 0:  # 0: not even one picture fits, which is for the rule on picture size to say
        yield f"{needed} decoded pictures to be held are above the {allowed} of {video.codec} level {level}"


def _hrd(video: VideoStream, coding: Coding, level: str) -> Iterator[str]:
    rate, buffer = level_budget(video.codec, level)
    factor = NAL_PER_VCL[video.codec]
    for name, hrd, share in (("NAL", coding.nal_hrd, factor), ("VCL", coding.vcl_hrd, 1)):
        if hrd is None:
            continue
        words = f"{name} HRD" if video.codec != "mpeg2video" else "sequence header"
        if hrd.bit_rate > rate * share and not _unbounded(video, hrd):
            yield f"the {words}'s bit rate of {hrd.bit_rate:,} bit/s is above the {int(rate * share):,} of level {level}"
        if hrd.buffer_bits > buffer * share:
            yield f"the {words}'s buffer of {hrd.buffer_bits:,} bits is above the {int(buffer * share):,} of level {level}"


def _unbounded(video: VideoStream, hrd: Hrd) -> bool:
    return video.codec == "mpeg2video" and hrd.bit_rate == UNBOUNDED_RATE


def _peak(video: VideoStream, coding: Coding, level: str) -> Iterator[str]:
    rate, buffer = level_budget(video.codec, level)
    for frames, bits in overflowing(video, coding, rate, buffer):
        yield f"{frames} frames of {bits:,} bits in a row are above what level {level} brings in their time"
        return


def overflowing(video: VideoStream, coding: Coding, rate: int, buffer: int) -> Iterator[tuple[int, int]]:
    """(frames, bits) of spans that need more than a full buffer (bits) and what a channel (bit/s) brings meanwhile.

    Between the removal of the first frame and that of the last lie all their durations but one.
    """
    for frames, bits in coding.peaks:
        lasting = frames == 1 or video.constant_rate  # else nobody knows how long the busiest frames last
        if lasting and video.frame_rate and bits > buffer + rate * (frames - 1) / video.frame_rate:
            yield frames, bits


def _channel_rate(video: VideoStream, buffer_bits: int) -> int | None:
    """Least bit/s at which a channel can bring all bits in time, the decoder's buffer filled beforehand (H.264 C.1).

    The mean rate of a loop of a second may be twice what its level allows, and the stream still conform.
    """
    if video.bit_rate is None or video.duration_ms <= 0:
        return None
    return max(0, video.bit_rate - round(buffer_bits * 1000 / video.duration_ms))


def _named_level(case: StreamCase) -> str | None:
    level = case.video.level_idc
    if level is None:
        return None
    if case.syntax.codec == "mpeg2video":
        return MPEG2_IDS.get(level)
    name = _h264_name(level) if case.syntax.codec == "h264" else f"{level / _HEVC_UNIT:g}"
    return name if name in (H264_LEVELS if case.syntax.codec == "h264" else HEVC_LEVELS) else None


def _h264_idc(name: str) -> int:
    return round(float(name) * 10)


def _h264_name(idc: int) -> str:
    """level_idc 9 is 1b in the High profiles (H.264 A.3.4)."""
    return "1b" if idc == 9 else f"{idc / 10:g}"


LEVEL_RULES: tuple[Rule[StreamCase], ...] = (
    Rule("stream.level", OF_SYNTAX, "error", claim),
    Rule("stream.level.limits", OF_SYNTAX, "error", limits),
    Rule("stream.level.pictures", OF_SYNTAX, "error", decoded_pictures),
    Rule("stream.level.hrd", OF_SYNTAX, "error", promised_rate),
    Rule("stream.level.peak", OF_SYNTAX, "error", busiest),
    Rule("stream.level.claim", OF_SYNTAX, "warning", own_limits),
    Rule("stream.level.rate", OF_SYNTAX, "warning", unnamed_rate),
)
