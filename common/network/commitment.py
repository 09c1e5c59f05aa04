"""Storage commitment (PS3.4 J): ask an archive to commit itself, and read its reports, on either association."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING, Any

from common.destinations import DicomDestination
from common.errors import DestinationUnavailable, NotAnswered
from common.logs import logger
from common.network.association import Caller, aborted_by_peer, associate
from common.orders import CommitDone, CommitReport, Uncommitted

if TYPE_CHECKING:
    from pydicom.dataset import Dataset
    from pynetdicom.association import Association

log = logger(__name__)

PUSH_MODEL = "1.2.840.10008.1.20.1"
WELL_KNOWN_INSTANCE = "1.2.840.10008.1.20.1.1"
"""SOP class and the one SOP instance of the Storage Commitment Push Model (PS3.4 J.3.5)."""

IMPLICIT = "1.2.840.10008.1.2"
SYNTAXES = ("1.2.840.10008.1.2.1", IMPLICIT)  # Explicit and Implicit VR Little Endian

REQUEST = 1
"""Action Type ID of a commitment request (PS3.4 J.3.2.1)."""

ALL_COMMITTED, SOME_FAILED = 1, 2
"""Event Type IDs of the answers (PS3.4 J.3.3.1)."""

SUCCESS, PROCESSING_FAILURE = 0x0000, 0x0110
NO_SUCH_EVENT_TYPE, INVALID_ARGUMENT_VALUE = 0x0113, 0x0115
"""Statuses of an N-EVENT-REPORT response (PS3.7 10.1.1.1.8 and C)."""

_BUSY = frozenset({PROCESSING_FAILURE, 0x0213})  # processing failure, resource limitation (PS3.7 C.5)
_MOST_INSTANCES = 100_000  # in one report: far more than was ever asked at once
_LOOK_SECONDS = 0.1

Record = Callable[[CommitReport], bool]
"""Keeps a report; False: nobody has asked for this transaction."""


def request_commitment(
    transaction_uid: str,
    instances: Sequence[tuple[str, str]],
    archive: DicomDestination,
    caller: Caller,
    *,
    wait_seconds: float,
    check: Callable[[], None] = lambda: None,
) -> CommitDone:
    """Send the N-ACTION and wait for a report on the same association, ``wait_seconds`` at most.

    ``instances``: pairs of SOP Class and SOP Instance UID. That the archive took the request is no commitment. ``check`` is
    asked while we wait; it raises what is to end the work.

    Raises:
        DestinationUnavailable: no association or no answer for now, or the archive cannot take the request now.
        DestinationRefused: the association was rejected for good.
    """
    from pynetdicom import evt

    reply = _Reply(transaction_uid)
    handlers = [(evt.EVT_N_EVENT_REPORT, on_event_report(reply.keep)), (evt.EVT_PDU_SENT, reply.was_sent)]
    with associate({PUSH_MODEL: SYNTAXES}, archive, caller, handlers=handlers) as association:
        if not association.accepted_contexts:
            return CommitDone(refused="it does not offer storage commitment")
        refused = _asked(association, transaction_uid, instances)
        if refused:
            return CommitDone(refused=refused)
        return CommitDone(report=reply.wait(association, wait_seconds, check))


def _asked(association: Association, transaction_uid: str, instances: Sequence[tuple[str, str]]) -> str:
    """Send the request; returns why the archive does not want it, or nothing."""
    try:
        answer, _ = association.send_n_action(
            _request(transaction_uid, instances), REQUEST, PUSH_MODEL, WELL_KNOWN_INSTANCE
        )
    except (ConnectionError, RuntimeError) as error:  # the association ended while we sent, or just before
        raise _silent() from error
    if "Status" not in answer and aborted_by_peer(association):  # Orthanc does so with who is not among its modalities
        return "it aborts the association when it is asked to commit; does it know our AE title, host and port?"
    if "Status" not in answer:
        raise _silent()
    status = int(answer.Status)
    if status in _BUSY:
        raise DestinationUnavailable(
            f"the archive cannot take a request for commitment now (status {status:04X})",
            hint="The archive's own log tells why.",
        )
    taken = status == SUCCESS or status == 0x0001 or status >> 12 == 0xB  # warnings (PS3.7 C.4)
    return "" if taken else f"it refused the request for commitment (status {status:04X})"


def _silent() -> NotAnswered:
    return NotAnswered("the archive ended the connection, or fell silent, before it took the request")


def _request(transaction_uid: str, instances: Sequence[tuple[str, str]]) -> Dataset:
    """Action Information (PS3.4 table J.3-1)."""
    from pydicom.dataset import Dataset

    request = Dataset()
    request.TransactionUID = transaction_uid
    request.ReferencedSOPSequence = []
    for sop_class_uid, sop_instance_uid in instances:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class_uid, sop_instance_uid
        request.ReferencedSOPSequence.append(item)
    return request


def report_of(event: Dataset) -> CommitReport:
    """Read Event Information (PS3.4 table J.3-2). What it says counts, whichever event type it came under.

    Raises:
        ValueError: it has no Transaction UID, or a reference without an instance.
    """
    transaction_uid = str(event.get("TransactionUID") or "")
    committed = event.get("ReferencedSOPSequence") or ()
    failed = event.get("FailedSOPSequence") or ()
    if not transaction_uid or len(transaction_uid) > 64 or len(committed) + len(failed) > _MOST_INSTANCES:
        raise ValueError("no report on a transaction")
    return CommitReport(
        transaction_uid=transaction_uid,
        committed=tuple(_instance(item) for item in committed),
        failed=tuple(
            Uncommitted(sop_instance_uid=_instance(item), reason=int(item.get("FailureReason") or 0)) for item in failed
        ),
    )


def _instance(item: Dataset) -> str:
    uid = str(item.get("ReferencedSOPInstanceUID") or "")
    if not uid:
        raise ValueError("a reference without an instance")
    return uid


def answer_report(event_type: int, information: Callable[[], Dataset], record: Record) -> int:
    """Record what an N-EVENT-REPORT says; returns the status to answer (PS3.7 10.1.1.1.8).

    A report on a transaction that nobody has asked for is answered 0115, invalid argument value; one that could not be
    kept 0110, so that the archive tries again. ``information`` decodes the data set.
    """
    if event_type not in (ALL_COMMITTED, SOME_FAILED):
        return NO_SUCH_EVENT_TYPE
    try:
        report = report_of(information())
    except Exception as error:  # what a decoder raises on broken bytes is anything
        log.warning("commitment_report_unreadable", error=type(error).__name__)
        return INVALID_ARGUMENT_VALUE
    try:
        known = record(report)
    except Exception as error:
        log.warning("commitment_report_not_kept", transaction=report.transaction_uid, error=type(error).__name__)
        return PROCESSING_FAILURE
    if not known:
        log.warning("commitment_report_unknown", transaction=report.transaction_uid)
    return SUCCESS if known else INVALID_ARGUMENT_VALUE


def on_event_report(record: Record) -> Callable[[Any], tuple[int, None]]:
    """pynetdicom's handler of EVT_N_EVENT_REPORT, for our own association and for a listener."""

    def handle(event: Any) -> tuple[int, None]:
        return answer_report(int(event.event_type or 0), lambda: event.event_information, record), None

    return handle


