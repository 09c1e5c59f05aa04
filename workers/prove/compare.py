"""Whether an instance that came back is the one that was sent: pixel data by SHA-256, the data set element by element.

What is compared: the transfer syntax (implicit and explicit VR count as one); the bytes of all fragments of Pixel Data, one
after the other (of native Pixel Data, its value); every other element of ours but group lengths and those in MAY_CHANGE. What
an archive adds is no loss.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from common.dicom.pixel_digest import pixel_digest
from common.dicom.pixel_stream import read_header
from common.errors import InputError

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

MAY_CHANGE = frozenset(
    {
        "SpecificCharacterSet",
        "InstanceCoercionDateTime",
        "RetrieveAETitle",
        "InstanceAvailability",
        "AccessionNumber",
        "IssuerOfAccessionNumberSequence",
        "ReferringPhysicianName",
        "StudyDescription",
        "StudyID",
        "PatientName",
        "PatientID",
        "IssuerOfPatientID",
        "IssuerOfPatientIDQualifiersSequence",
        "PatientBirthDate",
        "PatientSex",
        "OtherPatientIDs",
        "OtherPatientIDsSequence",
        "OriginalAttributesSequence",
    }
)
"""Attributes that an archive coerces to what its information system says (PS3.4 B.2.1, IHE RAD PIR); named where they differ."""

NATIVE = frozenset({"1.2.840.10008.1.2", "1.2.840.10008.1.2.1"})
"""Implicit and Explicit VR Little Endian: the same values, so an archive may keep either (PS3.5 A.1, A.2)."""


@dataclass(frozen=True)
class Comparison:
    """``differences``: what must not differ and does, in words without values; ``coerced``: keywords that may, and do."""

    differences: tuple[str, ...] = ()
    coerced: tuple[str, ...] = ()


def compare(ours: Path, theirs: Path) -> Comparison:
    """Compare two DICOM files in memory that does not grow with their pixels.

    Raises:
        InputError: ours cannot be read; of theirs that is a difference.
    """
    mine = read_header(ours)
    try:
        other = read_header(theirs)
    except InputError as error:
        return Comparison((f"what came back cannot be read ({error.code})",))
    differences, coerced = _data_set(mine.dataset, other.dataset)
    syntaxes = {mine.transfer_syntax_uid, other.transfer_syntax_uid}
    if len(syntaxes) > 1 and not syntaxes <= NATIVE:
        differences.append(f"transfer syntax {other.transfer_syntax_uid} instead of {mine.transfer_syntax_uid}")
    elif pixel_digest(mine) != pixel_digest(other):
        differences.append("the bytes of Pixel Data")
    return Comparison(tuple(differences), tuple(coerced))


def _data_set(mine: Dataset, other: Dataset) -> tuple[list[str], list[str]]:
    differences: list[str] = []
    coerced: list[str] = []
    for element in mine:
        if element.tag.group == 2 or element.tag.element == 0 or element.tag == 0x7FE00010:
            continue
        name = element.keyword or str(element.tag)
        if element.tag not in other or element.value != other[element.tag].value:
            (coerced if name in MAY_CHANGE else differences).append(name)
    return differences, coerced
