"""What an association acceptor reads and writes before data flows (PS3.8 9.3): A-ASSOCIATE-RQ, -AC and -RJ. Bytes in, bytes out."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from common.dicom.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from common.errors import PeerFault

APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
"""The one DICOM application context (PS3.7 A.2.1)."""

_ASSOCIATE_AC, _ASSOCIATE_RJ = 0x02, 0x03
_CONTEXT, _ABSTRACT, _TRANSFER, _CONTEXT_ANSWER = 0x20, 0x30, 0x40, 0x21
_APPLICATION, _USER, _MAX_LENGTH, _IMPLEMENTATION, _ROLE, _VERSION = 0x10, 0x50, 0x51, 0x52, 0x54, 0x55

# PS3.8 table 9-18: results of a presentation context
ACCEPTED, ABSTRACT_UNKNOWN, TRANSFER_UNKNOWN = 0, 3, 4

# PS3.8 table 9-21: result, source, reason
CALLING_UNKNOWN = (1, 1, 3)
CALLED_UNKNOWN = (1, 1, 7)
CONTEXT_NAME_UNKNOWN = (1, 1, 2)
LIMIT_EXCEEDED = (2, 3, 2)


@dataclass(frozen=True)
class ProposedContext:
    """One presentation context of a request."""

    id: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


@dataclass(frozen=True)
class Proposal:
    """An A-ASSOCIATE-RQ. ``roles``: SOP class → (requestor acts as SCU, requestor acts as SCP)."""

    called: str
    calling: str
    application_context: str
    contexts: tuple[ProposedContext, ...]
    roles: Mapping[str, tuple[bool, bool]] = field(default_factory=dict)
    max_pdu_bytes: int = 0  # that the requestor takes; 0: any


@dataclass(frozen=True)
class AcceptedContext:
    """A presentation context on which data may flow."""

    id: int
    abstract_syntax: str
    transfer_syntax: str


def read_request(body: bytes) -> Proposal:
    """An A-ASSOCIATE-RQ from behind its length field (PS3.8 table 9-11).

    Raises:
        PeerFault: it is none.
    """
    if len(body) < 68:
        raise PeerFault("the association request is too short")
    contexts: list[ProposedContext] = []
    application, user = "", b""
    for kind, value in _items(body[68:]):
        if kind == _APPLICATION:
            application = _uid(value)
        elif kind == _CONTEXT:
            contexts.append(_context(value))
        elif kind == _USER:
            user = value
    max_pdu, roles = _user_information(user)
    return Proposal(_title(body[4:20]), _title(body[20:36]), application, tuple(contexts), roles, max_pdu)


def acceptance(
    request: bytes,
    proposal: Proposal,
    accepted: Sequence[AcceptedContext],
    known: Sequence[str],
    roles: Mapping[str, tuple[bool, bool]],
    max_pdu_bytes: int,
) -> bytes:
    """The A-ASSOCIATE-AC to a request (PS3.8 table 9-17).

    ``known``: abstract syntaxes that we serve, to tell an unknown one from one without a common transfer syntax; ``roles``: those
    of the request that we agree to.
    """
    agreed = {context.id: context.transfer_syntax for context in accepted}
    items = [_item(_APPLICATION, APPLICATION_CONTEXT.encode())]
    for context in proposal.contexts:
        result = ABSTRACT_UNKNOWN if context.abstract_syntax not in known else TRANSFER_UNKNOWN
        if context.id in agreed:
            result = ACCEPTED
        # of a refused context the syntax is not significant, but some requestors read it
        transfer = agreed.get(context.id, context.transfer_syntaxes[0])
        answer = struct.pack(">4B", context.id, 0, result, 0) + _item(_TRANSFER, transfer.encode())
        items.append(_item(_CONTEXT_ANSWER, answer))
    user = [
        _item(_MAX_LENGTH, struct.pack(">I", max_pdu_bytes)),
        _item(_IMPLEMENTATION, IMPLEMENTATION_CLASS_UID.encode()),
        *(_item(_ROLE, _role(uid, *acts)) for uid, acts in roles.items()),
        _item(_VERSION, IMPLEMENTATION_VERSION_NAME.encode()),
    ]
    items.append(_item(_USER, b"".join(user)))
    # bytes 11 to 74 are sent back as they came
    return pdu(_ASSOCIATE_AC, struct.pack(">HH", 1, 0) + request[4:68] + b"".join(items))


def rejection(reason: tuple[int, int, int]) -> bytes:
    """An A-ASSOCIATE-RJ: result, source, reason (PS3.8 table 9-21)."""
    return pdu(_ASSOCIATE_RJ, bytes((0, *reason)))


def pdu(kind: int, body: bytes) -> bytes:
    """A protocol data unit (PS3.8 9.3.1)."""
    return struct.pack(">BBI", kind, 0, len(body)) + body


def _items(data: bytes) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position < len(data):
        if position + 4 > len(data):
            raise PeerFault("the association request ends inside an item")
        kind, _, length = struct.unpack_from(">BBH", data, position)
        position += 4
        if position + length > len(data):
            raise PeerFault("an item of the association request is longer than the request")
        yield kind, data[position : position + length]
        position += length


def _context(value: bytes) -> ProposedContext:
    if len(value) < 4:
        raise PeerFault("a presentation context of the association request is too short")
    abstract, transfers = "", []
    for kind, inner in _items(value[4:]):
        if kind == _ABSTRACT:
            abstract = _uid(inner)
        elif kind == _TRANSFER:
            transfers.append(_uid(inner))
    if not abstract or not transfers:
        raise PeerFault("a presentation context of the association request names no syntax")
    return ProposedContext(value[0], abstract, tuple(transfers))


def _user_information(data: bytes) -> tuple[int, dict[str, tuple[bool, bool]]]:
    max_pdu, roles = 0, {}
    for kind, value in _items(data):
        if kind == _MAX_LENGTH and len(value) == 4:
            (max_pdu,) = struct.unpack(">I", value)
        elif kind == _ROLE and len(value) >= 4:
            length = int.from_bytes(value[:2], "big")
            acts = value[2 + length : 4 + length]
            if len(acts) != 2:
                raise PeerFault("a role selection of the association request is cut short")
            roles[_uid(value[2 : 2 + length])] = (bool(acts[0]), bool(acts[1]))
    return max_pdu, roles


def _role(uid: str, as_scu: bool, as_scp: bool) -> bytes:
    return struct.pack(">H", len(uid)) + uid.encode() + bytes((as_scu, as_scp))


def _item(kind: int, value: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(value)) + value


def _uid(value: bytes) -> str:
    return value.rstrip(b"\0 ").decode("latin-1")


def _title(value: bytes) -> str:
    """An AE title without its padding; leading and trailing spaces are not significant (PS3.5 6.2)."""
    return value.decode("latin-1").strip(" \0")
