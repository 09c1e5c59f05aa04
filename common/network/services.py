"""What we do on an association that somebody opened to us: take instances (PS3.4 B), answer C-ECHO (PS3.4 A), take reports on
storage commitment (PS3.4 J).
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Protocol

from common.dicom.received import CLASSES, chosen_syntax
from common.dicom.scan import IMPLICIT, Identity
from common.errors import EnvironmentFault, InputError, PeerFault
from common.logs import logger
from common.network import negotiation
from common.network.association import DEFAULT_PDU_BYTES
from common.network.command_set import Command, Element
from common.network.negotiation import AcceptedContext, Proposal
from common.network.reception import Arrived, StoreRequest, WrongIdentity, receive
from common.network.upper_layer import Line, Message, Patience, UpperLayer
from common.store import ObjectStore

log = logger(__name__)

VERIFICATION = "1.2.840.10008.1.1"
STORAGE_COMMITMENT = "1.2.840.10008.1.20.1"

MOST_REPORT_BYTES = 16 << 20
"""Longest N-EVENT-REPORT data set: a reference takes about 150 bytes, so a hundred thousand instances."""


class Status(IntEnum):
    """What we answer (PS3.4 table B.2-1, PS3.7 annex C)."""

    SUCCESS = 0x0000
    PROCESSING_FAILURE = 0x0110
    NO_SUCH_SOP_CLASS = 0x0118
    UNRECOGNISED_OPERATION = 0x0211
    OUT_OF_RESOURCES = 0xA700
    DATA_SET_MISMATCH = 0xA900
    CANNOT_UNDERSTAND = 0xC000


class Custodian(Protocol):
    """Answers for what was received."""

    def require_ledger(self) -> None:
        """Raises EnvironmentFault when nothing can be entered now: then nothing need be received."""
        ...

    def keep(self, arrived: Arrived) -> None:
        """Enter an arrival into the ledger; only then its sender is told that it is stored. EnvironmentFault: not now."""
        ...


Report = Callable[[int, bytes, str], int]
"""Takes a storage commitment report: Event Type ID, data set, its transfer syntax; returns the status to answer."""


def no_reports(_event: int, _data: bytes, _syntax: str) -> int:
    """Nobody waits for storage commitment here: the archive may try again."""
    return Status.PROCESSING_FAILURE


@dataclass(frozen=True)
class Entrance:
    """Where we listen, whom we let in, and how long we wait."""

    address: str
    port: int  # 0: any that is free
    titles: Callable[[str], bool]  # whether a called AE title is ours
    callers: Callable[[str], bool] = lambda _title: True
    classes: Sequence[str] = tuple(CLASSES.values())
    associations: int = 16
    max_pdu_bytes: int = DEFAULT_PDU_BYTES
    patience: Patience = field(default_factory=Patience)
    tls: ssl.SSLContext | None = None
    least_free_bytes: int = 0


class Host(Protocol):
    """What one association needs to know of the others."""

    def is_full(self, asking: ServedAssociation) -> bool:
        """Whether as many others are established as may be; else ``asking`` is established from now on."""
        ...

    def noting(self) -> AbstractContextManager[Callable[[Identity], None]]:
        """Note the study of what is being received, from the moment it is known to the end of the block."""
        ...


class ServedAssociation:
    """One association, from its connection to its end."""

    def __init__(self, server: Host, entrance: Entrance, connection: socket.socket) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._server, self._entrance = server, entrance
        self._line = Line(connection)
        self._layer = UpperLayer(self._line, entrance.patience)
        self._contexts: dict[int, AcceptedContext] = {}
        self._called = ""
        self.calling = ""
        self.established = self.busy = False

    def run(self, store: ObjectStore, custodian: Custodian, report: Report) -> None:
        """Negotiate, then answer every message.

        Raises:
            PeerFault: the peer broke the protocol, fell silent or went away.
        """
        if not self._negotiate():
            return
        try:
            for message in self._layer.messages():
                self.busy = True
                self._answer(message, store, custodian, report)
                self.busy = False
        except PeerFault:
            self._layer.abort()
            raise

    def end(self) -> None:
        """Close the connection; whoever waits for it wakes."""
        self._line.close()

    def _negotiate(self) -> bool:
        """False: refused, and the peer was told why."""
        deadline = time.monotonic() + self._entrance.patience.request
        if self._entrance.tls is not None:
            self._line.secure(self._entrance.tls, self._entrance.patience.request)
        body = self._layer.request(deadline)
        proposal = negotiation.read_request(body)
        self.calling, self._called = proposal.calling[:16], proposal.called[:16]
        if (reason := self._refusal(proposal)) is not None:
            log.warning("association_refused", calling=self.calling, called=self._called, reason=reason)
            self._layer.send(negotiation.rejection(reason))
            return False
        known = (VERIFICATION, STORAGE_COMMITMENT, *self._entrance.classes)
        accepted = list(_accepted(proposal, self._entrance.classes))
        self._contexts = {context.id: context for context in accepted}
        roles = _agreed_roles(proposal, {context.abstract_syntax for context in accepted})
        answer = negotiation.acceptance(body, proposal, accepted, known, roles, self._entrance.max_pdu_bytes)
        self._layer.send(answer)
        log.info("association_accepted", calling=self.calling, contexts=len(accepted), of=len(proposal.contexts))
        return True

    def _refusal(self, proposal: Proposal) -> tuple[int, int, int] | None:
        if proposal.application_context != negotiation.APPLICATION_CONTEXT:
            return negotiation.CONTEXT_NAME_UNKNOWN
        if not self._entrance.titles(proposal.called):
            return negotiation.CALLED_UNKNOWN
        if not self._entrance.callers(proposal.calling):
            return negotiation.CALLING_UNKNOWN
        return negotiation.LIMIT_EXCEEDED if self._server.is_full(self) else None

    def _answer(self, message: Message, store: ObjectStore, custodian: Custodian, report: Report) -> None:
        command = message.command.number(Element.COMMAND)
        context = self._contexts.get(message.context_id)
        if context is None:
            raise PeerFault("a message came on a presentation context that was not accepted")
        if command == Command.C_CANCEL:
            return  # it has no answer, and nothing of ours can be cancelled
        if command & 0x8000:
            raise PeerFault("a response came to a request that we never made")
        status: int = Status.UNRECOGNISED_OPERATION
        words = ""
        if command == Command.C_ECHO:
            status = Status.SUCCESS
        elif command == Command.C_STORE:
            status, words = self._store(message, context, store, custodian)
        elif command == Command.N_EVENT_REPORT:
            status, words = _reported(message, context, report)
        for _ in message.data:  # of a refused message: the answer comes after its last byte
            pass
        self._layer.respond(message, status, words)

    def _store(
        self, message: Message, context: AcceptedContext, store: ObjectStore, custodian: Custodian
    ) -> tuple[Status, str]:
        command = message.command
        request = StoreRequest(
            command.text(Element.AFFECTED_CLASS),
            command.text(Element.AFFECTED_INSTANCE),
            context.transfer_syntax,
            self.calling,
            self._called,
            command.text(Element.MOVE_ORIGINATOR)[:16],
        )
        if request.sop_class_uid != context.abstract_syntax:
            return Status.NO_SUCH_SOP_CLASS, "the class is not that of the presentation context"
        try:
            with self._server.noting() as note:
                custodian.require_ledger()
                least = self._entrance.least_free_bytes
                arrived = receive(request, message.data, store, least_free_bytes=least, identified=note)
                custodian.keep(arrived)
        except PeerFault:
            raise
        except EnvironmentFault as fault:
            log.error("arrival_refused", calling=self.calling, code=fault.code, message=fault.message)
            return Status.OUT_OF_RESOURCES, fault.message
        except WrongIdentity as error:
            log.warning("arrival_refused", calling=self.calling, code=error.code, message=error.message)
            return Status.DATA_SET_MISMATCH, error.message
        except InputError as error:
            log.warning("arrival_refused", calling=self.calling, code=error.code, message=error.message)
            return Status.CANNOT_UNDERSTAND, error.message
        log.info("arrival_stored", arrival=arrived.id, calling=self.calling, bytes=arrived.size_bytes)
        return Status.SUCCESS, ""


def _reported(message: Message, context: AcceptedContext, report: Report) -> tuple[int, str]:
    if context.abstract_syntax != STORAGE_COMMITMENT:
        return Status.NO_SUCH_SOP_CLASS, ""
    data = bytearray()
    for view in message.data:
        if len(data) + len(view) > MOST_REPORT_BYTES:
            return Status.PROCESSING_FAILURE, "the report is too long"
        data += view
    return report(message.command.number(Element.EVENT_TYPE), bytes(data), context.transfer_syntax), ""


def _accepted(proposal: Proposal, classes: Sequence[str]) -> Iterator[AcceptedContext]:
    for context in proposal.contexts:
        syntax = None
        if context.abstract_syntax in (VERIFICATION, STORAGE_COMMITMENT):
            plain = [uid for uid in context.transfer_syntaxes if uid in (IMPLICIT, "1.2.840.10008.1.2.1")]
            syntax = plain[0] if plain else None
        elif context.abstract_syntax in classes:
            syntax = chosen_syntax(context.transfer_syntaxes)
        if syntax is not None:
            yield AcceptedContext(context.id, context.abstract_syntax, syntax)


def _agreed_roles(proposal: Proposal, accepted: set[str]) -> dict[str, tuple[bool, bool]]:
    """What we answer to role selection (PS3.7 D.3.3.4): we serve what is stored and asked, and take reports on what we asked."""
    return {
        uid: (False, as_scp) if uid == STORAGE_COMMITMENT else (as_scu, False)
        for uid, (as_scu, as_scp) in proposal.roles.items()
        if uid in accepted
    }
