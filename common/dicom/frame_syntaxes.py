"""The frame-based transfer syntaxes that Cinefarm writes: what PS3.5 8.2.1–8.2.4 and 8.2.14 admit under each, as one table."""

from __future__ import annotations

from dataclasses import dataclass

from common.dicom.transfer_syntaxes import JPEG, RLE_LOSSLESS, ROOT, short
from common.errors import NoLegalPath

JPEG_BASELINE, JPEG_LS_LOSSLESS, JPEG_2000_LOSSLESS, HTJ2K_LOSSLESS = (f"{ROOT}.{x}" for x in (50, 80, 90, 201))

KEPT_AS_THEY_ARE = frozenset({RLE_LOSSLESS, *(f"{ROOT}.{x}" for x in (50, 51, 57, 70, 80, 81, 90, 91, 201, 202, 203))})
"""Syntaxes whose frames are compressed already: coding them anew would win little and prove nothing."""

_GREY = ("MONOCHROME1", "MONOCHROME2")


@dataclass(frozen=True)
class FrameSyntax:
    """One row: what the header around such frames may say."""

    uid: str
    name: str
    clause: str
    photometrics: tuple[str, ...]
    stored: range  # Bits Stored
    signed: bool = True  # Pixel Representation 1 is admitted (grey only)
    method: str = ""  # Lossy Image Compression Method; empty: lossless
    rgb_as: str = "RGB"  # Photometric Interpretation of what came as RGB

    @property
    def lossless(self) -> bool:
        """Nothing is lost under this syntax."""
        return not self.method


FRAME_SYNTAXES: tuple[FrameSyntax, ...] = (
    FrameSyntax(
        JPEG_LS_LOSSLESS,
        "JPEG-LS Lossless",
        "PS3.5 8.2.3",
        (*_GREY, "PALETTE COLOR", "RGB", "YBR_FULL"),
        range(2, 17),
    ),
    FrameSyntax(
        JPEG_2000_LOSSLESS,
        "JPEG 2000 Lossless",
        "PS3.5 8.2.4",
        (*_GREY, "PALETTE COLOR", "RGB", "YBR_RCT", "YBR_FULL"),
        range(1, 17),
        rgb_as="YBR_RCT",
    ),
    FrameSyntax(
        HTJ2K_LOSSLESS,
        "High-Throughput JPEG 2000 Lossless",
        "PS3.5 8.2.14",
        (*_GREY, "PALETTE COLOR", "RGB", "YBR_RCT", "YBR_FULL"),
        range(1, 17),
        rgb_as="YBR_RCT",
    ),
    FrameSyntax(
        RLE_LOSSLESS, "RLE Lossless", "PS3.5 8.2.2", (*_GREY, "PALETTE COLOR", "RGB", "YBR_FULL"), range(1, 17)
    ),
    FrameSyntax(
        JPEG_BASELINE,
        "JPEG Baseline (Process 1)",
        "PS3.5 8.2.1",
        (*_GREY, "YBR_FULL_422", "YBR_FULL", "RGB"),
        range(8, 9),
        signed=False,
        method=JPEG,
        rgb_as="YBR_FULL_422",
    ),
)
"""Lossless codings in the order of preference (docs/frames.md has their figures); JPEG Baseline alone loses."""

_BY_UID = {syntax.uid: syntax for syntax in FRAME_SYNTAXES}


def is_frame_syntax(uid: str) -> bool:
    """True when Cinefarm writes sequences of images under this transfer syntax."""
    return uid in _BY_UID


def frame_syntax(uid: str) -> FrameSyntax:
    """The row of one syntax.

    Raises:
        NoLegalPath: Cinefarm writes no frames under it.
    """
    try:
        return _BY_UID[uid]
    except KeyError:
        names = ", ".join(short(row.uid) for row in FRAME_SYNTAXES)
        raise NoLegalPath(f"frames are not written under {uid}", hint=f"Choose one of {names}.") from None
