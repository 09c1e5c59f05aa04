"""Rules on the header around a stream. A breach is mended by a new header; the stream stays."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from common.conformance.rules import OF_SYNTAX, Breach, Rule
from common.dicom.sop_classes import VIDEO_CLASSES
from common.dicom.timing import FRAME_TIME, FRAME_TIME_VECTOR
from common.dicom.transfer_syntaxes import ROOT, VideoSyntax
from common.media import Description

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

OTHER_VIDEO_CLASSES = frozenset(
    {
        "1.2.840.10008.5.1.4.1.1.77.1.5.1",  # Ophthalmic Photography 8 Bit (PS3.3 C.8.17.2.1.3)
        "1.2.840.10008.5.1.4.1.1.4.3",  # Enhanced MR Color (PS3.3 A.36.4)
        "1.2.840.10008.5.1.4.1.1.3",  # Ultrasound Multi-frame (retired)
    }
)
"""Classes that admit YBR_PARTIAL_420 and that Cinefarm itself does not write."""

_UID = re.compile(r"(0|[1-9]\d*)(\.(0|[1-9]\d*))+", re.ASCII)
_MAX_UID = 64  # characters, PS3.5 9.1
_MAX_DS = 16  # characters, PS3.5 6.2
_TOLERANCE = 0.02  # beyond it another value was meant: rates of 24 and 25 are 4 % apart
_RATE_ROUNDING = 0.0005  # 33.33 ms for 29.97 frames/s drifts by 4 s an hour


@dataclass(frozen=True)
class HeaderCase:
    """A header, the stream inside the same file, and the syntax."""

    header: Dataset
    description: Description
    syntax: VideoSyntax

    def texts(self, keyword: str) -> list[str]:
        """The values as printed, none where the element is absent, empty or broken."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an illegal value is a finding, not a warning on stderr
            try:
                value = self.header.get(keyword)
                if value is None or value == "":
                    return []
                return [str(item) for item in value] if hasattr(value, "append") else [str(value)]
            except Exception:  # pydicom raises what it likes on broken values: as good as absent
                return []

    def text(self, keyword: str) -> str:
        """The only value; empty where there is none, joined as DICOM prints it where there are more."""
        return "\\".join(self.texts(keyword))

    def numbers(self, keyword: str) -> list[float]:
        """The values as numbers; none where one is not."""
        try:
            return [float(text) for text in self.texts(keyword)]
        except ValueError:
            return []

    def differs(self, keyword: str, required: int | str) -> Iterator[Breach]:
        """A breach unless the only value is this one."""
        if self.text(keyword).strip() != str(required):
            yield Breach(_shown(keyword, self.text(keyword)), f"{keyword} {required}")


def identity(case: HeaderCase) -> Iterator[Breach]:
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


def photometric(case: HeaderCase) -> Iterator[Breach]:
    """Photometric Interpretation is YBR_PARTIAL_420; with MPEG-2 also MONOCHROME2."""
    found = case.text("PhotometricInterpretation")
    if found not in case.syntax.photometrics:
        yield Breach(_shown("PhotometricInterpretation", found), " or ".join(case.syntax.photometrics))


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
    """Number of Frames is the count of coded frames: two fields make one frame."""
    yield from case.differs("NumberOfFrames", case.description.video.frame_count)


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
            _shown("PixelAspectRatio", case.text("PixelAspectRatio")), f"that of the stream, {coded:.4f} wide to high"
        )


def pointer(case: HeaderCase) -> Iterator[Breach]:
    """Frame Increment Pointer names Frame Time or Frame Time Vector, and what it names is there."""
    known = {FRAME_TIME: "FrameTime", FRAME_TIME_VECTOR: "FrameTimeVector"}
    named = [known[tag] for tag in _tags(case) if tag in known]
    if not named:
        yield Breach("a FrameIncrementPointer that names no timing", "one that names FrameTime or FrameTimeVector")
    for keyword in named:
        if not case.numbers(keyword):
            yield Breach(f"a FrameIncrementPointer to {keyword}, which is absent or no number", keyword)


def rate(case: HeaderCase) -> Iterator[Breach]:
    """Frame Time or Frame Time Vector gives the stream's frame rate, within 2 %."""
    yield from _rate_off(case, _TOLERANCE, float("inf"))


def rate_rounding(case: HeaderCase) -> Iterator[Breach]:
    """Frame Time is not rounded so far that it drifts: 33.367 ms for 29.97 frames/s, not 33.33 (notes to PS3.5 8.2.6)."""
    yield from _rate_off(case, _RATE_ROUNDING, _TOLERANCE)


def vector(case: HeaderCase) -> Iterator[Breach]:
    """Frame Time Vector has one increment a frame, beginning with 0 (PS3.3 C.7.6.5.1.2)."""
    increments = case.numbers("FrameTimeVector")
    count = case.description.video.frame_count
    if increments and len(increments) != count:
        yield Breach(f"{len(increments)} increments in FrameTimeVector", f"{count}, one a frame")


def vector_of_variable_rate(case: HeaderCase) -> Iterator[Breach]:
    """A stream of variable frame rate has a Frame Time Vector: one Frame Time cannot say when its frames are shown."""
    if not case.description.video.constant_rate and not case.numbers("FrameTimeVector"):
        yield Breach("a variable frame rate without FrameTimeVector", "FrameTimeVector, or a constant rate")


