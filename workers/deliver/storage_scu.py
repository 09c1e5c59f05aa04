"""The network edge of C-STORE: pynetdicom negotiates, then objects go from disk to the socket in bounded memory.

One process sends one object at a time; no thread stands between the file and the network, so the archive's own pace, a limit
in bytes per second and the end of a lease are felt at once.
"""

from __future__ import annotations

import contextlib
import itertools
import select
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from common.destinations import DicomDestination
from common.errors import DestinationRefused, DestinationUnavailable
from common.network.association import Caller, connection_of, end_association, request_association
from workers.deliver import store_message as message
from workers.deliver.data_set import DataSet

if TYPE_CHECKING:
    from pynetdicom.association import Association
    from pynetdicom.presentation import PresentationContext

LEAST_PDU_BYTES = 1_024
"""A peer that takes less in one PDU would make millions of them of a video."""

_LONGEST_ANSWER = 1 << 20  # bytes of a PDU: a C-STORE response has a few hundred
_LOOK_SECONDS = 1.0  # how often a sender that waits for the answer asks whether its attempt was revoked
_GOODBYE_SECONDS = 5.0
_ABORT_SECONDS = 1.0
_CLASS_NOT_SUPPORTED = 0x03  # result of a presentation context (PS3.8 table 9-18)

Context = tuple[str, str]
"""SOP Class UID and Transfer Syntax UID."""


class ContextRefused(DestinationRefused):
    """The association stands, but not for this class in this syntax."""


@dataclass
class StorageAssociation:
    """An open association on which objects are stored, one after the other."""

    connection: socket.socket
    contexts: dict[Context, int]  # accepted ones → their ids
    refused: frozenset[Context]  # offered and not accepted
    longest_pdu: int | None  # that the peer takes, bytes; None: it names no limit
    _messages: int = field(default=0, init=False)

    def choose(self, wanted: Sequence[Context]) -> Context | None:
        """The first of ``wanted`` that is accepted; None also where an earlier one was not asked for."""
        asked = itertools.takewhile(lambda context: context in self.contexts or context in self.refused, wanted)
        return next((context for context in asked if context in self.contexts), None)

    def store(self, data: DataSet, context: Context, sop_instance_uid: str, caller: Caller) -> int:
        """Send one object; returns the status of the archive's answer.

        Raises:
            OSError: the connection ended, or the peer fell silent, before the answer.
            StoreFault: see DataSet.
            LeaseLost: the attempt was revoked.
        """
        pdu_bytes = min(caller.max_pdu_bytes, self.longest_pdu or caller.max_pdu_bytes)
        self._messages = self._messages % 0xFFFF + 1
        self.connection.settimeout(caller.timeouts.stall)
        self._send(
            memoryview(message.request_pdu(self.contexts[context], context[0], sop_instance_uid, self._messages))
        )
        batch_bytes = 1 if caller.pace.limited else message.BATCH_BYTES  # a limited line is given one PDU at a time
        for pdus in message.data_pdus(data, self.contexts[context], pdu_bytes, batch_bytes):
            caller.pace(len(pdus))
            self._send(pdus)
        return self._answer(caller)

    def _send(self, data: memoryview) -> None:
        while data:  # not sendall: its limit of time is for all, ours for a peer that takes not a single byte
            data = data[self.connection.send(data) :]

    def _answer(self, caller: Caller) -> int:
        answers, end = message.Answers(), time.monotonic() + caller.timeouts.answer
        while True:
            kind, body = self._receive_pdu(end, caller.pace.check)
            if kind == message.RELEASE_REQUEST:
                self._send(memoryview(message.RELEASE_RP_PDU))
            if kind != message.P_DATA:
                raise ConnectionAbortedError("the peer ended the association")
            try:
                response = answers.take(body)
            except ValueError as error:
                raise ConnectionAbortedError("the peer answered what is no answer") from error
            if response is not None and response.message_id == self._messages:
                return response.status

    def _receive_pdu(self, end: float, check: Callable[[], None]) -> tuple[int, bytes]:
        kind, length = message.PDU_HEAD.unpack(self._receive(message.PDU_HEAD.size, end, check))
        if length > _LONGEST_ANSWER:
            raise ConnectionAbortedError("the peer answered what is no answer")
        return kind, self._receive(length, end, check)

    def _receive(self, count: int, end: float, check: Callable[[], None]) -> bytes:
        data = b""
        while len(data) < count:
            check()
            left = end - time.monotonic()
            if left <= 0:
                raise TimeoutError("no answer in time")
            self.connection.settimeout(min(left, _LOOK_SECONDS))
            with contextlib.suppress(TimeoutError):
                piece = self.connection.recv(count - len(data))
                if not piece:
                    raise ConnectionResetError("the peer ended the connection")
                data += piece
        return data

    @property
    def quiet(self) -> bool:
        """Whether the peer has said nothing unasked: what it says between two objects is that it ends the association."""
        try:
            return not select.select([self.connection], [], [], 0)[0]
        except (OSError, ValueError):
            return False

    def release(self) -> None:
        """Say goodbye (PS3.8 7.2) and close; how the peer takes it changes nothing."""
        end = time.monotonic() + _GOODBYE_SECONDS
        with contextlib.suppress(OSError):
            self.connection.settimeout(_GOODBYE_SECONDS)
            self._send(memoryview(message.RELEASE_RQ_PDU))
            while self._receive_pdu(end, lambda: None)[0] not in (message.RELEASE_RESPONSE, message.ABORT):
                pass
        self.close()

    def abort(self) -> None:
        """End at once: what was sent of an object is thrown away by the peer, since its last PDU never came (PS3.8 7.3)."""
        with contextlib.suppress(OSError):
            self.connection.settimeout(_ABORT_SECONDS)
            self._send(memoryview(message.ABORT_PDU))
        self.close()

    def close(self) -> None:
        """Close without a word."""
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)
        self.connection.close()


