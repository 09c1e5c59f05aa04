"""Rules on a header around frames that are coded one by one (PS3.5 8.2.1–8.2.4, 8.2.14, A.4; PS3.3 C.7.6.3)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from common.conformance.rules import Breach, Severity
from common.dicom.frame_syntaxes import FrameSyntax, frame_syntax
from common.dicom.lossy import METHOD, RATIO
from common.dicom.pixel_stream import integer
from common.dicom.values import texts
from common.orders import Finding

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_COLOUR = frozenset({"RGB", "YBR_FULL", "YBR_FULL_422", "YBR_RCT", "YBR_ICT"})
_BY_PLANE = frozenset({"1.2.840.10008.1.2.5"})  # RLE is always by plane; the attribute is free there (8.2.2)


@dataclass(frozen=True)
class FrameCase:
    """A header and its coded frames held against a transfer syntax."""

    header: Dataset
    syntax: FrameSyntax
    lengths: Sequence[int]  # bytes of each coded frame

    def number(self, keyword: str) -> int:
        """An integer attribute; 0 where there is none."""
        return integer(self.header, keyword)

    @property
    def photometric(self) -> str:
        """Photometric Interpretation."""
        return str(self.header.get("PhotometricInterpretation") or "")


@dataclass(frozen=True)
class FrameRule:
    """One row of the table; what it demands is its function's docstring."""

    id: str
    clause: str  # empty: that of the syntax
    severity: Severity
    check: Callable[[FrameCase], Iterator[Breach]]

    @property
    def demand(self) -> str:
        """What the rule demands, in words."""
        return " ".join((self.check.__doc__ or "").split())


def check_frames(header: Dataset, transfer_syntax_uid: str, lengths: Sequence[int]) -> tuple[Finding, ...]:
    """Findings on a header around coded frames of so many bytes.

    Raises:
        NoLegalPath: Cinefarm writes no frames under this syntax and has no rules for it.
    """
    case = FrameCase(header, frame_syntax(transfer_syntax_uid), lengths)
    return tuple(
        Finding(
            severity=rule.severity,
            rule=rule.id,
            clause=rule.clause or case.syntax.clause,
            found=breach.found,
            required=breach.required,
            remedy=breach.remedy,
        )
        for rule in FRAME_RULES
        for breach in rule.check(case)
    )


def photometric(case: FrameCase) -> Iterator[Breach]:
    """Photometric Interpretation is one that the table of the syntax's clause lists."""
    if case.photometric not in case.syntax.photometrics:
        yield Breach(f"Photometric Interpretation {case.photometric}", " or ".join(case.syntax.photometrics))


def samples(case: FrameCase) -> Iterator[Breach]:
    """Colour has three samples a pixel, by pixel (Planar Configuration 0); all else has one and no Planar Configuration."""
    wanted = 3 if case.photometric in _COLOUR else 1
    if case.number("SamplesPerPixel") != wanted:
        yield Breach(f"{case.number('SamplesPerPixel')} samples a pixel", f"{wanted} for {case.photometric}")
    if wanted == 3 and case.syntax.uid not in _BY_PLANE and case.number("PlanarConfiguration"):
        yield Breach("Planar Configuration 1", "0")


def bits(case: FrameCase) -> Iterator[Breach]:
    """Bits Stored are as many as the syntax codes, within Bits Allocated of 8 or 16, and High Bit is the highest of them."""
    allocated, stored, high = (case.number(name) for name in ("BitsAllocated", "BitsStored", "HighBit"))
    if stored not in case.syntax.stored or allocated not in (8, 16) or stored > allocated:
        yield Breach(
            f"{stored} bits stored in {allocated}", f"{case.syntax.stored[0]}–{case.syntax.stored[-1]} in 8 or 16"
        )
    if case.syntax.uid not in _BY_PLANE and high != stored - 1:
        yield Breach(f"High Bit {high}", str(stored - 1))


def sign(case: FrameCase) -> Iterator[Breach]:
    """Values have a sign in grey images alone, and none under JPEG Baseline."""
    grey = case.photometric.startswith("MONOCHROME")
    if case.number("PixelRepresentation") and not (grey and case.syntax.signed):
        yield Breach("Pixel Representation 1", "0")


def size(case: FrameCase) -> Iterator[Breach]:
    """Every frame that the header counts is there, and each of them is coded."""
    if case.number("NumberOfFrames") != len(case.lengths) or not min(case.lengths, default=0):
        yield Breach(f"{len(case.lengths)} coded frames", f"{case.number('NumberOfFrames')}, none of them empty")
    if not case.number("Rows") or not case.number("Columns"):
        yield Breach("no Rows or no Columns", "the size of a frame")


def lossy(case: FrameCase) -> Iterator[Breach]:
    """A lossy coding is on record: Lossy Image Compression 01, and its method with a ratio as the last step."""
    if case.syntax.lossless:
        return
    if case.header.get("LossyImageCompression") != "01":
        yield Breach("Lossy Image Compression not 01", "01")
    methods, ratios = texts(case.header, METHOD), texts(case.header, RATIO)
    if not methods or methods[-1] != case.syntax.method or len(ratios) != len(methods):
        yield Breach("a lossy step without its method or ratio", f"{case.syntax.method} with a ratio, as the last step")


FRAME_RULES: tuple[FrameRule, ...] = (
    FrameRule("frames.photometric", "", "error", photometric),
    FrameRule("frames.samples", "", "error", samples),
    FrameRule("frames.bits", "", "error", bits),
    FrameRule("frames.sign", "", "error", sign),
    FrameRule("frames.size", "PS3.3 C.7.6.6", "error", size),
    FrameRule("frames.lossy", "PS3.3 C.7.6.1.1.5", "error", lossy),
)
