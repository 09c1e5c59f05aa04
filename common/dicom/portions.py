"""The header of one of several instances that one source became: cut values, and references to the other parts.

The video IODs have no Multi-frame Functional Groups module, so they cannot be a Concatenation (PS3.3 C.7.6.16.2.2.4): the parts
are images of their own in one series, and say of each other what General Reference (C.12.4) lets them say.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from common.dicom.derivation import append_item, code, describe_derivation

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

TEMPORAL_PREDECESSOR = ("121348", "Temporal Predecessor")
TEMPORAL_SUCCESSOR = ("121349", "Temporal Successor")
"""CID 7201 Referenced Image Purpose of Reference."""

NUMBERS_A_SOURCE = 1000
"""Instance Numbers kept for the parts of a source that has one itself: part 2 of number 7 is 7002, and 8 stays free."""

OF_THE_WHOLE = (
    "EffectiveDuration",  # C.7.6.5: written anew from the part's own frames
    "StartTrim",  # frame numbers of the whole
    "StopTrim",
    "RepresentativeFrameNumber",
    "FrameNumbersOfInterest",
    "FrameOfInterestDescription",
    "FrameOfInterestType",
)
"""Values that count frames or seconds of the whole video: wrong for a part, and not worth renumbering."""

_LARGEST_IS = 2**31 - 1
_MOMENT = re.compile(r"(\d{14})(?:\.(\d{1,6}))?([+-]\d{4})?")
_CLOCK = re.compile(r"(\d{6})(?:\.(\d{1,6}))?")


@dataclass(frozen=True)
class Portion:
    """Which part of a source an instance is."""

    number: int  # from 1
    first_frame: int  # of the whole, from 0, in display order
    frames: int
    total_frames: int
    start_ms: float  # after the whole's first frame
    uids: tuple[str, ...]  # SOP Instance UIDs of all parts, this one included, in order of time

    @property
    def words(self) -> str:
        """For people, in ASCII; frames count from 1, as in DICOM."""
        frames = f"frames {self.first_frame + 1} to {self.first_frame + self.frames} of {self.total_frames}"
        return f"Part {self.number} of {len(self.uids)}: {frames}"


def cut_values(header: Dataset, portion: Portion) -> None:
    """Make what the header says of the whole video true of the part, in place."""
    for keyword in OF_THE_WHOLE:
        if keyword in header:
            delattr(header, keyword)
    groups = header.get("PerFrameFunctionalGroupsSequence")
    if groups is not None and len(groups) == portion.total_frames:
        last = portion.first_frame + portion.frames
        header.PerFrameFunctionalGroupsSequence = list(groups)[portion.first_frame : last]
    later = timedelta(milliseconds=portion.start_ms)
    _shift_clock(header, "ContentDate", "ContentTime", later)
    _shift_clock(header, "AcquisitionDate", "AcquisitionTime", later)
    if moment := _MOMENT.fullmatch(str(header.get("AcquisitionDateTime") or "").strip()):
        header.AcquisitionDateTime = _shifted(moment[1], moment[2], later) + (moment[3] or "")


def tell_of_parts(header: Dataset, portion: Portion) -> None:
    """Instance Number, Referenced Image Sequence (C.12.4) with every other part, and a sentence for people, in place."""
    header.InstanceNumber = _instance_number(header, portion)
    describe_derivation(header, portion.words)
    for number, uid in enumerate(portion.uids, 1):
        if number != portion.number:
            append_item(header, "ReferencedImageSequence", _reference(header, uid, before=number < portion.number))


def _reference(header: Dataset, uid: str, *, before: bool) -> Dataset:
    from pydicom.dataset import Dataset

    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = header.SOPClassUID, uid
    item.PurposeOfReferenceCodeSequence = [code(*(TEMPORAL_PREDECESSOR if before else TEMPORAL_SUCCESSOR))]
    return item


def _instance_number(header: Dataset, portion: Portion) -> int:
    """The part's own number where the source has none, else one behind the source's."""
    try:
        whole = int(header.get("InstanceNumber") or 0)
    except (ValueError, TypeError, OverflowError):  # no number, or several
        whole = 0
    number = whole * NUMBERS_A_SOURCE + portion.number
    return number if portion.number <= number <= _LARGEST_IS else portion.number


def _shift_clock(header: Dataset, date_keyword: str, time_keyword: str, later: timedelta) -> None:
    """A date and time that are exact to the second; others cannot be moved without inventing digits."""
    date, time = (str(header.get(keyword) or "").strip() for keyword in (date_keyword, time_keyword))
    clock = _CLOCK.fullmatch(time)
    if clock is None:
        return
    known = re.fullmatch(r"\d{8}", date) is not None
    moment = _shifted((date if known else "20000101") + clock[1], clock[2], later)
    setattr(header, time_keyword, moment[8:])
    if known:
        setattr(header, date_keyword, moment[:8])


def _shifted(whole: str, fraction: str | None, later: timedelta) -> str:
    """``YYYYMMDDHHMMSS`` and its fraction of a second, moved; digits behind the point only where they say something."""
    try:
        moment = datetime.strptime(whole, "%Y%m%d%H%M%S")  # noqa: DTZ007 a time zone is carried beside it
    except ValueError:  # a leap second, or no date at all
        return whole + (f".{fraction}" if fraction else "")
    moved = moment + timedelta(microseconds=int((fraction or "0").ljust(6, "0"))) + later
    return f"{moved:%Y%m%d%H%M%S}" + (f".{moved:%f}" if moved.microsecond or fraction else "")
