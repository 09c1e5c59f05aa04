"""Attributes of searches (PS3.18 10.6, PS3.4 C.6): which belong to a study, a series, an instance; how values match. Pure."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

STUDY_UID, SERIES_UID, SOP_UID = "0020000D", "0020000E", "00080018"
SOP_CLASS, MODALITY = "00080016", "00080060"
PATIENT_NAME, PATIENT_ID, ACCESSION, STUDY_DATE = "00100010", "00100020", "00080050", "00080020"
CHARACTER_SET, AVAILABILITY, RETRIEVE_URL = "00080005", "00080056", "00081190"
MODALITIES, SOP_CLASSES = "00080061", "00080062"
STUDY_SERIES, STUDY_INSTANCES, SERIES_INSTANCES = "00201206", "00201208", "00201209"


class Level(IntEnum):
    """What a search lists; a level's answers hold the attributes of those above it too, where the search names none of them."""

    STUDY = 0
    SERIES = 1
    INSTANCE = 2


OF_LEVEL: Mapping[Level, tuple[str, ...]] = {
    # PS3.18 Table 10.6.3-3, with Study Description, and Issuer of Patient ID which tells sites apart
    Level.STUDY: (
        *(CHARACTER_SET, STUDY_DATE, "00080030", ACCESSION, "00080090", "00080201", "00081030"),
        *(PATIENT_NAME, PATIENT_ID, "00100021", "00100030", "00100040", STUDY_UID, "00200010"),
    ),
    # Table 10.6.3-4, with the instrument and the body part
    Level.SERIES: (
        *(MODALITY, "00080021", "00080031", "0008103E", "00080070", "00081090", "00180015"),
        *(SERIES_UID, "00200011", "00400244", "00400245", "00400275"),
    ),
    # Table 10.6.3-5, with what tells a video's length
    Level.INSTANCE: (
        *(SOP_CLASS, SOP_UID, "00200013", "00280008", "00280010", "00280011", "00280100", "00080008", "00180040"),
        *("00181063", "00082144", "00080023", "00080033", "0008002A"),
    ),
}

KEPT = frozenset(tag for tags in OF_LEVEL.values() for tag in tags)
"""Of each instance, in the ledger."""

DATES = frozenset({STUDY_DATE, "00080021", "00080023", "00400244", "00100030"})
TIMES = frozenset({"00080030", "00080031", "00080033", "00400245"})
PERSONS = frozenset({PATIENT_NAME, "00080090"})
UIDS = frozenset({STUDY_UID, SERIES_UID, SOP_UID, SOP_CLASS})


def values_of(dataset: Mapping[str, Any], tag: str) -> tuple[str, ...]:
    """The values of an attribute of DICOM JSON as text; of a name all its groups of components; none: empty."""
    values = dataset.get(tag, {}).get("Value", ())
    found: list[str] = []
    for value in values:
        if isinstance(value, dict):
            found += [text for text in value.values() if isinstance(text, str)]
        elif value is not None:
            found.append(str(value))
    return tuple(found)


@dataclass(frozen=True)
class Match:
    """One attribute that a search asks for; ``wanted``: as it stands in the query, never empty."""

    tag: str
    wanted: str

    @property
    def alternatives(self) -> tuple[str, ...]:
        """A list of UIDs (PS3.4 C.2.2.2.2), else the one value."""
        if self.tag in UIDS:
            return tuple(filter(None, (text.strip() for text in re.split(r"[,\\]", self.wanted))))
        return (self.wanted,)

    @property
    def span(self) -> tuple[str, str] | None:
        """First and last of a range of dates or times (C.2.2.2.5), either may be empty; None: no range."""
        if self.tag in DATES | TIMES and "-" in self.wanted:
            first, _, last = self.wanted.partition("-")
            return first.strip(), last.strip()
        return None

    def fits(self, dataset: Mapping[str, Any]) -> bool:
        """Whether an instance's attributes match: single value, list of UIDs, range, or wildcards; names whatever their case."""
        values = values_of(dataset, self.tag)
        if self.tag in UIDS:
            return any(value in self.alternatives for value in values)
        if (span := self.span) is not None:
            first, last = span
            return any((not first or value >= first) and (not last or value[: len(last)] <= last) for value in values)
        wanted = self.wanted
        if person := self.tag in PERSONS:  # trailing empty components of a name do not count (PS3.5 6.2.1)
            wanted, values = wanted.rstrip("^"), tuple(value.rstrip("^") for value in values)
        # a shell's wildcards are DICOM's, but for its sets; its patterns take linear time whatever is wanted
        pattern = re.compile(fnmatch.translate(wanted.replace("[", "[[]")), re.IGNORECASE if person else 0)
        # an unknown value matches nothing but the universal wildcard (C.2.2.2.4)
        return any(pattern.fullmatch(value) for value in values or ("",))
