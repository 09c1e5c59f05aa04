"""Rules on the level: what the stream claims, and what its picture, rate and bit rate really need."""

from __future__ import annotations

from collections.abc import Iterator

from common.conformance.rules import OF_SYNTAX, Breach, Rule, StreamCase
from common.levels import (
    H264_LEVELS,
    H264_VCL_FACTOR,
    HEVC_LEVELS,
    HEVC_VCL_FACTOR,
    h264_level_violations,
    hevc_level_violations,
)
from common.media import Scan, VideoStream

MPEG2_LEVELS: dict[str, tuple[int, ...]] = {"Main": (8, 10), "High": (4,)}
"""Level of the syntax → level identifications (ISO/IEC 13818-2 Table 8-3): a Main Level decoder decodes Low Level; .101
does not support High 1440 (PS3.5 8.2.6, note 7), and the pictures it allows do not fit Main Level."""

MPEG2_RATES: dict[str, tuple[int, int]] = {"Main": (15_000_000, 1_835_008), "High": (80_000_000, 9_781_248)}
"""Main profile: bit/s and VBV buffer in bits (ISO/IEC 13818-2 Tables 8-13 and 8-14)."""

_HEVC_UNIT = 30  # general_level_idc is 30 times the level number (H.265 A.4.1)


def claim(case: StreamCase) -> Iterator[Breach]:
    """The level that the stream names is the syntax's or a lower one: decoders go by level_idc."""
    level, syntax = case.video.level_idc, case.syntax
    if level is None or case.video.codec != syntax.codec:
        return
    if syntax.codec == "mpeg2video":
        legal, named = level in MPEG2_LEVELS[syntax.level], f"level identification {level}"
    elif syntax.codec == "h264":
        legal, named = level <= _h264_idc(syntax.level), f"level {_h264_name(level)}"
    else:
        legal, named = level <= float(syntax.level) * _HEVC_UNIT, f"level {level / _HEVC_UNIT:g}"
    if not legal:
        yield Breach(
            named, f"level {syntax.level} at most" if syntax.codec != "mpeg2video" else f"{syntax.level} level"
        )


def limits(case: StreamCase) -> Iterator[Breach]:
    """Frame size, rate and bit rate, computed anew, fit the syntax's level or a lower one (H.264 A.3, H.265 A.4)."""
    if case.video.codec != case.syntax.codec:
        return
    for broken in _violations(case):
        yield Breach(broken, f"the limits of level {case.syntax.level}")


def own_limits(case: StreamCase) -> Iterator[Breach]:
    """The stream keeps within the level that it names itself."""
    if case.video.codec != case.syntax.codec or case.video.level_idc is None:
        return
    level = _named_level(case)
    if level is not None and _beyond(case, level) and not _violations(case):
        yield Breach(f"a stream that names level {level} and goes beyond it", f"the limits of level {level}")


def _violations(case: StreamCase) -> tuple[str, ...]:
    """What breaks the syntax's level. A stream of a lower level is legal too, even where the higher forbids interlace."""
    video, syntax = case.video, case.syntax
    if syntax.codec == "mpeg2video":
        limit, buffer = MPEG2_RATES[syntax.level]
        rate = _channel_rate(video, buffer)
        return (f"{rate:,} bit/s is above the {limit:,} of {syntax.level} level",) if rate and rate > limit else ()
    names = list(H264_LEVELS if syntax.codec == "h264" else HEVC_LEVELS)
    lower = names[: names.index(syntax.level) + 1]
    found = [_beyond(case, name) for name in lower]
    return () if not all(found) else found[-1]


def _beyond(case: StreamCase, level: str) -> tuple[str, ...]:
    video = case.video
    if case.syntax.codec == "h264":
        return h264_level_violations(
            video.width,
            video.height,
            video.frame_rate,
            level,
            interlaced=video.scan is not Scan.PROGRESSIVE,
            bit_rate=_channel_rate(video, H264_LEVELS[level].max_cpb * H264_VCL_FACTOR["high"]),
        )
    bit_rate = _channel_rate(video, HEVC_LEVELS[level].max_cpb * HEVC_VCL_FACTOR)
    return hevc_level_violations(video.width, video.height, video.frame_rate, level, bit_rate=bit_rate)


def _channel_rate(video: VideoStream, buffer_bits: int) -> int | None:
    """Least bit/s at which a channel can bring all bits in time, the decoder's buffer filled beforehand (H.264 C.1).

    The mean rate of a loop of a second may be twice what its level allows, and the stream still conform.
    """
    if video.bit_rate is None or video.duration_ms <= 0:
        return None
    return max(0, video.bit_rate - round(buffer_bits * 1000 / video.duration_ms))


def _named_level(case: StreamCase) -> str | None:
    level = case.video.level_idc or 0
    if case.syntax.codec == "h264":
        name = _h264_name(level)
        return name if name in H264_LEVELS else None
    name = f"{level / _HEVC_UNIT:g}"
    return name if case.syntax.codec == "hevc" and name in HEVC_LEVELS else None


def _h264_idc(name: str) -> int:
    return round(float(name) * 10)


def _h264_name(idc: int) -> str:
    """level_idc 9 is 1b in the High profiles (H.264 A.3.4)."""
    return "1b" if idc == 9 else f"{idc / 10:g}"


LEVEL_RULES: tuple[Rule[StreamCase], ...] = (
    Rule("stream.level", OF_SYNTAX, "error", claim),
    Rule("stream.level.limits", OF_SYNTAX, "error", limits),
    Rule("stream.level.claim", OF_SYNTAX, "warning", own_limits),
)
