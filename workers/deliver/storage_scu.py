"""The network edge of C-STORE: one association, one presentation context, one object sent from disk in bounded memory."""

from __future__ import annotations

import logging
import queue
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.bandwidth import UNPACED, Pace
from common.destinations import DicomDestination
from common.errors import DestinationRefused, DestinationUnavailable, StoreFault

if TYPE_CHECKING:
    from pynetdicom.ae import ApplicationEntity
    from pynetdicom.association import Association
    from pynetdicom.dul import DULServiceProvider

QUEUED_PDUS = 16
"""Read ahead of the network: enough that the disk never waits for it, 2 MB at 128 KiB a PDU."""

DEFAULT_PDU_BYTES = 131_072
LEAST_PDU_BYTES = 1_024
"""A peer that takes less in one PDU would make millions of them of a video."""

SLOWEST_ARCHIVE = 1_000_000
"""Bytes/s at which the slowest believable archive puts away what it has received before it answers."""

LOW_PRIORITY = 2
"""A migration gives way to the clinic (PS3.7 9.1.1.1.5)."""

_POLL_SECONDS = 0.1
_END_SECONDS = 5.0  # for pynetdicom's threads to see that their association is over; they look every millisecond
_CLASS_NOT_SUPPORTED = 0x03  # result of a presentation context (PS3.8 table 9-18)
_PERMANENT = 0x01  # result of A-ASSOCIATE-RJ (PS3.8 table 9-21)


class ContextRefused(DestinationRefused):
    """The association stands, but not for this class in this syntax."""


@dataclass(frozen=True)
class Timeouts:
    """How long to wait for what, in seconds."""

    connect: float = 15.0  # TCP
    association: float = 30.0  # answers to association and release requests (ACSE)
    stall: float = 60.0  # the peer takes not a single byte
    answer: float = 30.0  # from the last byte to the C-STORE response (DIMSE)

    @classmethod
    def for_size(cls, size_bytes: int) -> Timeouts:
        """Some archives index or copy the object before they answer, so the wait for the answer grows with its size."""
        return cls(answer=cls.answer + size_bytes / SLOWEST_ARCHIVE)


@dataclass(frozen=True)
class Caller:
    """Who we are on the network, and how we send."""

    ae_title: str
    max_pdu_bytes: int
    timeouts: Timeouts
    pace: Pace = field(default_factory=Pace)


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
    with _association({sop_class_uid: [syntax_uid]}, peer, caller) as association:
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
    with _association({sop_class_uid: syntax_uids}, peer, caller) as association:
        return tuple(str(context.transfer_syntax[0]) for context in association.accepted_contexts)


@contextmanager
def _association(contexts: dict[str, list[str]], peer: DicomDestination, caller: Caller) -> Iterator[Association]:
    """An association that was answered (perhaps with no context accepted); released, or torn down, at the end."""
    from pynetdicom import evt
    from pynetdicom.presentation import build_context

    connected: list[object] = []
    try:
        association = _entity(caller).associate(
            peer.host.strip("[]"),
            peer.port,
            contexts=[build_context(uid, syntax) for uid, syntaxes in contexts.items() for syntax in syntaxes],
            ae_title=peer.called_aet,
            max_pdu=caller.max_pdu_bytes or DEFAULT_PDU_BYTES,
            evt_handlers=[(evt.EVT_CONN_OPEN, connected.append)],
        )
    except (socket.gaierror, UnicodeError) as error:
        raise DestinationUnavailable("the host name of the archive cannot be resolved") from error
    try:
        if not association.is_established and not association.rejected_contexts:
            raise _no_association(association, bool(connected), peer, caller)
        yield association
        with suppress(ConnectionError):  # the answer is in; how the peer leaves changes nothing
            association.release()
    finally:
        _end(association)


def _entity(caller: Caller) -> ApplicationEntity:
    from pynetdicom import AE

    # its log lines hold UIDs and data elements; what failed is said in our errors
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL + 1)
    entity = AE(ae_title=caller.ae_title)
    entity.connection_timeout = caller.timeouts.connect
    entity.acse_timeout = caller.timeouts.association
    entity.dimse_timeout = caller.timeouts.answer
    entity.network_timeout = None  # idle is what a slow archive looks like; send and answer have their own limits
    return entity


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


def _end(association: Association) -> None:
    """Leave no thread and no socket behind, whatever state the association is in."""
    with suppress(ConnectionError):
        if association.is_established:
            association.abort()
    if association.dul.socket is not None:
        association.dul.socket.close()
    for thread in (association.dul, association):
        if thread.is_alive():
            thread.join(_END_SECONDS)


def _no_association(
    association: Association, connected: bool, peer: DicomDestination, caller: Caller
) -> DestinationUnavailable | DestinationRefused:
    from pynetdicom.pdu_primitives import A_ASSOCIATE

    hint = (
        f"Check host, port and AE title, and whether the archive knows our AE title {caller.ae_title!r} and this host."
    )
    if not connected:
        return DestinationUnavailable(f"{peer.uri} cannot be reached: no TCP connection", hint=hint)
    # a rejection that comes faster than pynetdicom looks for the connection stays unread in its queue
    answer = association.acceptor.primitive or association.dul.peek_next_pdu()
    if not isinstance(answer, A_ASSOCIATE) or not answer.result:
        return DestinationUnavailable(f"{peer.uri} did not answer the association request", hint=hint)
    reason = answer.reason_str.lower()
    if answer.result == _PERMANENT:
        return DestinationRefused(f"{peer.uri} rejected the association for good: {reason}", hint=hint)
    return DestinationUnavailable(f"{peer.uri} rejected the association for now: {reason}", hint=hint)


def _refusal(association: Association, sop_class_uid: str, syntax_uid: str) -> ContextRefused:
    """Why the only presentation context was not accepted."""
    whole_class = association.rejected_contexts[0].result == _CLASS_NOT_SUPPORTED
    offer = f"SOP class {sop_class_uid} in transfer syntax {syntax_uid}"
    return ContextRefused(f"the archive does not take {offer}" + (": not this class at all" if whole_class else ""))
