"""Rules on the header around a stream. A breach is mended by a new header; the stream stays."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from common.conformance.case import HeaderCase, HeaderView, quoted
from common.conformance.rules import OF_SYNTAX, Breach, Rule
from common.dicom.sop_classes import (
    MULTIFRAME_GRAYSCALE_BYTE_SC,
    MULTIFRAME_TRUE_COLOR_SC,
    VIDEO_CLASSES,
    Family,
    VideoClass,
)
from common.dicom.transfer_syntaxes import ROOT

OTHER_VIDEO_CLASSES = frozenset(
    {
        "1.2.840.10008.5.1.4.1.1.77.1.5.1",  # Ophthalmic Photography 8 Bit (PS3.3 C.8.17.2.1.3)
        "1.2.840.10008.5.1.4.1.1.4.3",  # Enhanced MR Color (PS3.3 A.36.4)
        "1.2.840.10008.5.1.4.1.1.3",  # Ultrasound Multi-frame (retired)
    }
)
"""Classes that admit YBR_PARTIAL_420 and that Cinefarm itself does not write."""

PALETTES = (
    "RedPaletteColorLookupTableDescriptor",
    "GreenPaletteColorLookupTableDescriptor",
    "BluePaletteColorLookupTableDescriptor",
    "RedPaletteColorLookupTableData",
    "GreenPaletteColorLookupTableData",
    "BluePaletteColorLookupTableData",
    "SegmentedRedPaletteColorLookupTableData",
    "SegmentedGreenPaletteColorLookupTableData",
    "SegmentedBluePaletteColorLookupTableData",
)
GREY_SCALE = (
    "RescaleIntercept",
    "RescaleSlope",
    "ModalityLUTSequence",
    "WindowCenter",
    "WindowWidth",
    "VOILUTSequence",
    "PresentationLUTShape",
)

_UID = re.compile(r"(0|[1-9]\d*)(\.(0|[1-9]\d*))+", re.ASCII)
_MAX_UID = 64  # characters, PS3.5 9.1
_TOLERANCE = 0.02  # beyond it another value was meant


def identity(case: HeaderView) -> Iterator[Breach]:
    """Study, Series and SOP Instance UID and SOP Class UID are there and are UIDs."""
    for keyword in ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
        uid = case.text(keyword)
        if len(uid) > _MAX_UID or not _UID.fullmatch(uid):
            yield Breach(f"no valid {keyword}", f"a UID in {keyword}")


def sop_class(case: HeaderCase) -> Iterator[Breach]:
    """The SOP class admits a video transfer syntax."""
    uid = case.text("SOPClassUID")
    if uid and uid not in OTHER_VIDEO_CLASSES and uid not in {row.uid for row in VIDEO_CLASSES}:
        yield Breach("a SOP class made for other images", "a class that carries video, e.g. Video Endoscopic Image")


def class_colour(case: HeaderCase) -> Iterator[Breach]:
    """Multi-frame Grayscale Byte SC carries MONOCHROME2 alone (PS3.3 A.8.3.4), Multi-frame True Color SC colour alone (A.8.5.4)."""
    grey = case.text("PhotometricInterpretation") == "MONOCHROME2"
    uid = case.text("SOPClassUID")
    if uid == MULTIFRAME_GRAYSCALE_BYTE_SC and not grey:
        yield Breach("colour video in Multi-frame Grayscale Byte SC", "Multi-frame True Color SC, or grey MPEG-2")
    elif uid == MULTIFRAME_TRUE_COLOR_SC and grey:
        yield Breach(
            "grey video in Multi-frame True Color SC", "Multi-frame Grayscale Byte SC, or three samples a pixel"
        )


def modality(case: HeaderView) -> Iterator[Breach]:
    """Modality is there; the video classes of visible light admit one each: ES, GM, XC (PS3.3 A.32.5.3.1 to A.32.7.3.1)."""
    found, row = case.text("Modality"), _class_of(case)
    if not found:
        yield Breach("no Modality", "a Modality")
    elif row is not None and row.family is Family.VISIBLE_LIGHT and found != row.modality:
        yield Breach(quoted("Modality", found), f"Modality {row.modality} in {row.name}")


def image_type(case: HeaderView) -> Iterator[Breach]:
    """Image Type has at least two values: ORIGINAL, DERIVED (enhanced: MIXED), then PRIMARY or SECONDARY (PS3.3 C.7.6.1.1.2)."""
    found = case.texts("ImageType")
    if len(found) < 2:
        yield Breach(f"{len(found)} values in ImageType", "at least two, e.g. ORIGINAL\\PRIMARY")
    elif found[0] not in ("ORIGINAL", "DERIVED", "MIXED") or found[1] not in ("PRIMARY", "SECONDARY", "MIXED"):
        yield Breach(quoted("ImageType", "\\".join(found[:2])), "ORIGINAL or DERIVED, then PRIMARY or SECONDARY")


def conversion(case: HeaderView) -> Iterator[Breach]:
    """Secondary Capture names its Conversion Type, which is Type 1 (PS3.3 C.8.6.1)."""
    if _of_family(case, Family.SECONDARY_CAPTURE) and not case.text("ConversionType"):
        yield Breach("no ConversionType", "e.g. ConversionType DI for a camera's clip")


def burned_in(case: HeaderView) -> Iterator[Breach]:
    """Secondary Capture says in Burned In Annotation whether its pixels may name the patient (PS3.3 C.8.6.3)."""
    if _of_family(case, Family.SECONDARY_CAPTURE) and case.text("BurnedInAnnotation") not in ("YES", "NO"):
        yield Breach(
            "no BurnedInAnnotation", "YES or NO", "Look at the frames; until somebody has, YES is the cautious value."
        )


def photometric(case: HeaderCase) -> Iterator[Breach]:
    """Photometric Interpretation is YBR_PARTIAL_420; with MPEG-2 also MONOCHROME2."""
    found = case.text("PhotometricInterpretation")
    if found not in case.syntax.photometrics:
        yield Breach(quoted("PhotometricInterpretation", found), " or ".join(case.syntax.photometrics))


def samples(case: HeaderCase) -> Iterator[Breach]:
    """Samples per Pixel is 3, and 1 for MONOCHROME2 (PS3.3 C.7.6.3.1.2); Planar Configuration is 0 where there are three."""
    grey = case.text("PhotometricInterpretation") == "MONOCHROME2"
    yield from case.differs("SamplesPerPixel", 1 if grey else 3)
    if not grey:
        yield from case.differs("PlanarConfiguration", 0)


def bits(case: HeaderCase) -> Iterator[Breach]:
    """Bits Allocated, Bits Stored and High Bit are the syntax's: 8, 8, 7, and 16, 10, 9 for Main 10; samples are unsigned."""
    depth = case.syntax.bits
    yield from case.differs("BitsAllocated", depth.allocated)
    yield from case.differs("BitsStored", depth.stored)
    yield from case.differs("HighBit", depth.high)
    yield from case.differs("PixelRepresentation", 0)


