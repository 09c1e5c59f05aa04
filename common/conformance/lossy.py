"""Rules on the lossy record of a header (PS3.3 C.7.6.1.1.5): once lossy, always lossy, step by step."""

from __future__ import annotations

from collections.abc import Iterator

from common.conformance.case import HeaderCase
from common.conformance.rules import Breach, Rule
from common.dicom.lossy import METHOD, RATIO, compressed_bytes, raw_bytes

_FAR = 10.0
"""A ratio this many times off is another's: 4:4:4 and 16-bit originals account for 2 each, a smaller picture for 2 more."""


def lossy(case: HeaderCase) -> Iterator[Breach]:
    """Lossy Image Compression is 01: video coding under these syntaxes has lost something, and that stays on record."""
    yield from case.differs("LossyImageCompression", "01")


def lossy_steps(case: HeaderCase) -> Iterator[Breach]:
    """One ratio and one method for each lossy step; the last method is the stream's own."""
    ratios, methods = case.texts(RATIO), case.texts(METHOD)
    if ratios and methods and len(ratios) != len(methods):
        yield Breach(f"{len(ratios)} compression ratios and {len(methods)} methods", "one of each for each lossy step")
    if methods and methods[-1] != case.syntax.method:
        yield Breach(f"last LossyImageCompressionMethod {methods[-1][:16]}", case.syntax.method)


def lossy_record(case: HeaderCase) -> Iterator[Breach]:
    """Ratio and method of the lossy steps are on record."""
    for keyword in (RATIO, METHOD):
        if not any(case.texts(keyword)):
            yield Breach(f"no {keyword}", keyword)


def ratio_positive(case: HeaderCase) -> Iterator[Breach]:
    """Every Lossy Image Compression Ratio is a number above 0; one of several may be empty where it is not known."""
    for text in case.texts(RATIO):
        if text not in ("", "None") and not _positive(text):
            yield Breach(f"LossyImageCompressionRatio {text[:16]}", "bytes before the step, divided by bytes after it")


def ratio_plausible(case: HeaderCase) -> Iterator[Breach]:
    """The last Lossy Image Compression Ratio is about the bytes of the decoded frames divided by the bytes stored."""
    ratios = case.numbers(RATIO)
    real = raw_bytes(case.description) / compressed_bytes(case.description)
    if ratios and ratios[-1] > 0 and real > 0 and not 1 / _FAR < ratios[-1] / real < _FAR:
        yield Breach(f"a last LossyImageCompressionRatio of {ratios[-1]:g}", f"about {real:.3g}, from the sizes")


def _positive(text: str) -> bool:
    try:
        return 0 < float(text) < float("inf")
    except ValueError:
        return False


LOSSY_RULES: tuple[Rule[HeaderCase], ...] = (
    Rule("header.lossy", "PS3.3 C.7.6.1.1.5", "error", lossy),
    Rule("header.lossy.steps", "PS3.3 C.7.6.1.1.5.2", "error", lossy_steps),
    Rule("header.lossy.record", "PS3.3 C.7.6.1.1.5", "warning", lossy_record),
    Rule("header.lossy.ratio", "PS3.3 C.7.6.1.1.5.2", "error", ratio_positive),
    Rule("header.lossy.plausible", "PS3.3 C.7.6.1.1.5.2", "warning", ratio_plausible),
)
