"""Rules on what a header says of time (PS3.3 C.7.6.5 Cine, C.7.6.6 Multi-frame), against the times in the stream itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from common.conformance.case import HeaderCase, HeaderView, ShownTimes
from common.conformance.rules import Breach, Rule
from common.dicom.timing import FRAME_TIME, FRAME_TIME_VECTOR, MAX_SHORT_VALUE_BYTES

_MAX_DS = 16  # characters, PS3.5 6.2
_TOLERANCE = 0.02  # beyond it another value was meant: rates of 24 and 25 are 4 % apart
_RATE_ROUNDING = 0.0005  # 33.33 ms for 29.97 frames/s drifts by 4 s an hour
_TIMINGS = {FRAME_TIME: "FrameTime", FRAME_TIME_VECTOR: "FrameTimeVector"}
_SEQUENCINGS = frozenset({"0", "1"})  # Enumerated Values of Preferred Playback Sequencing
_DECIMALS = (
    "FrameTime",
    "FrameTimeVector",
    "FrameDelay",
    "EffectiveDuration",
    "LossyImageCompressionRatio",
)


def pointer(case: HeaderView) -> Iterator[Breach]:
    """Frame Increment Pointer names Frame Time or Frame Time Vector, and what it names is there."""
    named = [_TIMINGS[tag] for tag in case.tags("FrameIncrementPointer") if tag in _TIMINGS]
    if not named:
        yield Breach("a FrameIncrementPointer that names no timing", "one that names FrameTime or FrameTimeVector")
    for keyword in named:
        if not case.numbers(keyword):
            yield Breach(f"a FrameIncrementPointer to {keyword}, which is absent or no number", keyword)


def pointer_dangling(case: HeaderView) -> Iterator[Breach]:
    """Frame Increment Pointer names no attribute that is not in the header (readers follow it without looking)."""
    for tag in case.tags("FrameIncrementPointer"):
        if tag not in _TIMINGS and tag not in case.header:
            name = f"({tag >> 16 & 0xFFFF:04X},{tag & 0xFFFF:04X})"
            yield Breach(f"a FrameIncrementPointer to {name}, which is absent", "an attribute of this header")


def pointer_type(case: HeaderView) -> Iterator[Breach]:
    """Frame Increment Pointer is an attribute tag, VR AT."""
    found = case.vr("FrameIncrementPointer")
    if found not in ("", "AT"):
        yield Breach(f"a FrameIncrementPointer with VR {found[:2]}", "VR AT")


def rate(case: HeaderCase) -> Iterator[Breach]:
    """Frame Time or Frame Time Vector gives the stream's frame rate, within 2 %."""
    yield from _rate_off(case, _TOLERANCE, float("inf"))


def rate_rounding(case: HeaderCase) -> Iterator[Breach]:
    """Frame Time is not rounded so far that it drifts: 33.367 ms for 29.97 frames/s, not 33.33 (notes to PS3.5 8.2.6)."""
    yield from _rate_off(case, _RATE_ROUNDING, _TOLERANCE)


def positive(case: HeaderView) -> Iterator[Breach]:
    """Frame Time is above 0 ms, and no increment of Frame Time Vector is below it."""
    if any(value <= 0 for value in case.numbers("FrameTime")):
        yield Breach(f"FrameTime {case.text('FrameTime')[:16]}", "a time above 0 ms")
    if any(value < 0 for value in case.numbers("FrameTimeVector")):
        yield Breach("an increment below 0 in FrameTimeVector", "frames in the order in which they are shown")


def vector(case: HeaderView) -> Iterator[Breach]:
    """Frame Time Vector has one increment a frame, and the first is 0 (PS3.3 C.7.6.5.1.2)."""
    increments, count = case.numbers("FrameTimeVector"), case.frame_count
    if increments and len(increments) != count:
        yield Breach(f"{len(increments)} increments in FrameTimeVector", f"{count}, one a frame")
    if increments and increments[0] != 0:
        yield Breach(f"a first increment of {increments[0]:g} ms in FrameTimeVector", "0: nothing is shown before it")


