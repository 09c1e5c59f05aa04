"""Patient and study data of plain video from a Modality Worklist, by the accession number in its name or in the CSV (docs/worklist.md)."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from common.destinations import DicomDestination, parse_destination
from common.errors import CinefarmError, MissingMetadata, PolicyError
from common.media import Value
from common.settings import Settings
from orchestrator.ingest.found import Found
from orchestrator.ingest.mapping import Mapping, Row, missing_metadata

if TYPE_CHECKING:
    from pydicom import Dataset

    from common.network.worklist import Worklist

MOST_REMEMBERED = 4096
"""Answers kept: the videos of a study lie near each other, and a million accession numbers must not fill memory."""

LONGEST_ACCESSION = 16  # characters, SH (PS3.5 6.2)
_WILDCARDS = set("*?\\")

PATTERN_HINT = r"Write a regular expression with one group, for example --accession '_(A\d+)_'."


class WorklistRequest(Value):
    """Where to ask, and where the accession number stands in the path of a file below its source."""

    server: str  # dicom://AET@host:port
    accession: str | None = None  # regular expression with one group; None: only the CSV names it

    @classmethod
    def parse(cls, server: str | None, accession: str | None) -> WorklistRequest | None:
        """As the command line or a job file says it.

        Raises:
            PolicyError: the server or the pattern is not understood.
        """
        if server is None:
            if accession is not None:
                raise PolicyError(
                    "--accession needs --worklist", hint="Name the worklist: --worklist dicom://AET@host:port."
                )
            return None
        place = parse_destination(server)
        if not isinstance(place, DicomDestination):
            raise PolicyError("a worklist is asked by DICOM", hint="Write dicom://AET@host:port.")
        if accession is not None:
            try:
                groups = re.compile(accession).groups
            except re.error as error:
                raise PolicyError(f"the pattern for accession numbers is wrong: {error}", hint=PATTERN_HINT) from error
            if groups != 1:
                raise PolicyError(f"the pattern for accession numbers has {groups} groups", hint=PATTERN_HINT)
        return cls(server=place.uri, accession=accession)


@dataclass(frozen=True)
class Entry:
    """What a worklist says of one accession number. Patient data: it goes into the header object and nowhere else."""

    header: Dataset = field(repr=False)
    row: Row | None = None  # of the CSV, whose other cells go before

    @property
    def modality(self) -> str:
        """Modality (0008,0060), or empty."""
        return (self.row.modality if self.row else "") or str(self.header.get("Modality") or "")

    @property
    def requested_class(self) -> str | None:
        """SOP Class UID that the row asks for, or None."""
        return self.row.requested_class if self.row else None

    def dataset(self) -> Dataset:
        """The data elements: the worklist's, and those of the row that say more."""
        from copy import deepcopy

        merged = deepcopy(self.header)
        for element in self.row.dataset() if self.row else ():
            if element.keyword not in ("AccessionNumber", "SpecificCharacterSet"):
                merged[element.tag] = element
        return merged


Supply = Row | Entry | CinefarmError
"""The data of a plain video, or why there are none."""


