"""An archive that commits as a test tells it: on the association of the request, on one of its own, in part, or never."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import AE, build_role, evt

from common.network.commitment import PUSH_MODEL, SYNTAXES, WELL_KNOWN_INSTANCE

VERIFICATION = "1.2.840.10008.1.1"
FIND = "1.2.840.10008.5.1.4.1.2.2.1"


@dataclass
class CommittingArchive:
    """Storage, commitment and C-FIND on one port. ``requests``: what it was asked, by Transaction UID."""

    offers: bool = True  # storage commitment at all
    action_status: int = 0x0000
    answers_at_once: bool = True
    lacks: Callable[[str], int] = lambda _uid: 0  # SOP Instance UID → Failure Reason, 0: committed
    port: int = 0
    requests: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    stored: list[str] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)  # of our responses to its reports
    asked: threading.Event = field(default_factory=threading.Event)
    reported: threading.Event = field(default_factory=threading.Event)

    def report_of(self, transaction_uid: str) -> tuple[int, Dataset]:
        """Event type and information on a request."""
        event = Dataset()
        event.TransactionUID = transaction_uid
        event.ReferencedSOPSequence, failed = [], []
        for class_uid, uid in self.requests[transaction_uid]:
            item = Dataset()
            item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = class_uid, uid
            if reason := self.lacks(uid):
                item.FailureReason = reason
                failed.append(item)
            else:
                event.ReferencedSOPSequence.append(item)
        if failed:
            event.FailedSOPSequence = failed
        return (2 if failed else 1), event

    def report_to(self, port: int, transaction_uid: str, aet: str = "CINEFARM") -> int:
        """Report on an association of its own, as SCP of the class; returns the status of the answer."""
        entity = AE("ARCHIVE")
        entity.add_requested_context(PUSH_MODEL, list(SYNTAXES))
        role = build_role(PUSH_MODEL, scu_role=False, scp_role=True)
        association = entity.associate("127.0.0.1", port, ae_title=aet, ext_neg=[role])
        assert association.is_established
        status, _ = self._send(association, transaction_uid)
        association.release()
        return int(status.Status)

    def report_when_listening(self, port: int, transaction_uid: str) -> None:
        """Try as an archive does: until somebody listens."""
        for _ in range(300):
            with contextlib.suppress(AssertionError):
                if self.report_to(port, transaction_uid) == 0x0000:
                    return
            time.sleep(0.1)

    def _send(self, association: Any, transaction_uid: str) -> Any:
        kind, event = self.report_of(transaction_uid)
        return association.send_n_event_report(event, kind, PUSH_MODEL, WELL_KNOWN_INSTANCE)

    def on_action(self, event: Any) -> tuple[int, None]:
        request = event.action_information
        references = [(i.ReferencedSOPClassUID, i.ReferencedSOPInstanceUID) for i in request.ReferencedSOPSequence]
        self.requests[str(request.TransactionUID)] = references
        self.asked.set()
        if self.action_status == 0 and self.answers_at_once:
            threading.Thread(target=self._answer, args=(event.assoc, str(request.TransactionUID)), daemon=True).start()
        return self.action_status, None

    def _answer(self, association: Any, transaction_uid: str) -> None:
        """Behind the response to the request: the association's thread sends that first."""
        while association._is_paused is False:
            pass
        status, _ = self._send(association, transaction_uid)
        self.statuses.append(int(status.Status))
        self.reported.set()

    def on_store(self, event: Any) -> int:
        self.stored.append(str(event.request.AffectedSOPInstanceUID))
        return 0x0000

    def on_find(self, event: Any) -> Iterator[tuple[int, Dataset | None]]:
        uid = str(event.identifier.SOPInstanceUID)
        if uid in self.stored and not self.lacks(uid):
            match = Dataset()
            match.QueryRetrieveLevel, match.SOPInstanceUID = "IMAGE", uid
            yield 0xFF00, match


@contextmanager
def serve(archive: CommittingArchive, storage: dict[str, list[str]] | None = None) -> Iterator[CommittingArchive]:
    """Listen on a free port; ``storage``: SOP class → transfer syntaxes that it takes."""
    entity = AE("ARCHIVE")
    for class_uid, syntaxes in (storage or {}).items():
        entity.add_supported_context(class_uid, syntaxes)
    if archive.offers:
        entity.add_supported_context(PUSH_MODEL, list(SYNTAXES))
    entity.add_supported_context(FIND, list(SYNTAXES))
    handlers = [
        (evt.EVT_N_ACTION, archive.on_action),
        (evt.EVT_C_STORE, archive.on_store),
        (evt.EVT_C_FIND, archive.on_find),
    ]
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)  # type: ignore[arg-type]
    archive.port = int(server.server_address[1])
    try:
        yield archive
    finally:
        server.shutdown()


@contextmanager
def report_listener(record: Callable[[Any], bool]) -> Iterator[int]:
    """A bare listener for reports; gives its port."""
    from common.network.commitment import on_event_report

    entity = AE("CINEFARM")
    entity.add_supported_context(PUSH_MODEL, list(SYNTAXES), scu_role=False, scp_role=True)
    handlers: list[Any] = [(evt.EVT_N_EVENT_REPORT, on_event_report(record))]
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
