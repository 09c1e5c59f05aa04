"""What an archive is asked and what it answers, whatever the protocol: C-FIND (common.network.find) or QIDO-RS.

Answers hold UIDs, classes, counts and dates: no name, and nothing of a patient but the key that the Patient Root needs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol
from urllib.parse import parse_qsl, quote, urlencode

from common.errors import PolicyError
from common.network.spans import Span


class Level(StrEnum):
    """Query/Retrieve Level (0008,0052)."""

    PATIENT = "PATIENT"
    STUDY = "STUDY"
    SERIES = "SERIES"
    IMAGE = "IMAGE"


PATIENT_KEYS = ("PatientID", "PatientName", "IssuerOfPatientID", "PatientBirthDate", "PatientSex", "OtherPatientIDs")
"""Keys of the patient (PS3.4 C.6.1.1.2): values of these, and what else points at one person, are shown to nobody."""

_LEVEL_KEYS: dict[Level, tuple[str, ...]] = {
    Level.STUDY: (
        *PATIENT_KEYS,
        "StudyDate",
        "StudyTime",
        "AccessionNumber",
        "StudyID",
        "StudyInstanceUID",
        "ModalitiesInStudy",
        "SOPClassesInStudy",
        "StudyDescription",
        "ReferringPhysicianName",
        "NameOfPhysiciansReadingStudy",
        "InstitutionName",
        "InstitutionalDepartmentName",
    ),
    Level.SERIES: (
        "Modality",
        "SeriesNumber",
        "SeriesInstanceUID",
        "SeriesDescription",
        "SeriesDate",
        "SeriesTime",
        "BodyPartExamined",
        "ProtocolName",
        "StationName",
        "Manufacturer",
        "PerformedProcedureStepStartDate",
        "PerformedProcedureStepStartTime",
    ),
    Level.IMAGE: ("SOPClassUID", "SOPInstanceUID", "InstanceNumber", "NumberOfFrames", "ContentDate", "ContentTime"),
}
"""PS3.4 tables C.6-1 to C.6-5 (Study Root), and keys that archives commonly take besides."""

LEVEL_OF: dict[str, Level] = {key: level for level, keys in _LEVEL_KEYS.items() for key in keys}

_SHOWN_AS_THEY_ARE = {
    *("StudyDate", "StudyTime", "ModalitiesInStudy", "SOPClassesInStudy", "StudyInstanceUID"),
    *("Modality", "SeriesInstanceUID", "SOPClassUID", "SOPInstanceUID", "NumberOfFrames"),
}

_HINT = "Write dicom://AET@host:port?StudyDate=20190101-20191231&ModalitiesInStudy=ES; docs/query.md lists the keys."


@dataclass(frozen=True)
class Query:
    """Matching keys (PS3.4 C.2.2.2) by keyword. May hold patient data: ``str`` and ``repr`` show what points at nobody."""

    keys: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def parse(cls, text: str) -> Query:
        """Read ``Keyword=value&…`` with percent-encoded values.

        Raises:
            PolicyError: a key is unknown or there twice, or a value is empty.
        """
        return cls.of(parse_qsl(text, keep_blank_values=True))

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, str]]) -> Query:
        """A checked query.

        Raises:
            PolicyError: a key is unknown or there twice, or a value is empty, or no date where one is needed.
        """
        keys: dict[str, str] = {}
        for name, value in pairs:
            if name not in LEVEL_OF:
                raise PolicyError(f"{name[:64]!r} is no key that archives are asked by", hint=_HINT)
            if name in keys:
                raise PolicyError(
                    f"the key {name} is there twice", hint="Name the source twice, once with each value of the key."
                )
            if not value.strip():
                raise PolicyError(
                    f"the key {name} has no value", hint="Leave it out: what is not named matches anything."
                )
            keys[name] = value.strip()
        Span.parse(keys.get("StudyDate", ""), keys.get("StudyTime", ""))
        return cls(dict(sorted(keys.items())))

    def of_level(self, level: Level) -> dict[str, str]:
        """The keys that are matched at one level."""
        return {name: value for name, value in self.keys.items() if LEVEL_OF[name] is level}

    def with_keys(self, **keys: str) -> Query:
        """The same query with other values of some keys; an empty value takes a key away."""
        return Query({name: value for name, value in (dict(self.keys) | keys).items() if value})

    @property
    def text(self) -> str:
        """``Keyword=value&…`` in one spelling; holds what was asked, patient data too."""
        return urlencode(dict(sorted(self.keys.items())), quote_via=quote, safe="*?-,:")

    def __str__(self) -> str:
        return "&".join(
            f"{name}={value if name in _SHOWN_AS_THEY_ARE else '…'}" for name, value in sorted(self.keys.items())
        )


EVERYTHING = Query()
"""No keys: all that the archive holds."""


@dataclass(frozen=True, slots=True)
class FoundStudy:
    """A study that matched. Counts are None where the archive does not say."""

    study_uid: str
    date: str = ""  # Study Date, YYYYMMDD
    time: str = ""  # Study Time
    modalities: tuple[str, ...] = ()
    sop_classes: tuple[str, ...] = ()
    instances: int | None = None


@dataclass(frozen=True, slots=True)
class FoundSeries:
    """A series of a study."""

    study_uid: str
    series_uid: str
    modality: str = ""
    instances: int | None = None


@dataclass(frozen=True, slots=True)
class FoundInstance:
    """An instance of a series."""

    study_uid: str
    series_uid: str
    sop_instance_uid: str
    sop_class_uid: str = ""  # empty: the archive does not say
    frames: int | None = None  # Number of Frames; None: the archive does not say
    transfer_syntaxes: tuple[str, ...] = ()  # Available Transfer Syntax UID (0008,3002)
    availability: str = ""  # Instance Availability (0008,0056): ONLINE, NEARLINE, OFFLINE, UNAVAILABLE


class Finder(Protocol):
    """Asks an archive. What is not read to its end is cancelled; no answer comes twice.

    All methods raise:
        DestinationUnavailable: the archive did not answer, or cannot now: another try may help.
        DestinationRefused: it will not answer such a question.
    """

    def studies(self, query: Query = EVERYTHING) -> Iterator[FoundStudy]:
        """Studies that match the study keys of a query, in an order that does not change while the archive does not."""
        ...

    def series(self, study_uid: str, query: Query = EVERYTHING) -> Iterator[FoundSeries]:
        """Series of a study that match the series keys of a query."""
        ...

    def instances(self, study_uid: str, series_uid: str, query: Query = EVERYTHING) -> Iterator[FoundInstance]:
        """Instances of a series that match the instance keys of a query."""
        ...