def answer_message(event_type: int, data: bytes, transfer_syntax_uid: str, record: Record) -> int:
    """``answer_report`` for a listener that has the data set as it came."""

    def decoded() -> Dataset:
        from pydicom.filereader import read_dataset

        return read_dataset(BytesIO(data), transfer_syntax_uid == IMPLICIT, is_little_endian=True)

    return answer_report(event_type, decoded, record)


@dataclass
class _Reply:
    """The report that comes while we wait, and whether its archive has our response to it."""

    transaction_uid: str
    report: CommitReport | None = None
    answered: threading.Event = field(default_factory=threading.Event)

    def keep(self, report: CommitReport) -> bool:
        """Ours is kept; one on another transaction is not for us, the archive may open an association for it."""
        if report.transaction_uid != self.transaction_uid:
            return False
        self.report = report
        return True

    def was_sent(self, _event: object) -> None:
        """A PDU went out: after a report, the response to it. A release before it would be taken for our answer."""
        if self.report is not None:
            self.answered.set()

    def wait(self, association: Association, wait_seconds: float, check: Callable[[], None]) -> CommitReport | None:
        """The report, or None when it does not come in time or the archive has left."""
        end = time.monotonic() + wait_seconds
        while association.is_established and time.monotonic() < end and not self.answered.wait(_LOOK_SECONDS):
            check()
        return self.report
