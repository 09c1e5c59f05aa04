"""What happens to pixel coordinates and spacings of a header when its pixels were padded, scaled or turned."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from common.dicom.timing import legal_ds

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

SPACINGS = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")
"""Row spacing \\ column spacing in mm (PS3.3 10.7.1.3)."""

REGION_X = ("ReferencePixelX0", "DopplerSampleVolumeXPosition", "TMLinePositionX0", "TMLinePositionX1")
REGION_Y = ("ReferencePixelY0", "DopplerSampleVolumeYPosition", "TMLinePositionY0", "TMLinePositionY1")
"""Single pixels of a calibrated ultrasound region (PS3.3 C.8.5.5); the reference pixel is counted from the region's corner."""

PIXEL_COORDINATES: dict[str, str] = {
    "ShutterLeftVerticalEdge": "display shutter",
    "ShutterRightVerticalEdge": "display shutter",
    "ShutterUpperHorizontalEdge": "display shutter",
    "ShutterLowerHorizontalEdge": "display shutter",
    "CenterOfCircularShutter": "display shutter",
    "RadiusOfCircularShutter": "display shutter",
    "VerticesOfThePolygonalShutter": "display shutter",
    "ShutterShape": "display shutter",
    "MaskSubtractionSequence": "mask shift in pixels of the source",
    "GraphicAnnotationSequence": "annotation in pixels of the source",
}
"""Attributes in pixels of the source that no rule here moves; dropped unless the pixel grid is the source's."""


_HALF = Fraction(1, 2)


@dataclass(frozen=True)
class Geometry:
    """From the source's pixel grid to the output's: scale factors, or turned. Padding on the right and below moves nothing."""

    x: Fraction = Fraction(1)
    y: Fraction = Fraction(1)
    turned: bool = False

    @property
    def same_grid(self) -> bool:
        """True when a source pixel has the same coordinates in the output."""
        return not self.turned and self.x == self.y == 1

    @classmethod
    def between(cls, source: tuple[int, int], output: tuple[int, int], rotation: int = 0) -> Geometry:
        """From (width, height) before and after and the rotation in degrees that was baked in.

        One column or row more is the padding that makes an odd size even; any other difference is scaling.
        """
        if rotation % 360:
            return cls(turned=True)
        return cls(x=_factor(source[0], output[0]), y=_factor(source[1], output[1]))


def adapt_coordinates(header: Dataset, geometry: Geometry) -> tuple[str, ...]:
    """Scale or drop the header's pixel coordinates and spacings in place; returns what was dropped, in words."""
    if geometry.same_grid:
        return ()
    dropped = [keyword for keyword in PIXEL_COORDINATES if keyword in header]
    if geometry.turned:
        dropped += [keyword for keyword in (*SPACINGS, "SequenceOfUltrasoundRegions") if keyword in header]
    for keyword in dropped:
        delattr(header, keyword)
    dropped += _drop_overlays(header)
    for item in (header, *_pixel_measures(header)):
        for keyword in SPACINGS:
            _adapt_spacing(item, keyword, geometry)
    for region in header.get("SequenceOfUltrasoundRegions") or []:
        _scale_region(region, geometry)
    return tuple(dropped)


def _factor(before: int, after: int) -> Fraction:
    return Fraction(1) if after == before or (before % 2 and after == before + 1) else Fraction(after, before)


def _pixel_measures(header: Dataset) -> list[Dataset]:
    """Where enhanced sources keep their spacings (PS3.3 C.7.6.16.2.1)."""
    keywords = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
    groups = [group for keyword in keywords for group in header.get(keyword) or []]
    return [item for group in groups for item in group.get("PixelMeasuresSequence") or []]


def _adapt_spacing(header: Dataset, keyword: str, geometry: Geometry) -> None:
    value = header.get(keyword)
    if geometry.turned and keyword in header:
        delattr(header, keyword)
    elif hasattr(value, "append") and len(value) == 2:
        rows, columns = (Fraction(str(item)) for item in value)
        setattr(header, keyword, [legal_ds(rows / geometry.y), legal_ds(columns / geometry.x)])


def _scale_region(region: Dataset, geometry: Geometry) -> None:
    for axis, points, factor in (("X", REGION_X, geometry.x), ("Y", REGION_Y, geometry.y)):
        for keyword in points:
            _move(region, keyword, factor, _HALF)  # the middle of the pixel
        # a region reaches from the near edge of its first pixel to the far edge of its last: a full one stays a full one
        _move(region, f"RegionLocationMin{axis}0", factor, Fraction(0))
        _move(region, f"RegionLocationMax{axis}1", factor, Fraction(1))
        if isinstance(step := region.get(f"PhysicalDelta{axis}"), float):
            setattr(region, f"PhysicalDelta{axis}", step / float(factor))


def _move(region: Dataset, keyword: str, factor: Fraction, place: Fraction) -> None:
    """Move a pixel coordinate; ``place``: which point of the pixel is meant, 0 its near edge, 1 its far edge."""
    if isinstance(value := region.get(keyword), int):
        setattr(region, keyword, round((value + place) * factor - place))


def _drop_overlays(header: Dataset) -> list[str]:
    tags = [tag for tag in header.keys() if 0x6000 <= tag.group <= 0x601E and tag.group % 2 == 0]  # noqa: SIM118
    for tag in tags:
        del header[tag]
    return ["overlay planes"] if tags else []