def vector_times(case: HeaderCase) -> Iterator[Breach]:
    """Frame Time Vector gives the real time of every frame: each step within one tick of the stream's clock and the digits
    printed, and their sum within half a frame."""
    told, shown = case.texts("FrameTimeVector"), case.shown
    increments = case.numbers("FrameTimeVector")
    if shown is None or len(increments) < 2 or len(increments) != len(shown.ticks):
        return
    if place := _first_off(increments, shown, _printed_digit(told)):
        real = (shown.ticks[place] - shown.ticks[place - 1]) * shown.tick_ms
        yield Breach(
            f"frame {place + 1} {increments[place]:g} ms after the one before in FrameTimeVector",
            f"{real:g} ms, as the stream's time stamps have it",
        )


def vector_of_variable_rate(case: HeaderCase) -> Iterator[Breach]:
    """A stream of variable frame rate has a Frame Time Vector: one Frame Time cannot say when its frames are shown."""
    if not case.description.video.constant_rate and not case.numbers("FrameTimeVector"):
        yield Breach("a variable frame rate without FrameTimeVector", "FrameTimeVector, or a constant rate")


def vector_length(case: HeaderView) -> Iterator[Breach]:
    """In explicit VR a Frame Time Vector has at most 65,534 bytes: DS has a 16-bit length (PS3.5 7.1.2)."""
    texts = case.texts("FrameTimeVector")
    length = sum(map(len, texts)) + len(texts) - 1
    if case.vr("FrameTimeVector") == "DS" and length > MAX_SHORT_VALUE_BYTES:
        yield Breach(f"a FrameTimeVector of {length:,} bytes", f"at most {MAX_SHORT_VALUE_BYTES:,}, or a constant rate")


def one_timing(case: HeaderView) -> Iterator[Breach]:
    """Only the timing that Frame Increment Pointer names is there: players that do not follow it may take the other."""
    named = {_TIMINGS[tag] for tag in case.tags("FrameIncrementPointer") if tag in _TIMINGS}
    for keyword in _TIMINGS.values():
        if keyword not in named and case.texts(keyword) and any(map(case.texts, named)):
            yield Breach(f"a {keyword} that FrameIncrementPointer does not name", "none, or a pointer to it")


def cine_rate(case: HeaderCase) -> Iterator[Breach]:
    """Cine Rate and Recommended Display Frame Rate, whole numbers, are the stream's frame rate, rounded up or down."""
    coded = float(case.description.video.frame_rate)
    for keyword in ("CineRate", "RecommendedDisplayFrameRate"):
        for value in case.numbers(keyword)[:1]:
            if abs(value - coded) >= 1:
                yield Breach(f"{keyword} {value:g}", f"{coded:.5g}")


def duration(case: HeaderCase) -> Iterator[Breach]:
    """Effective Duration (s) is the time that all frames take, within 2 % or one frame."""
    video = case.description.video
    real = video.duration_ms / 1000
    for told in case.numbers("EffectiveDuration")[:1]:
        if abs(told - real) > max(real * _TOLERANCE, real / video.frame_count * 1.5):
            yield Breach(f"EffectiveDuration {told:g} s", f"{real:.6g} s")


def trim(case: HeaderView) -> Iterator[Breach]:
    """Start Trim and Stop Trim are numbers of frames, from 1, in this order (PS3.3 C.7.6.5)."""
    count = case.frame_count
    starts, stops = case.numbers("StartTrim")[:1], case.numbers("StopTrim")[:1]
    for keyword, values in (("StartTrim", starts), ("StopTrim", stops)):
        if values and not 1 <= values[0] <= count:
            yield Breach(f"{keyword} {values[0]:g}", f"a frame from 1 to {count}")
    if starts and stops and starts[0] > stops[0]:
        yield Breach(f"StartTrim {starts[0]:g} behind StopTrim {stops[0]:g}", "a first frame before the last one")


def sequencing(case: HeaderView) -> Iterator[Breach]:
    """Preferred Playback Sequencing is 0 (looping) or 1 (sweeping)."""
    found = case.text("PreferredPlaybackSequencing")
    if found and found not in _SEQUENCINGS:
        yield Breach(f"PreferredPlaybackSequencing {found[:16]}", "0 or 1")


