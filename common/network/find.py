"""C-FIND (PS3.4 C.4.1) in the Study Root, level by level; an archive that knows only the Patient Root is asked by patient.

An archive that gives no more than so many answers is asked again in halves of the span of time, until every part is whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from common.destinations import DicomDestination
from common.errors import DestinationRefused, DestinationUnavailable, NotAnswered
from common.network.asking import Asker
from common.network.association import Caller, aborted_by_peer
from common.network.halving import Answer, search, too_many
from common.network.identifiers import identifier, number, several, text
from common.network.query import EVERYTHING, FoundInstance, FoundSeries, FoundStudy, Level, Query
from common.network.spans import Span

if TYPE_CHECKING:
    from pydicom import Dataset
    from pynetdicom.association import Association

STUDY_ROOT = "1.2.840.10008.5.1.4.1.2.2.1"
PATIENT_ROOT = "1.2.840.10008.5.1.4.1.2.1.1"
_SYNTAXES = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2")  # Explicit and Implicit VR Little Endian

LOW_PRIORITY = 2
"""A migration gives way to the clinic (PS3.7 9.1.2.1.5)."""

_STUDY_KEYS = (
    *("StudyInstanceUID", "StudyDate", "StudyTime", "ModalitiesInStudy"),
    *("SOPClassesInStudy", "NumberOfStudyRelatedInstances"),
)
_SERIES_KEYS = ("SeriesInstanceUID", "Modality", "NumberOfSeriesRelatedInstances")
_INSTANCE_KEYS = (
    *("SOPInstanceUID", "SOPClassUID", "NumberOfFrames"),
    *("AvailableTransferSyntaxUID", "InstanceAvailability"),
)

_SUCCESS, _CANCEL = 0x0000, 0xFE00
_PENDING = (0xFF00, 0xFF01)  # FF01: some optional keys are not matched
_OUT_OF_RESOURCES = 0xA7


class Unwanted(NotAnswered):
    """The archive aborts the association of whoever asks; Orthanc does so with those who may not."""

    @property
    def code(self) -> str:
        """A case of it, not a kind of its own."""
        return NotAnswered.__name__


class ArchiveFinder(Asker):
    """A Finder (common.network.query) on one association, which is opened when needed and again when it broke.

    Use it as a context manager: it releases the association at the end.
    """

    def __init__(
        self,
        archive: DicomDestination,
        caller: Caller,
        *,
        cap: int | None = None,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """``cap``: answers that the archive is known to give at most; ``check`` raises what is to end the search."""
        super().__init__({STUDY_ROOT: _SYNTAXES, PATIENT_ROOT: _SYNTAXES}, archive, caller)
        self._cap, self._check = cap, check
        self._model = STUDY_ROOT
        self._patients: dict[str, str] = {}  # Patient Root only: the keys that the levels below need

    def studies(self, query: Query = EVERYTHING) -> Iterator[FoundStudy]:
        """See Finder."""
        keys = query.of_level(Level.STUDY)
        span = Span.parse(keys.pop("StudyDate", ""), keys.pop("StudyTime", ""))
        self._connected()
        if self._model == STUDY_ROOT:
            yield from search(span, lambda part, most: self._studies(keys, part, most))
            return
        for patient_id in self._patient_ids(keys):
            of_patient = {**keys, "PatientID": patient_id}
            for study in search(span, lambda part, most, of=of_patient: self._studies(of, part, most)):  # type: ignore[misc]
                self._patients = {study.study_uid: patient_id}
                yield study

    def series(self, study_uid: str, query: Query = EVERYTHING) -> Iterator[FoundSeries]:
        """See Finder."""
        keys = {**self._above(study_uid), **query.of_level(Level.SERIES)}
        for match in self._whole(Level.SERIES, keys, _SERIES_KEYS, "the series of a study"):
            counted = number(match["NumberOfSeriesRelatedInstances"])
            yield FoundSeries(study_uid, match["SeriesInstanceUID"], match["Modality"], counted)

    def instances(self, study_uid: str, series_uid: str, query: Query = EVERYTHING) -> Iterator[FoundInstance]:
        """See Finder."""
        keys = {**self._above(study_uid), "SeriesInstanceUID": series_uid, **query.of_level(Level.IMAGE)}
        for match in self._whole(Level.IMAGE, keys, _INSTANCE_KEYS, "the instances of a series"):
            yield FoundInstance(
                study_uid,
                series_uid,
                match["SOPInstanceUID"],
                match["SOPClassUID"],
                number(match["NumberOfFrames"]),
                several(match["AvailableTransferSyntaxUID"]),
                match["InstanceAvailability"],
            )

    def _studies(self, keys: Mapping[str, str], span: Span, most: int | None) -> tuple[list[FoundStudy], Answer]:
        asked = {**keys, "StudyDate": span.date.text, "StudyTime": span.time.text}
        answer = self._ask(Level.STUDY, asked, _STUDY_KEYS, most)
        found = [
            FoundStudy(
                match["StudyInstanceUID"],
                match["StudyDate"],
                match["StudyTime"],
                several(match["ModalitiesInStudy"]),
                several(match["SOPClassesInStudy"]),
                number(match["NumberOfStudyRelatedInstances"]),
            )
            for match in answer.matches
        ]
        return found, answer

    def _patient_ids(self, keys: Mapping[str, str]) -> list[str]:
        """Patient Root: whose studies may match."""
        named = keys.get("PatientID", "")
        if named and not set(named) & set("*?\\"):
            return [named]
        of_patient = {name: value for name, value in keys.items() if name.startswith(("Patient", "Issuer", "Other"))}
        patients = self._whole(Level.PATIENT, {"PatientID": "", **of_patient}, ("PatientID",), "its patients")
        return list(dict.fromkeys(match["PatientID"] for match in patients))

    def _above(self, study_uid: str) -> dict[str, str]:
        """The unique keys that a question below a study needs (PS3.4 C.4.1.2.1)."""
        self._connected()
        keys = {"StudyInstanceUID": study_uid}
        if self._model == PATIENT_ROOT:
            if study_uid not in self._patients:
                of_study = self._whole(Level.STUDY, keys, ("StudyInstanceUID", "PatientID"), "the patient of a study")
                self._patients = {match["StudyInstanceUID"]: match["PatientID"] for match in of_study}
            keys["PatientID"] = self._patients.get(study_uid, "")
        return keys

    def _whole(
        self, level: Level, keys: Mapping[str, str], wanted: tuple[str, ...], what: str
    ) -> Iterator[Mapping[str, str]]:
        """Every match, each once.

        Raises:
            DestinationRefused: the archive does not give all of them, and no key would part them.
        """
        answer = self._ask(level, keys, wanted, None)
        if answer.capped:
            raise too_many(answer, f"it does not list {what} in full")
        seen: set[str] = set()
        for match in answer.matches:
            if match[wanted[0]] not in seen:
                seen.add(match[wanted[0]])
                yield match

    def _ask(self, level: Level, keys: Mapping[str, str], wanted: tuple[str, ...], most: int | None) -> Answer:
        association = self._connected()
        try:
            return self._answered(association, identifier(level, keys, wanted), wanted, most)
        except BaseException:
            self.close()  # what an unfinished question leaves behind must not be taken for the answer to the next
            raise

    def _answered(
        self, association: Association, question: Dataset, wanted: tuple[str, ...], most: int | None
    ) -> Answer:
        self._next_message()
        matches: list[Mapping[str, str]] = []
        cancelled = False
        try:
            responses = association.send_c_find(question, self._model, self._message_id, LOW_PRIORITY)
        except (ConnectionError, RuntimeError) as error:
            raise _silent() from error
        for answer, match in responses:
            self._check()
            if "Status" not in answer:
                raise _silent(Unwanted if aborted_by_peer(association) and not matches else NotAnswered)
            status = int(answer.Status)
            if status not in _PENDING:
                return self._ended(status, matches, cancelled=cancelled)
            if match is None:
                raise DestinationRefused("the archive sent an answer that cannot be read as a data set")
            if most is None or len(matches) < most:
                matches.append({name: text(match, name) for name in wanted})
            elif not cancelled:
                association.send_c_cancel(self._message_id, query_model=self._model)
                cancelled = True
        raise _silent()

    def _ended(self, status: int, matches: list[Mapping[str, str]], *, cancelled: bool) -> Answer:
        """What the final status says of the matches before it (PS3.4 table C.4-1).

        Raises:
            DestinationUnavailable, DestinationRefused: it is a failure, and not one of having too many answers.
        """
        if cancelled or status == _CANCEL or status >> 12 == 0xB:  # Orthanc ends what it cut short with FE00
            return Answer(matches, capped=True)
        if status >> 8 == _OUT_OF_RESOURCES:  # dcm4chee's answer to more matches than it may give
            return Answer(matches, capped=True, spent=True)
        if status != _SUCCESS:
            raise _failure(status)
        below = self._cap is not None and len(matches) < self._cap
        return Answer(matches, capped=self._cap is not None and not below, certain=below)

    def _agreed(self, models: Sequence[str]) -> None:
        if not models:
            raise DestinationRefused(
                f"{self._peer.uri} answers no queries (C-FIND)",
                hint="Check that Query/Retrieve is enabled there, and allowed for our AE title.",
            )
        self._model = STUDY_ROOT if STUDY_ROOT in models else PATIENT_ROOT


def _silent(kind: type[NotAnswered] = NotAnswered) -> NotAnswered:
    return kind(
        "the archive ended the connection, or fell silent, before it had answered a query",
        hint="Check that our AE title may query there: some archives end the association of those who may not.",
    )


def _failure(status: int) -> DestinationUnavailable | DestinationRefused:
    """A failed C-FIND in words (PS3.4 table C.4-1, PS3.7 annex C)."""
    words, hint = f"(status {status:04X})", "The archive's own log tells why."
    if status == 0x0110:
        return DestinationUnavailable(f"the archive failed while it searched {words}", hint=hint)
    if status in (0xA900, 0xA901):
        return DestinationRefused(
            f"the archive refuses the query: a key does not belong to its information model {words}",
            hint="Leave out keys that not every archive takes; docs/query.md tells which it must.",
        )
    if status >> 12 == 0xC:
        return DestinationRefused(f"the archive is unable to process the query {words}", hint=hint)
    if status == 0x0122:
        return DestinationRefused(f"the archive does not support this kind of query {words}", hint=hint)
    if status == 0x0124:
        return DestinationRefused(f"the archive does not allow us to ask {words}", hint=hint)
    return DestinationRefused(f"the archive refused the query {words}", hint=hint)