def size(case: HeaderCase) -> Iterator[Breach]:
    """Rows and Columns are the height and width of the pictures in the stream."""
    yield from case.differs("Rows", case.description.video.height)
    yield from case.differs("Columns", case.description.video.width)


def frames(case: HeaderCase) -> Iterator[Breach]:
    """Number of Frames is the count of coded frames: two fields make one frame.

    Frames before the first key frame, which no player can show, may be left out of it.
    """
    coded = case.description.video.frame_count
    shown = coded - (case.shown.leading if case.shown else 0)
    if case.text("NumberOfFrames").strip() != str(shown):
        yield from case.differs("NumberOfFrames", coded)


def aspect(case: HeaderCase) -> Iterator[Breach]:
    """Pixel Aspect Ratio is absent under all syntaxes but .100: pixels are square."""
    if case.syntax.base_uid != f"{ROOT}.100" and "PixelAspectRatio" in case.header:
        yield Breach("a PixelAspectRatio", "none: pixels are square")


def coded_aspect(case: HeaderCase) -> Iterator[Breach]:
    """Under .100, Pixel Aspect Ratio is the stream's, and absent only where pixels are square."""
    if case.syntax.base_uid != f"{ROOT}.100":
        return
    found = case.numbers("PixelAspectRatio")
    # vertical \ horizontal size of a pixel (PS3.3 C.7.6.3.1.7), the inverse of what video calls its aspect ratio
    told = found[1] / found[0] if len(found) == 2 and found[0] else 1.0
    coded = float(case.description.video.pixel_aspect)
    if abs(told - coded) > coded * _TOLERANCE:
        yield Breach(
            quoted("PixelAspectRatio", case.text("PixelAspectRatio")), f"that of the stream, {coded:.4f} wide to high"
        )


def stereo(case: HeaderCase) -> Iterator[Breach]:
    """Stereo Pairs Present is YES under .105 and .106 (PS3.5 Table 8-8, 8.2.9), NO or absent elsewhere."""
    found = case.text("StereoPairsPresent")
    if case.syntax.stereo and found != "YES":
        yield Breach(quoted("StereoPairsPresent", found), "StereoPairsPresent YES")
    elif not case.syntax.stereo and found not in ("", "NO"):
        yield Breach(quoted("StereoPairsPresent", found), "StereoPairsPresent NO or absent")


def aspect_form(case: HeaderView) -> Iterator[Breach]:
    """Pixel Aspect Ratio, where it is, is two whole numbers above 0: vertical, horizontal (PS3.3 C.7.6.3.1.7)."""
    texts = case.texts("PixelAspectRatio")
    if texts and not (len(texts) == 2 and all(text.strip().isdecimal() and int(text) > 0 for text in texts)):
        yield Breach(quoted("PixelAspectRatio", "\\".join(texts)), "two whole numbers above 0")