def decimals(case: HeaderView) -> Iterator[Breach]:
    """A Decimal String has at most 16 characters."""
    for keyword in _DECIMALS:
        longest = max(map(len, case.texts(keyword)), default=0)
        if longest > _MAX_DS:
            yield Breach(f"{longest} characters in a value of {keyword}", f"at most {_MAX_DS}")


def _rate_off(case: HeaderCase, above: float, at_most: float) -> Iterator[Breach]:
    by_vector = FRAME_TIME_VECTOR in case.tags("FrameIncrementPointer")
    increments = case.numbers("FrameTimeVector")[1:] if by_vector else case.numbers("FrameTime")
    coded = 1000 / float(case.description.video.frame_rate) if case.description.video.frame_rate > 0 else 0.0
    judged_by_times = by_vector and case.shown is not None and len(increments) == len(case.shown.ticks) - 1
    if not increments or not coded or judged_by_times:
        return
    told = sum(increments) / len(increments)
    if above < abs(told - coded) / coded <= at_most:
        yield Breach(f"{told:.6g} ms a frame in the header", f"{coded:.6g} ms, as in the stream")


def _first_off(increments: Sequence[float], shown: ShownTimes, digit: float) -> int:
    """Number of the first frame (from 0) whose increment is off, or which all increments together show too early or late; 0: none.

    A writer that rounds running times leaves a step off by one unit of the last digit printed; a rounded period that is
    repeated adds up.
    """
    tick, total = shown.tick_ms, 0.0
    half_frame = (shown.ticks[-1] - shown.ticks[0]) * tick / (len(shown.ticks) - 1) / 2
    for place, (before, now) in enumerate(pairwise(shown.ticks), 1):
        total += increments[place]
        step_off = abs(increments[place] - (now - before) * tick)
        sum_off = abs(total - (now - shown.ticks[0]) * tick)
        if step_off > tick + digit or sum_off > max(half_frame, tick):
            return place
    return 0


def _printed_digit(texts: Sequence[str]) -> float:
    """One unit of the last digit printed, ms: 0.001 where the most exact increment is 33.367."""
    return 10.0 ** -max((len(text.partition(".")[2]) for text in texts if "e" not in text.lower()), default=0)


MULTI_FRAME_RULES: tuple[Rule[HeaderView], ...] = (
    Rule("header.pointer.dangling", "PS3.3 C.7.6.6.1.1", "error", pointer_dangling),
    Rule("header.pointer.type", "PS3.6 6", "error", pointer_type),
    Rule("header.rate.positive", "PS3.3 C.7.6.5", "error", positive),
    Rule("header.vector", "PS3.3 C.7.6.5.1.2", "error", vector),
    Rule("header.vector.length", "PS3.5 7.1.2", "error", vector_length),
    Rule("header.timing.one", "PS3.3 C.7.6.5", "warning", one_timing),
    Rule("header.trim", "PS3.3 C.7.6.5", "error", trim),
    Rule("header.sequencing", "PS3.3 C.7.6.5", "warning", sequencing),
    Rule("header.decimals", "PS3.5 6.2", "error", decimals),
)
"""What holds for any image of many frames."""

TIMING_RULES: tuple[Rule[HeaderCase], ...] = (
    *MULTI_FRAME_RULES,
    Rule("header.pointer", "PS3.3 C.7.6.6.1.1", "error", pointer),
    Rule("header.rate", "PS3.3 C.7.6.5", "error", rate),
    Rule("header.rate.rounded", "PS3.3 C.7.6.5", "warning", rate_rounding),
    Rule("header.vector.times", "PS3.3 C.7.6.5.1.2", "error", vector_times),
    Rule("header.vector.absent", "PS3.3 C.7.6.5.1.2", "warning", vector_of_variable_rate),
    Rule("header.cine_rate", "PS3.3 C.7.6.5", "warning", cine_rate),
    Rule("header.duration", "PS3.3 C.7.6.5", "warning", duration),
)
