"""What the rules on a header look at: its values as printed, beside the stream or the frames in the same file."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from common.conformance.rules import Breach
from common.dicom.transfer_syntaxes import VideoSyntax
from common.media import Description

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

READ = (
    *("SpecificCharacterSet", "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "Modality"),
    *("ImageType", "ConversionType", "BurnedInAnnotation", "StereoPairsPresent", "ICCProfile"),
    *("SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "NumberOfFrames", "Rows", "Columns"),
    *("PixelAspectRatio", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"),
    *("PixelPaddingValue", "PixelPaddingRangeLimit", "RescaleIntercept", "RescaleSlope", "ModalityLUTSequence"),
    *("WindowCenter", "WindowWidth", "VOILUTSequence", "PresentationLUTShape"),
    *("RedPaletteColorLookupTableDescriptor", "RedPaletteColorLookupTableData"),
    *("GreenPaletteColorLookupTableDescriptor", "GreenPaletteColorLookupTableData"),
    *("BluePaletteColorLookupTableDescriptor", "BluePaletteColorLookupTableData"),
    *("SegmentedRedPaletteColorLookupTableData", "SegmentedGreenPaletteColorLookupTableData"),
    *("SegmentedBluePaletteColorLookupTableData", "FrameIncrementPointer", "FrameTime", "FrameTimeVector"),
    *("FrameDelay", "CineRate", "RecommendedDisplayFrameRate", "EffectiveDuration", "StartTrim", "StopTrim"),
    *("PreferredPlaybackSequencing", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
    *("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod"),
    *("ExtendedOffsetTable", "ExtendedOffsetTableLengths", "EncapsulatedPixelDataValueTotalLength"),
)
"""Every attribute that a rule looks at: whoever reads a header for the rules alone needs no other."""


@dataclass(frozen=True)
class ShownTimes:
    """When the frames of a stream are shown: ``ticks`` ascending, in units of ``time_base`` seconds.

    ``leading``: how many of them come before the first key frame, or are shown before it: players may not show them.
    """

    ticks: Sequence[int]
    time_base: Fraction
    leading: int = 0

    @property
    def tick_ms(self) -> float:
        """Length of a tick, ms."""
        return float(1000 * self.time_base)


@dataclass(frozen=True)
class HeaderView:
    """The values of a header, none of which is trusted to be what its type demands."""

    header: Dataset

    @property
    def frame_count(self) -> int:
        """Frames in the pixel data; here what the header says."""
        numbers = self.numbers("NumberOfFrames")
        return max(1, int(numbers[0])) if len(numbers) == 1 else 1

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
        """The values as numbers; none where one is not a finite one."""
        try:
            found = [float(text) for text in self.texts(keyword)]
        except ValueError:
            return []
        return found if all(abs(number) < float("inf") for number in found) else []

    def tags(self, keyword: str) -> list[int]:
        """The values of an AT element as numbers; none where it is absent or broken."""
        try:
            value = self.header.get(keyword)
            return [int(tag) for tag in (value if hasattr(value, "append") else [value])]
        except Exception:  # broken bytes that pydicom cannot turn into tags
            return []

    def items(self, keyword: str) -> list[Dataset] | None:
        """The items of a sequence; None where it is absent or cannot be read."""
        try:
            value = self.header.get(keyword)
            return None if value is None else list(value)
        except Exception:  # see texts
            return None

    def bytes_of(self, keyword: str) -> bytes | None:
        """The value of an element of bytes; None where it is absent, empty or no bytes."""
        try:
            value = self.header.get(keyword)
        except Exception:  # see texts
            return None
        return value if isinstance(value, bytes) and value else None

    def vr(self, keyword: str) -> str:
        """VR as written in the file or set by the program; empty where the element is absent."""
        from pydicom.tag import Tag

        tag = Tag(keyword)
        return str(self.header.get_item(tag).VR or "") if tag in self.header else ""

    def differs(self, keyword: str, required: int | str) -> Iterator[Breach]:
        """A breach unless the only value is this one."""
        if self.text(keyword).strip() != str(required):
            yield Breach(quoted(keyword, self.text(keyword)), f"{keyword} {required}")


@dataclass(frozen=True)
class HeaderCase(HeaderView):
    """A header, the stream inside the same file, the syntax, and the times at which its frames are shown, where known."""

    description: Description
    syntax: VideoSyntax
    shown: ShownTimes | None = None

    @property
    def frame_count(self) -> int:
        """Frames in the stream, counted."""
        return self.description.video.frame_count


def quoted(keyword: str, value: str) -> str:
    """The attribute and its value for a finding: cut short, since a broken header may hold anything there."""
    return f"{keyword} {value[:16]}" if value else f"no {keyword}"