def open_storage(
    wanted: Sequence[Context], beside: Sequence[Context], peer: DicomDestination, caller: Caller
) -> StorageAssociation:
    """Associate for one of ``wanted``, with the contexts ``beside`` it that later objects may need.

    Raises:
        DestinationUnavailable: no connection, a transient rejection, or the connection ended at once.
        DestinationRefused: the association was rejected for good.
        ContextRefused: none that is wanted is taken.
        PolicyError: the settings for TLS cannot be used.
    """
    offered: dict[str, list[str]] = {}
    for sop_class_uid, syntax_uid in [*wanted, *beside]:
        offered.setdefault(sop_class_uid, []).append(syntax_uid)
    association = request_association(offered, peer, caller)
    try:
        longest = _longest_pdu(association)
        # by their ids: the syntax that stands in the answer to a refused one means nothing (PS3.8 9.3.3.2)
        asked = {each.context_id: _pair(each) for each in association.requestor.requested_contexts}
        taken = {asked[each.context_id]: each.context_id or 0 for each in association.accepted_contexts}
        refused = {asked[each.context_id]: each.result for each in association.rejected_contexts}
        connection = connection_of(association)
    except BaseException:
        end_association(association)
        raise
    storage = None
    if connection is not None:
        storage = StorageAssociation(connection, taken, frozenset(refused), longest)
    if not taken.keys() & set(wanted):
        if storage is not None:
            storage.release()
        raise _refusal(wanted[0], whole_class=refused.get(wanted[0]) == _CLASS_NOT_SUPPORTED)
    if storage is None:
        raise DestinationUnavailable("the archive ended the connection at once")
    _watch(storage.connection)
    return storage


def _longest_pdu(association: Association) -> int | None:
    """Of those that the peer takes, in bytes; None: it names no limit (PS3.8 D.1)."""
    answer = association.acceptor.primitive
    longest = answer.maximum_length_received if answer is not None else None
    if longest and longest < LEAST_PDU_BYTES:
        raise DestinationRefused(f"the archive takes no more than {longest} bytes in one PDU")
    return longest or None


def _pair(context: PresentationContext) -> Context:
    return str(context.abstract_syntax), str(context.transfer_syntax[0])


def _watch(connection: socket.socket) -> None:
    """Notice a host that vanished while it owes an answer, and let no small write wait for the peer."""
    try:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError as error:
        connection.close()
        raise DestinationUnavailable("the archive ended the connection at once") from error


def _refusal(context: Context, *, whole_class: bool) -> ContextRefused:
    """Words for a presentation context that is not taken."""
    offer = f"SOP class {context[0]} in transfer syntax {context[1]}"
    return ContextRefused(f"the archive does not take {offer}" + (": not this class at all" if whole_class else ""))
