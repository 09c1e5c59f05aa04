"""How the frames of a DICOM image lie in its pixel data: the Image Pixel Module (PS3.3 C.7.6.3), checked once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from common.errors import UnreadableSource, UnsupportedSource

if TYPE_CHECKING:
    from common.dicom.pixel_stream import Header

GREY = frozenset({"MONOCHROME1", "MONOCHROME2"})
HALF_CHROMA = "YBR_FULL_422"
"""Native: Y Y Cb Cr for two pixels (PS3.3 C.7.6.3.1.2)."""

_SAMPLES = dict.fromkeys((*GREY, "PALETTE COLOR"), 1)
_SAMPLES |= dict.fromkeys(("RGB", "YBR_FULL", "YBR_ICT", "YBR_RCT", HALF_CHROMA), 3)

IMPLICIT_LITTLE = "1.2.840.10008.1.2"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
EXPLICIT_BIG = "1.2.840.10008.1.2.2"
NATIVE = frozenset({IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG})
RLE = "1.2.840.10008.1.2.5"
DEFLATED_FRAMES = "1.2.840.10008.1.2.8.1"


@dataclass(frozen=True)
class Layout:
    """One frame's shape and samples, the same for all frames."""

    syntax: str  # transfer syntax UID
    frames: int
    rows: int
    columns: int
    samples: int  # per pixel
    planar: bool  # colour by plane
    allocated: int  # bits
    stored: int
    high: int
    signed: bool
    photometric: str
    words: bool  # VR is OW: in big endian, 8-bit samples are swapped in pairs (PS3.5 8.1.2 and 7.3)

    @property
    def cells(self) -> bool:
        """Samples lie in cells of Bits Allocated, as in native data; an image codec keeps bare values instead."""
        return self.syntax in NATIVE or self.syntax in (RLE, DEFLATED_FRAMES)

    @property
    def native_bytes(self) -> int:
        """Bytes of one frame, uncompressed."""
        samples = 2 if self.photometric == HALF_CHROMA else self.samples
        return self.rows * self.columns * samples * self.allocated // 8

    @property
    def size(self) -> str:
        """For messages: columns×rows."""
        return f"{self.columns}×{self.rows}"


def read_layout(header: Header) -> Layout:
    """Take the layout out of a header and check that it is one we can read.

    Raises:
        UnreadableSource: attributes are missing or contradict each other.
        UnsupportedSource: a sound layout that is no picture for a video (1 or 32 bits, retired colour models).
    """
    dataset = header.dataset
    try:
        layout = Layout(
            syntax=header.transfer_syntax_uid,
            frames=header.frames,
            rows=int(dataset.Rows),
            columns=int(dataset.Columns),
            samples=int(dataset.SamplesPerPixel),
            planar=bool(dataset.get("PlanarConfiguration") or 0),
            allocated=int(dataset.BitsAllocated),
            stored=int(dataset.BitsStored),
            high=int(dataset.get("HighBit", dataset.BitsStored - 1)),
            signed=bool(dataset.get("PixelRepresentation") or 0),
            photometric=str(dataset.PhotometricInterpretation),
            words=header.pixel_data_vr == "OW",
        )
    except (AttributeError, TypeError, ValueError) as error:
        raise UnreadableSource("the header does not describe its pixels (PS3.3 C.7.6.3)") from error
    _check(layout)
    return layout


def _check(layout: Layout) -> None:
    if layout.photometric not in _SAMPLES or layout.allocated not in (8, 16):
        raise UnsupportedSource(f"{layout.photometric} in {layout.allocated} bits cannot become video")
    sound = (
        layout.samples == _SAMPLES[layout.photometric]
        and layout.rows > 0 < layout.columns
        and 1 <= layout.stored <= layout.allocated
        and layout.stored - 1 <= layout.high < layout.allocated
    )
    if not sound:
        raise UnreadableSource("the header contradicts itself about its pixels (PS3.3 C.7.6.3)")
    if layout.samples == 3 and (layout.stored < 8 or layout.signed):
        raise UnsupportedSource(f"colour of {layout.stored} bits{' with a sign' * layout.signed} cannot become video")
    if layout.cells and layout.photometric == HALF_CHROMA and (layout.columns % 2 or layout.allocated != 8):
        raise UnreadableSource("4:2:2 colour needs an even number of columns and 8 bits")