def cine_rate(case: HeaderCase) -> Iterator[Breach]:
    """Cine Rate and Recommended Display Frame Rate, whole numbers, are the stream's frame rate within one."""
    coded = float(case.description.video.frame_rate)
    for keyword in ("CineRate", "RecommendedDisplayFrameRate"):
        for value in case.numbers(keyword)[:1]:
            if abs(value - coded) > 1:
                yield Breach(f"{keyword} {value:g}", f"{coded:.5g}")


def decimals(case: HeaderCase) -> Iterator[Breach]:
    """A Decimal String has at most 16 characters."""
    for keyword in ("FrameTime", "FrameTimeVector", "LossyImageCompressionRatio", "EffectiveDuration"):
        longest = max(map(len, case.texts(keyword)), default=0)
        if longest > _MAX_DS:
            yield Breach(f"{longest} characters in a value of {keyword}", f"at most {_MAX_DS}")


def lossy(case: HeaderCase) -> Iterator[Breach]:
    """Lossy Image Compression is 01: video coding under these syntaxes has lost something, and that stays on record."""
    yield from case.differs("LossyImageCompression", "01")


def lossy_steps(case: HeaderCase) -> Iterator[Breach]:
    """One ratio and one method for each lossy step; the last method is the stream's own."""
    ratios, methods = case.texts("LossyImageCompressionRatio"), case.texts("LossyImageCompressionMethod")
    if ratios and methods and len(ratios) != len(methods):
        yield Breach(f"{len(ratios)} compression ratios and {len(methods)} methods", "one of each for each lossy step")
    if methods and methods[-1] != case.syntax.method:
        yield Breach(f"last LossyImageCompressionMethod {methods[-1][:16]}", case.syntax.method)


def lossy_record(case: HeaderCase) -> Iterator[Breach]:
    """Ratio and method of the lossy steps are on record."""
    for keyword in ("LossyImageCompressionRatio", "LossyImageCompressionMethod"):
        if not any(case.texts(keyword)):
            yield Breach(f"no {keyword}", keyword)


def stereo(case: HeaderCase) -> Iterator[Breach]:
    """Stereo Pairs Present is YES under .105 and .106 (PS3.5 Table 8-8, 8.2.9), NO or absent elsewhere."""
    found = case.text("StereoPairsPresent")
    if case.syntax.stereo and found != "YES":
        yield Breach(_shown("StereoPairsPresent", found), "StereoPairsPresent YES")
    elif not case.syntax.stereo and found not in ("", "NO"):
        yield Breach(_shown("StereoPairsPresent", found), "StereoPairsPresent NO or absent")


def _rate_off(case: HeaderCase, above: float, at_most: float) -> Iterator[Breach]:
    by_vector = FRAME_TIME_VECTOR in _tags(case)
    if by_vector and not case.description.video.constant_rate:
        return  # its increments are the frames' own; the mean rate counts how long the last frame is shown as well
    increments = case.numbers("FrameTimeVector")[1:] if by_vector else case.numbers("FrameTime")
    coded = 1000 / float(case.description.video.frame_rate) if case.description.video.frame_rate > 0 else 0.0
    if not increments or not coded:
        return
    told = sum(increments) / len(increments)
    if above < abs(told - coded) / coded <= at_most:
        yield Breach(f"{told:.6g} ms a frame in the header", f"{coded:.6g} ms, as in the stream")


def _tags(case: HeaderCase) -> list[int]:
    """Frame Increment Pointer (AT, one or many) as numbers."""
    try:
        value = case.header.get("FrameIncrementPointer")
        return [int(tag) for tag in (value if hasattr(value, "append") else [value])]
    except Exception:  # absent, or broken bytes that pydicom cannot turn into tags
        return []


def _shown(keyword: str, value: str) -> str:
    # only short coded values are quoted: a broken header may hold anything there
    return f"{keyword} {value[:16]}" if value else f"no {keyword}"


HEADER_RULES: tuple[Rule[HeaderCase], ...] = (
    Rule("header.uids", "PS3.3 C.12.1, C.7.2.1, C.7.3.1", "error", identity),
    Rule("header.sop_class", "PS3.3 A.32.5–A.32.7, A.8.5, A.7", "error", sop_class),
    Rule("header.photometric", OF_SYNTAX, "error", photometric),
    Rule("header.samples", OF_SYNTAX, "error", samples),
    Rule("header.bits", OF_SYNTAX, "error", bits),
    Rule("header.size", OF_SYNTAX, "error", size),
    Rule("header.frames", "PS3.3 C.7.6.6", "error", frames),
    Rule("header.aspect", OF_SYNTAX, "error", aspect),
    Rule("header.aspect.coded", "PS3.3 C.7.6.3.1.7", "warning", coded_aspect),
    Rule("header.pointer", "PS3.3 C.7.6.6.1.1", "error", pointer),
    Rule("header.rate", "PS3.3 C.7.6.5", "error", rate),
    Rule("header.rate.rounded", "PS3.3 C.7.6.5", "warning", rate_rounding),
    Rule("header.vector", "PS3.3 C.7.6.5.1.2", "error", vector),
    Rule("header.vector.absent", "PS3.3 C.7.6.5.1.2", "warning", vector_of_variable_rate),
    Rule("header.cine_rate", "PS3.3 C.7.6.5", "warning", cine_rate),
    Rule("header.decimals", "PS3.5 6.2", "error", decimals),
    Rule("header.lossy", "PS3.3 C.7.6.1.1.5", "error", lossy),
    Rule("header.lossy.steps", "PS3.3 C.7.6.1.1.5.2", "error", lossy_steps),
    Rule("header.lossy.record", "PS3.3 C.7.6.1.1.5", "warning", lossy_record),
    Rule("header.stereo", "PS3.5 8.2.8, 8.2.9", "error", stereo),
)
