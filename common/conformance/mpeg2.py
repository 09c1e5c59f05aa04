"""Rules on the codes of an MPEG-2 sequence header. An error here can only be mended by encoding anew."""

from __future__ import annotations

from collections.abc import Iterator

from common.conformance.rules import OF_SYNTAX, Breach, Rule, StreamCase
from common.dicom.transfer_syntaxes import ROOT
from common.media import Coding

SIXTEEN_BY_NINE = 3
"""aspect_ratio_information 0011, ISO/IEC 13818-2 Table 6-3."""

ASPECTS = range(1, 5)
"""aspect_ratio_information that has a meaning: square samples, 4:3, 16:9, 2.21:1 (Table 6-3)."""

RATES = range(1, 9)
"""frame_rate_code that has a meaning: 23.976 to 60 (Table 6-4)."""


def aspect_code(case: StreamCase) -> Iterator[Breach]:
    """aspect_ratio_information is 0011, 16:9, under .101 (PS3.5 8.2.6), and not forbidden or reserved under .100."""
    code = _coding(case).aspect_code
    if code is None:
        return
    if case.base_uid == f"{ROOT}.101" and code != SIXTEEN_BY_NINE:
        yield Breach(f"aspect_ratio_information {code:04b}", "0011, a display aspect ratio of 16:9")
    elif code not in ASPECTS:
        yield Breach(f"aspect_ratio_information {code:04b}", "0001 to 0100")


def rate_code(case: StreamCase) -> Iterator[Breach]:
    """frame_rate_code names a rate, and frame_rate_extension_n and _d are 0 as in Main profile (13818-2 Table 8-5)."""
    coding = _coding(case)
    if coding.rate_code is not None and coding.rate_code not in RATES:
        yield Breach(f"frame_rate_code {coding.rate_code:04b}", "0001 to 1000")
    if coding.rate_extended:
        yield Breach("a frame rate extension", "frame_rate_extension_n and frame_rate_extension_d 0")


def low_delay(case: StreamCase) -> Iterator[Breach]:
    """A sequence with low_delay 1 holds no B pictures (13818-2 6.3.5): decoders show its pictures at once."""
    coding = _coding(case)
    if coding.low_delay and coding.b_pictures:
        yield Breach("B pictures under low_delay 1", "low_delay 0")


def _coding(case: StreamCase) -> Coding:
    held = case.syntax.codec == case.video.codec == "mpeg2video"
    return (case.video.coding if held else None) or Coding()


MPEG2_RULES: tuple[Rule[StreamCase], ...] = (
    Rule("stream.mpeg2.aspect", OF_SYNTAX, "error", aspect_code),
    Rule("stream.mpeg2.rate", OF_SYNTAX, "error", rate_code),
    Rule("stream.mpeg2.low_delay", OF_SYNTAX, "warning", low_delay),
)
