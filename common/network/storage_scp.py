"""The listener on the network: associations that others open to send us instances, to ask whether we are there (C-ECHO), or to
report on storage commitment (N-EVENT-REPORT). A thread an association; every wait has a limit.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Protocol

from common.dicom.received import CLASSES, chosen_syntax
from common.dicom.scan import IMPLICIT, Identity
from common.errors import EnvironmentFault, InputError, PeerFault, PolicyError
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

_CONNECTIONS_PER_ASSOCIATION = 2
"""Beyond the associations that are open, so many more may be asking: they are told that we are busy."""

_LISTEN_BACKLOG = 64


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


class StorageServer:
    """Listens from its making on, serves within its ``with`` block. At the end what is being received is given time to arrive."""

    def __init__(
        self, entrance: Entrance, store: ObjectStore, custodian: Custodian, report: Report = no_reports
    ) -> None:
        """Bind the port.

        Raises:
            PolicyError: the address or the port cannot be had.
        """
        self._entrance, self._store, self._custodian, self._report = entrance, store, custodian, report
        self._lock = threading.Lock()
        self._open: dict[threading.Thread, _Association] = {}
        self._studies: Counter[str] = Counter()
        self._stopping = threading.Event()
        try:
            self._socket = socket.create_server(
                (entrance.address, entrance.port), family=_family(entrance.address), backlog=_LISTEN_BACKLOG
            )
        except (OSError, OverflowError) as error:
            raise PolicyError(
                f"the listener cannot have port {entrance.port} of {entrance.address}: {getattr(error, 'strerror', error)}",
                hint="Choose another with --port or CINEFARM_LISTEN_PORT; those below 1024 need a privilege (CAP_NET_BIND_SERVICE).",
            ) from error
        self._accepting = threading.Thread(target=self._accept, name="listener", daemon=True)

    @property
    def port(self) -> int:
        """TCP port that we listen on."""
        return int(self._socket.getsockname()[1])

    def __enter__(self) -> StorageServer:
        self._accepting.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close(0)

    def close(self, seconds: float) -> None:
        """Take no more associations; those in the middle of an instance have ``seconds`` to end it, then all are aborted."""
        self._stopping.set()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self._socket.close()
        self._accepting.join()
        end = time.monotonic() + seconds
        while (threads := self._threads()) and any(association.busy for association in threads.values()):
            if time.monotonic() > end:
                break
            time.sleep(0.05)
        for association in self._threads().values():
            association.end()
        for thread in self._threads():
            thread.join()

    def receives(self, study_uid: str) -> bool:
        """True while an instance of the study is on its way."""
        with self._lock:
            return self._studies[study_uid] > 0

    def is_full(self, asking: _Association) -> bool:
        """Whether as many others are established as may be; else ``asking`` is established from now on."""
        with self._lock:
            others = sum(association.established for association in self._open.values())
            asking.established = others < self._entrance.associations
            return not asking.established

    @contextlib.contextmanager
    def noting(self) -> Iterator[Callable[[Identity], None]]:
        """Note the study of what is being received, from the moment it is known to the end of the block."""
        noted: list[str] = []

        def note(identity: Identity) -> None:
            with self._lock:
                self._studies[identity.study_uid] += 1
            noted.append(identity.study_uid)

        try:
            yield note
        finally:
            with self._lock:
                self._studies -= Counter(noted)  # drops those that reach 0

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                connection, _ = self._socket.accept()
            except OSError as error:
                if self._stopping.is_set():
                    return
                log.warning("accept_failed", error=error.strerror)  # out of descriptors: some will be given back
                time.sleep(0.2)
                continue
            self._begin(connection)

    def _begin(self, connection: socket.socket) -> None:
        association = _Association(self, self._entrance, connection)
        thread = threading.Thread(target=self._serve, args=(association,), name="association", daemon=True)
        with self._lock:
            crowded = len(self._open) >= self._entrance.associations * (1 + _CONNECTIONS_PER_ASSOCIATION)
            if not crowded:
                self._open[thread] = association
        if crowded:
            log.warning("connection_refused", reason="too many connections")
            connection.close()
            return
        thread.start()

    def _serve(self, association: _Association) -> None:
        try:
            association.run(self._store, self._custodian, self._report)
        except PeerFault as fault:
            log.warning("association_broke", calling=association.calling, message=fault.message)
        except Exception:  # a bug costs one association, never the listener
            log.exception("association_failed")
        finally:
            association.end()
            with self._lock:
                del self._open[threading.current_thread()]

    def _threads(self) -> dict[threading.Thread, _Association]:
        with self._lock:
            return dict(self._open)


class _Association:
    """One association, from its connection to its end."""

    def __init__(self, server: StorageServer, entrance: Entrance, connection: socket.socket) -> None:
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


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET
