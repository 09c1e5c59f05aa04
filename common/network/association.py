"""Associations (PS3.8 7.1) with a peer: opened with our limits of time, released or torn down, refusals in words."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast
from weakref import WeakSet

from common.bandwidth import Pace
from common.destinations import DicomDestination
from common.errors import DestinationRefused, DestinationUnavailable
from common.network.tls import Credentials, Handshake, client_context, explain
from common.settings import Settings

if TYPE_CHECKING:
    import ssl

    from pynetdicom import evt
    from pynetdicom.ae import ApplicationEntity
    from pynetdicom.association import Association
    from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation

DEFAULT_PDU_BYTES = 131_072

SLOWEST_ARCHIVE = 1_000_000
"""Bytes/s at which the slowest believable archive puts away what it has received before it answers."""

_END_SECONDS = 5.0  # for pynetdicom's threads to see that their association is over; they look every millisecond
_PERMANENT = 0x01  # result of A-ASSOCIATE-RJ (PS3.8 table 9-21)


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
    credentials: Credentials = field(default_factory=Credentials)

    @classmethod
    def of(cls, settings: Settings, timeouts: Timeouts | None = None) -> Caller:
        """As the settings say."""
        pdu_bytes = settings.dicom_max_pdu_bytes or DEFAULT_PDU_BYTES
        return cls(settings.dicom_ae_title, pdu_bytes, timeouts or Timeouts(), credentials=Credentials.of(settings))


@contextmanager
def associate(
    contexts: Mapping[str, Sequence[str]],
    peer: DicomDestination,
    caller: Caller,
    *,
    roles: Sequence[SCP_SCU_RoleSelectionNegotiation] = (),
    handlers: Sequence[tuple[Any, ...]] = (),
) -> Iterator[Association]:
    """An association that was answered (perhaps with no context accepted); released, or torn down, at the end.

    ``contexts``: SOP class → transfer syntaxes, each pair in a presentation context of its own; ``handlers``: pynetdicom's.

    Raises:
        DestinationUnavailable: no connection, no answer, or a rejection for now.
        DestinationRefused: rejected for good, by TLS or by DICOM.
        PolicyError: the settings for TLS cannot be used.
    """
    association = request_association(contexts, peer, caller, roles=roles, handlers=handlers)
    try:
        yield association
        with suppress(ConnectionError):  # the answer is in; how the peer leaves changes nothing
            association.release()
    finally:
        end_association(association)


def request_association(
    contexts: Mapping[str, Sequence[str]],
    peer: DicomDestination,
    caller: Caller,
    *,
    roles: Sequence[SCP_SCU_RoleSelectionNegotiation] = (),
    handlers: Sequence[tuple[Any, ...]] = (),
) -> Association:
    """See ``associate``; whoever calls this ends the association."""
    from pynetdicom import evt
    from pynetdicom.presentation import build_context

    connected: list[object] = []

    def open_connection(event: evt.Event) -> None:
        connected.append(event)
        # of a PDU that was begun; without it a peer that stops in the middle of one holds pynetdicom's thread for ever
        transport = event.assoc.dul.socket
        if transport is not None and transport.socket is not None:
            transport.socket.settimeout(caller.timeouts.stall)

    host = peer.host.strip("[]")
    handshake = Handshake(client_context(caller.credentials)) if peer.tls else None
    try:
        association = entity(caller).associate(
            host,
            peer.port,
            contexts=[build_context(uid, syntax) for uid, syntaxes in contexts.items() for syntax in syntaxes],
            ae_title=peer.called_aet,
            max_pdu=caller.max_pdu_bytes or DEFAULT_PDU_BYTES,
            evt_handlers=[(evt.EVT_CONN_OPEN, open_connection), (evt.EVT_PDU_RECV, _note_abort), *handlers],
            ext_neg=[*roles],
            tls_args=(cast("ssl.SSLContext", handshake), host) if handshake else None,
        )
    except (socket.gaierror, UnicodeError) as error:
        raise DestinationUnavailable("the host name of the archive cannot be resolved") from error
    if association.is_established or association.rejected_contexts:
        return association
    try:
        if handshake is not None and handshake.failure is not None:
            raise explain(handshake.failure, peer, caller.credentials)
        raise _no_association(association, bool(connected), peer, caller)
    finally:
        end_association(association)


def connection_of(association: Association) -> socket.socket | None:
    """Take the connection away from pynetdicom, whose threads end: what follows is spoken without it. None: it is closed.

    The threads look for work a thousand times a second, copy every PDU several times, and know no limit on what they hold.
    """
    if not association.is_established:
        end_association(association)
        return None
    association.dul.kill_dul()
    association.dul.join(_END_SECONDS)
    if association.dul.is_alive():  # it waits for the rest of a PDU
        end_association(association)
        return None
    association.kill()
    association.join(_END_SECONDS)
    transport, association.dul.socket = association.dul.socket, None
    return transport.socket if transport is not None else None


_aborted: WeakSet[Association] = WeakSet()


def aborted_by_peer(association: Association) -> bool:
    """Whether the peer sent an A-ABORT: one that was meant, no connection that broke."""
    return association in _aborted


def _note_abort(event: evt.Event) -> None:
    from pynetdicom.pdu import A_ABORT_RQ

    if isinstance(event.pdu, A_ABORT_RQ):
        _aborted.add(event.assoc)


def entity(caller: Caller) -> ApplicationEntity:
    """Ours: silent, and with the caller's limits of time."""
    from pynetdicom import AE

    # its log lines hold UIDs and data elements; what failed is said in our errors
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL + 1)
    entity = AE(ae_title=caller.ae_title)
    entity.connection_timeout = caller.timeouts.connect
    entity.acse_timeout = caller.timeouts.association
    entity.dimse_timeout = caller.timeouts.answer
    entity.network_timeout = None  # idle is what a slow archive looks like; send and answer have their own limits
    return entity


def end_association(association: Association) -> None:
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