def palette(case: HeaderView) -> Iterator[Breach]:
    """Palettes belong to PALETTE COLOR and to supplemental palettes of grey images (PS3.3 C.7.6.3.1.5, C.7.6.19)."""
    if case.text("PhotometricInterpretation") not in ("PALETTE COLOR", "MONOCHROME1", "MONOCHROME2"):
        yield from _present(case, PALETTES, "none: these samples are colours and not indices")


def grey_scale(case: HeaderView) -> Iterator[Breach]:
    """Rescaling and windows are for grey samples alone (PS3.3 C.11.1, C.11.2.1.2)."""
    if case.text("PhotometricInterpretation") not in ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR"):
        yield from _present(case, GREY_SCALE, "none: these samples are colours")


def padding(case: HeaderView) -> Iterator[Breach]:
    """Pixel Padding is for grey samples alone: colour has no value to spare (PS3.3 C.7.5.1.1.2)."""
    if case.text("PhotometricInterpretation") not in ("MONOCHROME1", "MONOCHROME2"):
        yield from _present(case, ("PixelPaddingValue", "PixelPaddingRangeLimit"), "none: these samples are colours")


def colour_profile(case: HeaderView) -> Iterator[Breach]:
    """An ICC Profile is one of RGB, for colour, as long as it says and marked acsp (PS3.3 C.11.15, ISO 15076-1 7.2)."""
    profile = case.bytes_of("ICCProfile")
    if profile is None:
        return
    length = int.from_bytes(profile[:4])
    if profile[36:40] != b"acsp" or not length <= len(profile) <= length + 1:
        yield Breach("an ICCProfile that is no ICC profile", "a whole profile, or none")
    elif profile[16:20] != b"RGB " or case.text("PhotometricInterpretation").startswith("MONOCHROME"):
        yield Breach("an ICCProfile that does not fit the samples", "one of RGB for colour, none for grey")


def _present(case: HeaderView, keywords: Iterable[str], required: str) -> Iterator[Breach]:
    if found := [keyword for keyword in keywords if keyword in case.header]:
        yield Breach(f"{found[0]}" + (f" and {len(found) - 1} more of its kind" if len(found) > 1 else ""), required)


def _class_of(case: HeaderView) -> VideoClass | None:
    uid = case.text("SOPClassUID")
    return next((row for row in VIDEO_CLASSES if row.uid == uid), None)


def _of_family(case: HeaderView, family: Family) -> bool:
    row = _class_of(case)
    return row is not None and row.family is family


GENERAL_RULES: tuple[Rule[HeaderView], ...] = (
    Rule("header.uids", "PS3.3 C.12.1, C.7.2.1, C.7.3.1", "error", identity),
    Rule("header.modality", "PS3.3 C.7.3.1, A.32.5.3.1", "warning", modality),
    Rule("header.image_type", "PS3.3 C.7.6.1.1.2", "error", image_type),
    Rule("header.conversion", "PS3.3 C.8.6.1", "error", conversion),
    Rule("header.burned_in", "PS3.3 C.8.6.3", "note", burned_in),
    Rule("header.aspect.form", "PS3.3 C.7.6.3.1.7", "error", aspect_form),
    Rule("header.palette", "PS3.3 C.7.6.3.1.5", "warning", palette),
    Rule("header.grey_scale", "PS3.3 C.11.1, C.11.2.1.2", "warning", grey_scale),
    Rule("header.padding", "PS3.3 C.7.5.1.1.2", "warning", padding),
    Rule("header.icc", "PS3.3 C.11.15", "warning", colour_profile),
)
"""What holds for any image, of a video or of frames."""

HEADER_RULES: tuple[Rule[HeaderCase], ...] = (
    Rule("header.sop_class", "PS3.3 A.32.5–A.32.7, A.8.5, A.7", "error", sop_class),
    Rule("header.sop_class.colour", "PS3.3 A.8.3.4, A.8.5.4", "error", class_colour),
    Rule("header.photometric", OF_SYNTAX, "error", photometric),
    Rule("header.samples", OF_SYNTAX, "error", samples),
    Rule("header.bits", OF_SYNTAX, "error", bits),
    Rule("header.size", OF_SYNTAX, "error", size),
    Rule("header.frames", "PS3.3 C.7.6.6", "error", frames),
    Rule("header.aspect", OF_SYNTAX, "error", aspect),
    Rule("header.aspect.coded", "PS3.3 C.7.6.3.1.7", "warning", coded_aspect),
    Rule("header.stereo", "PS3.5 8.2.8, 8.2.9", "error", stereo),
)
