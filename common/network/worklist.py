"""Modality Worklist (PS3.4 K): what is scheduled under an accession number, by C-FIND on one association."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from common.destinations import DicomDestination
from common.errors import DestinationRefused, DestinationUnavailable
from common.network.asking import Asker
from common.network.association import Caller

if TYPE_CHECKING:
    from pydicom import Dataset
    from pynetdicom.association import Association

WORKLIST = "1.2.840.10008.5.1.4.31"
"""Modality Worklist Information Model - FIND (PS3.4 K.5)."""

MOST_ENTRIES = 50
"""Scheduled steps of one request that are looked at; more of them are cancelled: nobody could tell which is meant."""

PATIENT_KEYS = ("PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex")
REQUEST_KEYS = (
    *("StudyInstanceUID", "AccessionNumber", "ReferringPhysicianName"),
    *("RequestedProcedureID", "RequestedProcedureDescription", "RequestedProcedureCodeSequence"),
)
STEP_KEYS = (
    *("Modality", "ScheduledProcedureStepID", "ScheduledProcedureStepDescription"),
    *("ScheduledProcedureStepStartDate", "ScheduledProcedureStepStartTime"),
)
"""Return keys (PS3.4 Table K.6-1)."""

_SYNTAXES = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2")  # Explicit and Implicit VR Little Endian
_SUCCESS, _CANCEL = 0x0000, 0xFE00
_PENDING = (0xFF00, 0xFF01)  # FF01: some optional keys are not matched


class Worklist(Asker):
    """A worklist server, asked when needed; a broken association is opened again. Use it as a context manager."""

    def __init__(self, server: DicomDestination, caller: Caller) -> None:
        """Nothing is opened yet."""
        super().__init__({WORKLIST: _SYNTAXES}, server, caller)
        self.server = server

    def entries(self, accession: str) -> list[Dataset]:
        """The scheduled procedure steps with exactly this accession number, a data set each; at most MOST_ENTRIES.

        Raises:
            DestinationUnavailable: the server does not answer now.
            DestinationRefused: it answers no worklist queries, or not this one.
        """
        association = self._connected()
        try:
            return self._asked(association, accession)
        except BaseException:
            self.close()  # what an unfinished question leaves behind must not be taken for the answer to the next
            raise

    def _asked(self, association: Association, accession: str) -> list[Dataset]:
        self._next_message()
        found: list[Dataset] = []
        cancelled = False
        try:
            responses = association.send_c_find(_question(accession), WORKLIST, self._message_id)
        except (ConnectionError, RuntimeError) as error:
            raise self._silent() from error
        for answer, entry in responses:
            if "Status" not in answer:
                raise self._silent()
            status = int(answer.Status)
            if status in _PENDING:
                if entry is None:
                    raise DestinationRefused("the worklist sent an answer that cannot be read as a data set")
                # a server that does not match this key sends its whole list: what does not fit is none of ours
                if str(entry.get("AccessionNumber") or "").strip() == accession:
                    found.append(entry)
                if len(found) >= MOST_ENTRIES and not cancelled:
                    association.send_c_cancel(self._message_id, query_model=WORKLIST)
                    cancelled = True
            elif status in (_SUCCESS, _CANCEL) or cancelled:
                return found
            else:
                raise self._failure(status)
        raise self._silent()

    def _agreed(self, models: Sequence[str]) -> None:
        if not models:
            raise DestinationRefused(
                f"{self.server.uri} answers no worklist queries (PS3.4 K)",
                hint="Check host, port and AE title, and that the Modality Worklist is enabled there.",
            )

    def _silent(self) -> DestinationUnavailable:
        return DestinationUnavailable(f"{self.server.uri} ended the connection, or fell silent, before it had answered")

    def _failure(self, status: int) -> DestinationUnavailable | DestinationRefused:
        """PS3.4 Table K.4-1: A7xx out of resources; all others are for good."""
        words, hint = f"(status {status:04X})", "The worklist server's own log tells why."
        if status >> 8 == 0xA7 or status == 0x0110:
            return DestinationUnavailable(f"{self.server.uri} cannot answer worklist queries now {words}", hint=hint)
        return DestinationRefused(f"{self.server.uri} refuses the worklist query {words}", hint=hint)


def _question(accession: str) -> Dataset:
    """Matched by accession number alone; everything else is asked for."""
    from pydicom import Dataset

    question, step = Dataset(), Dataset()
    question.SpecificCharacterSet = "ISO_IR 192"
    for keyword in (*PATIENT_KEYS, *REQUEST_KEYS):
        setattr(question, keyword, [] if keyword.endswith("Sequence") else "")
    for keyword in STEP_KEYS:
        setattr(step, keyword, "")
    question.AccessionNumber = accession
    question.ScheduledProcedureStepSequence = [step]
    return question
