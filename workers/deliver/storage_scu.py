"""The network edge of C-STORE: one association, one presentation context, one object sent from disk in bounded memory."""

from __future__ import annotations

import queue
import socket
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.bandwidth import UNPACED, Pace
from common.destinations import DicomDestination
from common.errors import DestinationRefused, DestinationUnavailable, StoreFault
from common.network.association import DEFAULT_PDU_BYTES, Caller, associate

if TYPE_CHECKING:
    from pynetdicom.association import Association
    from pynetdicom.dul import DULServiceProvider

QUEUED_PDUS = 16
"""Read ahead of the network: enough that the disk never waits for it, 2 MB at 128 KiB a PDU."""

LEAST_PDU_BYTES = 1_024
"""A peer that takes less in one PDU would make millions of them of a video."""

LOW_PRIORITY = 2
"""A migration gives way to the clinic (PS3.7 9.1.1.1.5)."""

_POLL_SECONDS = 0.1
_CLASS_NOT_SUPPORTED = 0x03  # result of a presentation context (PS3.8 table 9-18)


class ContextRefused(DestinationRefused):
    """The association stands, but not for this class in this syntax."""


class BoundedQueue(queue.Queue[Any]):
    """pynetdicom's queue to the sending thread has no limit, so a slow link would gather the whole file in memory.

    This one makes the reader of the file wait, for the network and for its ``pace``, and notices when the thread that empties
    it has ended.
    """

    def __init__(self, sender: DULServiceProvider, pace: Pace = UNPACED) -> None:
        super().__init__(maxsize=QUEUED_PDUS)
        self._sender = sender
        self._pace = pace

    def put(self, item: object, block: bool = True, timeout: float | None = None) -> None:  # noqa: ARG002  Queue's
        """Wait for room.

        Raises:
            ConnectionError: the association has ended, there never will be room.
            LeaseLost: the attempt was revoked.
        """
        values = getattr(item, "presentation_data_value_list", ())  # of P-DATA only; releases and aborts go at once
        if values:
            self._pace(sum(len(value) for _, value in values))
        while self._sender.is_alive():
            with suppress(queue.Full):
                super().put(item, timeout=_POLL_SECONDS)
                return
        raise ConnectionError("the association has ended")


def store_file(path: Path, sop_class_uid: str, syntax_uid: str, peer: DicomDestination, caller: Caller) -> int:
    """Send the data set of a DICOM file (its preamble and file meta stay here); returns the C-STORE status.

    Raises:
        DestinationUnavailable: no connection, a transient rejection, or the connection ended before the answer.
        DestinationRefused: the association or its presentation context was rejected for good.
        StoreFault: the file cannot be read to its end.
    """
    from pynetdicom import _config

    _config.STORE_SEND_CHUNKED_DATASET = True  # the library has no narrower switch; nothing of ours wants the other way
    with associate({sop_class_uid: [syntax_uid]}, peer, caller) as association:
        if not association.accepted_contexts:
            raise _refusal(association, sop_class_uid, syntax_uid)
        _bound(association, caller)
        return _confirmed(association, path)


def _confirmed(association: Association, path: Path) -> int:
    """Send, and wait for the status.

    Raises:
        DestinationUnavailable: no status came.
        StoreFault: our own file cannot be read to its end.
    """
    try:
        answer = association.send_c_store(path, priority=LOW_PRIORITY)
    except (ConnectionError, RuntimeError):  # the association ended while we sent, or just before
        answer = None
    except OSError as error:
        raise StoreFault(f"the instance cannot be read from the store: {error.strerror}") from error
    if answer is None or "Status" not in answer:
        raise DestinationUnavailable("the archive ended the connection, or fell silent, before it confirmed the object")
    return int(answer.Status)


def accepted_syntaxes(
    sop_class_uid: str, syntax_uids: list[str], peer: DicomDestination, caller: Caller
) -> tuple[str, ...]:
    """Which of these transfer syntaxes the archive takes for a class: an association that is opened and closed again.

    Raises:
        DestinationUnavailable, DestinationRefused: no association at all.
    """
    with associate({sop_class_uid: syntax_uids}, peer, caller) as association:
        return tuple(str(context.transfer_syntax[0]) for context in association.accepted_contexts)


def _bound(association: Association, caller: Caller) -> None:
    """Set limits where pynetdicom has none: on a PDU, on the queue of PDUs, on the wait for the peer to take a byte."""
    agreed, transport = association.acceptor.primitive, association.dul.socket
    if agreed is None or transport is None or transport.socket is None:
        raise DestinationUnavailable("the archive ended the connection at once")
    ours, theirs = caller.max_pdu_bytes or DEFAULT_PDU_BYTES, agreed.maximum_length_received
    if theirs and theirs < LEAST_PDU_BYTES:
        raise DestinationRefused(f"the archive takes no more than {theirs} bytes in one PDU")
    agreed.maximum_length_received = min(ours, theirs or ours)
    association.dul.to_provider_queue = BoundedQueue(association.dul, caller.pace)
    _watch(transport.socket, caller.timeouts.stall)


def _watch(connection: socket.socket, stall: float) -> None:
    """Notice a peer that takes no byte for ``stall`` seconds, and a host that vanished while it owes an answer."""
    try:
        connection.settimeout(stall)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10)
    except OSError as error:
        raise DestinationUnavailable("the archive ended the connection at once") from error


def _refusal(association: Association, sop_class_uid: str, syntax_uid: str) -> ContextRefused:
    """Why the only presentation context was not accepted."""
    whole_class = association.rejected_contexts[0].result == _CLASS_NOT_SUPPORTED
    offer = f"SOP class {sop_class_uid} in transfer syntax {syntax_uid}"
    return ContextRefused(f"the archive does not take {offer}" + (": not this class at all" if whole_class else ""))
