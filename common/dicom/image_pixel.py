"""The Image Pixel module (PS3.3 C.7.6.3) of a video: what described the old pixels goes, what describes the new stream comes."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from common.dicom.transfer_syntaxes import VideoSyntax
from common.media import VideoStream

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

OLD_PIXELS = (
    # value ranges and padding of the old samples (PS3.3 C.7.6.3, C.7.5.1)
    "SmallestImagePixelValue",
    "LargestImagePixelValue",
    "SmallestPixelValueInSeries",
    "LargestPixelValueInSeries",
    "SmallestImagePixelValueInPlane",
    "LargestImagePixelValueInPlane",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "PixelIntensityRelationship",
    "PixelIntensityRelationshipSign",
    # palettes (C.7.9) and supplemental palettes (C.7.6.19)
    "RedPaletteColorLookupTableDescriptor",
    "GreenPaletteColorLookupTableDescriptor",
    "BluePaletteColorLookupTableDescriptor",
    "AlphaPaletteColorLookupTableDescriptor",
    "PaletteColorLookupTableUID",
    "RedPaletteColorLookupTableData",
    "GreenPaletteColorLookupTableData",
    "BluePaletteColorLookupTableData",
    "AlphaPaletteColorLookupTableData",
    "SegmentedRedPaletteColorLookupTableData",
    "SegmentedGreenPaletteColorLookupTableData",
    "SegmentedBluePaletteColorLookupTableData",
    "SegmentedAlphaPaletteColorLookupTableData",
    "LargestMonochromePixelValue",
    "PixelPresentation",
    # grey scale transformations (C.11.1, C.11.2, C.11.4, C.7.6.16.2.11): applied when the frames were converted
    "ModalityLUTSequence",
    "RescaleIntercept",
    "RescaleSlope",
    "RescaleType",
    "VOILUTSequence",
    "WindowCenter",
    "WindowWidth",
    "WindowCenterWidthExplanation",
    "VOILUTFunction",
    "PresentationLUTSequence",
    "PresentationLUTShape",
    "RealWorldValueMappingSequence",
    # a small copy of the old pixels, and their shape, which the conversion made square
    "IconImageSequence",
    "PixelAspectRatio",
    "PlanarConfiguration",
    # signatures cover the old pixels and UID (C.12.1.1.3); trailing padding means nothing (PS3.10 7.2)
    "MACParametersSequence",
    "DigitalSignaturesSequence",
    "DataSetTrailingPadding",
)
"""Attributes that are wrong or meaningless once the pixel data is a video stream."""

GREY_SCALE_GROUPS = ("PixelValueTransformationSequence", "FrameVOILUTSequence", "RealWorldValueMappingSequence")
"""The same transformations in the functional groups of enhanced sources (PS3.3 C.7.6.16.2)."""

_OVERLAY_GROUPS = range(0x6000, 0x601F, 2)
_OVERLAY_BITS_ALLOCATED = 0x0100


def drop_old_pixels(header: Dataset, *, keep_overlays: bool) -> tuple[str, ...]:
    """Remove in place what describes the old pixels; returns what a person might miss, in words.

    Overlay planes with bits of their own stay where the SOP class has the Overlay Plane module (Ultrasound Multi-frame);
    Secondary Capture and VL video have none, and bits embedded in the old samples are gone with them (PS3.3 C.9.2).
    """
    for keyword in OLD_PIXELS:
        if keyword in header:
            delattr(header, keyword)
    for keyword in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        for item in header.get(keyword) or []:
            for group in GREY_SCALE_GROUPS:
                if group in item:
                    delattr(item, group)
    return _drop_overlays(header, keep_overlays)


def photometric(syntax: VideoSyntax, *, grey: bool) -> str:
    """Photometric Interpretation of a stream (PS3.5 8.2.5–8.2.11)."""
    return "MONOCHROME2" if grey else syntax.photometrics[0]


def describe_pixels(header: Dataset, video: VideoStream, syntax: VideoSyntax, *, grey: bool) -> None:
    """Describe the stream as PS3.5 8.2.5–8.2.11 prescribe for its transfer syntax, in place.

    ``grey`` is for MONOCHROME2, which only the MPEG-2 syntaxes admit. Pixel Aspect Ratio is vertical\\horizontal and
    written only when pixels are not square (PS3.3 C.7.6.3.1.7), which MPEG-2 main level alone allows.
    """
    header.SamplesPerPixel = 1 if grey else 3
    header.PhotometricInterpretation = photometric(syntax, grey=grey)
    if not grey:
        header.PlanarConfiguration = 0
    header.NumberOfFrames = video.frame_count
    header.Rows, header.Columns = video.height, video.width
    header.BitsAllocated, header.BitsStored = syntax.bits.allocated, syntax.bits.stored
    header.HighBit, header.PixelRepresentation = syntax.bits.high, 0
    if video.pixel_aspect != Fraction(1):
        header.PixelAspectRatio = [video.pixel_aspect.denominator, video.pixel_aspect.numerator]
    if syntax.stereo:
        # PS3.3 C.7.6.6.1.3; other syntaxes keep what the source says of its left and right frames
        header.StereoPairsPresent = "YES"


def _drop_overlays(header: Dataset, keep: bool) -> tuple[str, ...]:
    tags = [tag for tag in header.keys() if tag.group in _OVERLAY_GROUPS]  # noqa: SIM118 - raw elements must stay raw
    embedded = {tag.group for tag in tags if tag.element == _OVERLAY_BITS_ALLOCATED and header[tag].value != 1}
    gone = [tag for tag in tags if not keep or tag.group in embedded]
    for tag in gone:
        del header[tag]
    return ("overlay planes",) if gone else ()