class Supplier:
    """Whose a plain video is: the CSV first, then the worklist. Use it as a context manager."""

    def __init__(
        self, mapping: Mapping | None, request: WorklistRequest | None, settings: Settings | None = None
    ) -> None:
        """Nothing is asked yet."""
        self.mapping = mapping
        self._request, self._settings = request, settings
        self._pattern = re.compile(request.accession) if request and request.accession else None
        self._worklist: Worklist | None = None
        self._answers: OrderedDict[str, Dataset | CinefarmError] = OrderedDict()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._worklist is not None:
            self._worklist.close()

    @property
    def asks(self) -> bool:
        """Whether there is a worklist to ask."""
        return self._request is not None

    def of(self, found: Found) -> Supply | None:
        """The data of one file; None: nobody says anything of it. DICOM files bring their own, and are not asked for.

        Raises:
            BadMapping: two rows name the file.
            DestinationUnavailable, DestinationRefused: the worklist does not answer, or refuses.
        """
        row = self.mapping.row_for(found) if self.mapping is not None else None
        if self._request is None or (row is not None and row.complete):
            return row
        accession = row.accession if row is not None else self._in_name(found.relative)
        if accession is None or found.retrieval is not None or _is_dicom(found.path):
            return None
        answer = self._answer(accession)
        return Entry(answer, row) if not isinstance(answer, CinefarmError) else answer

    def all_of(self, files: Iterable[Found]) -> dict[str, Supply]:
        """By the places of the files."""
        return {found.place: given for found in files if (given := self.of(found)) is not None}

    def nothing_known(self) -> MissingMetadata:
        """The error of a plain video of which nobody says anything."""
        if self._request is None:
            return missing_metadata(self.mapping)
        return MissingMetadata(
            "a plain video file does not say whose it is, and no accession number stands in its name or in a mapping",
            hint=f"Add a line for it to the CSV given with --map (file,AccessionNumber is enough). {PATTERN_HINT}",
        )

    def _in_name(self, relative: str) -> str | None:
        found = self._pattern.search(relative) if self._pattern is not None else None
        return (found.group(1) or "").strip() or None if found is not None else None

    def _answer(self, accession: str) -> Dataset | CinefarmError:
        if accession in self._answers:
            self._answers.move_to_end(accession)
            return self._answers[accession]
        answer = self._ask(accession)
        self._answers[accession] = answer
        if len(self._answers) > MOST_REMEMBERED:
            self._answers.popitem(last=False)
        return answer

    def _ask(self, accession: str) -> Dataset | CinefarmError:
        from common.network.association import Caller
        from common.network.worklist import Worklist

        if len(accession) > LONGEST_ACCESSION or _WILDCARDS & set(accession):
            return MissingMetadata("what stands for its accession number is none (PS3.5 6.2, SH)", hint=PATTERN_HINT)
        if self._worklist is None and self._request is not None:
            server = parse_destination(self._request.server)
            if isinstance(server, DicomDestination):
                self._worklist = Worklist(server, Caller.of(self._settings or Settings()))
        if self._worklist is None:
            return self.nothing_known()
        return chosen(self._worklist.entries(accession))


def chosen(entries: list[Dataset]) -> Dataset | CinefarmError:
    """The one header that the entries give; an error where there is none, or more than one: nobody guesses."""
    hint = "Correct the worklist or the name of the file, or give the file a line of its own in the CSV of --map."
    if not entries:
        return MissingMetadata("the worklist has no entry for its accession number", hint=hint)
    headers = [_header(entry, whole=len(entries) == 1) for entry in entries]
    if any(header.to_json_dict() != headers[0].to_json_dict() for header in headers[1:]):
        return MissingMetadata(f"the worklist has {len(entries)} entries for its accession number", hint=hint)
    if not str(headers[0].get("PatientID") or "").strip():
        return MissingMetadata("the worklist's entry for its accession number has no Patient ID", hint=hint)
    return headers[0]


def _header(entry: Dataset, *, whole: bool) -> Dataset:
    """What the composite instance takes over (PS3.4 K.6.1.2.2, IHE RAD TF-2 appendix A); ``whole``: its step's own data too.

    Requested Procedure ID and Description become Study ID and Description; the step's scheduled start is the study's date.
    """
    from pydicom import Dataset

    from common.network.worklist import PATIENT_KEYS

    steps = entry.get("ScheduledProcedureStepSequence") or [Dataset()]
    step, header, request = steps[0], Dataset(), Dataset()
    header.SpecificCharacterSet = "ISO_IR 192"
    for keyword in (*PATIENT_KEYS, "StudyInstanceUID", "AccessionNumber", "ReferringPhysicianName"):
        _copy(entry, keyword, header)
    _copy(entry, "RequestedProcedureID", header, "StudyID")
    _copy(entry, "RequestedProcedureDescription", header, "StudyDescription")
    _copy(entry, "RequestedProcedureCodeSequence", header, "ProcedureCodeSequence")
    _copy(step, "Modality", header)
    for keyword in ("RequestedProcedureID", "RequestedProcedureDescription"):
        _copy(entry, keyword, request)
    _copy(entry, "AccessionNumber", request)
    if whole:
        _copy(step, "ScheduledProcedureStepStartDate", header, "StudyDate")
        _copy(step, "ScheduledProcedureStepStartTime", header, "StudyTime")
        for keyword in ("ScheduledProcedureStepID", "ScheduledProcedureStepDescription"):
            _copy(step, keyword, request)
    header.RequestAttributesSequence = [request]
    return header


def _copy(source: Dataset, keyword: str, target: Dataset, to: str = "") -> None:
    """One value, where there is any."""
    value = source.get(keyword)
    if value is not None and value != "" and (not keyword.endswith("Sequence") or len(value)):
        setattr(target, to or keyword, value)


def _is_dicom(path: Path) -> bool:
    """By its first bytes; a file that cannot be read is judged by whoever describes it."""
    from common.dicom.pixel_stream import looks_like_dicom

    try:
        with path.open("rb") as stream:
            return looks_like_dicom(stream.read(132))
    except OSError:
        return False
