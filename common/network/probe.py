"""What an archive truly takes, learned by negotiation: every pair of SOP class and transfer syntax that may be sent, and the services.

Nothing is stored: presentation contexts are offered, at most 128 an association (PS3.8 9.3.2.2: odd ids of one byte), and a C-ECHO is
sent.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pydantic import Field

from common.destinations import DicomDestination
from common.dicom.frame_syntaxes import FRAME_SYNTAXES
from common.dicom.sop_classes import VIDEO_CLASSES, Family
from common.dicom.transfer_syntaxes import VIDEO_SYNTAXES
from common.media import Value
from common.network.association import Caller, associate

if TYPE_CHECKING:
    from pynetdicom.association import Association

MOST_CONTEXTS = 128
"""Of one association."""

IMPLICIT_LITTLE, EXPLICIT_LITTLE = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"

VERIFICATION = "1.2.840.10008.1.1"

SERVICES = {
    "echo": VERIFICATION,
    "commitment": "1.2.840.10008.1.20.1",  # Storage Commitment Push Model (PS3.4 J)
    "find": "1.2.840.10008.5.1.4.1.2.2.1",  # Study Root Query/Retrieve (PS3.4 C)
    "move": "1.2.840.10008.5.1.4.1.2.2.2",
    "get": "1.2.840.10008.5.1.4.1.2.2.3",
}
"""Name → SOP class, offered in Implicit VR Little Endian, the default that everybody takes (PS3.5 10.1)."""

Pair = tuple[str, str]
"""SOP Class UID and Transfer Syntax UID."""


class Probed(Value):
    """What an archive took at a time. Pairs that stand in neither list were not asked for."""

    destination: str
    at: datetime
    implementation_class_uid: str = ""
    implementation_version: str = ""
    max_pdu_bytes: int | None = Field(default=None, description="longest PDU that it takes; None: no limit")
    services: dict[str, bool] = Field(default_factory=dict, description="echo, commitment, find, move, get")
    taken: tuple[Pair, ...] = ()
    refused: tuple[Pair, ...] = ()


def pairs() -> Iterator[Pair]:
    """All that we might send: each class that can carry video in each video syntax, those for frames also in theirs."""
    for row in VIDEO_CLASSES:
        for video in VIDEO_SYNTAXES:
            yield row.uid, video.uid
        if row.family is not Family.VISIBLE_LIGHT:
            for uid in (*(frame.uid for frame in FRAME_SYNTAXES), EXPLICIT_LITTLE, IMPLICIT_LITTLE):
                yield row.uid, uid


def probe(peer: DicomDestination, caller: Caller) -> Probed:
    """Ask an archive for everything; as many associations as it takes, one after the other.

    Raises:
        DestinationUnavailable: no connection, no answer, or a rejection for now.
        DestinationRefused: rejected for good, by TLS or by DICOM.
        PolicyError: the settings for TLS cannot be used.
    """
    wanted = [*((uid, IMPLICIT_LITTLE) for uid in SERVICES.values()), *pairs()]
    taken: set[Pair] = set()
    facts: dict[str, Any] = {}
    echoed = False
    for start in range(0, len(wanted), MOST_CONTEXTS):
        contexts: dict[str, list[str]] = {}
        for sop_class_uid, syntax_uid in wanted[start : start + MOST_CONTEXTS]:
            contexts.setdefault(sop_class_uid, []).append(syntax_uid)
        with associate(contexts, peer, caller) as association:
            facts = _facts(association) or facts
            # by their ids: an answer need not repeat which syntax of the only one it takes
            asked = {each.context_id: each for each in association.requestor.requested_contexts}
            accepted = {asked[each.context_id] for each in association.accepted_contexts}
            taken |= {(str(each.abstract_syntax), str(each.transfer_syntax[0])) for each in accepted}
            if (VERIFICATION, IMPLICIT_LITTLE) in taken and not echoed:
                echoed = association.send_c_echo().get("Status") == 0x0000
    services = {name: (uid, IMPLICIT_LITTLE) in taken for name, uid in SERVICES.items()} | {"echo": echoed}
    return Probed(
        destination=peer.uri,
        at=datetime.now(UTC),
        services=services,
        taken=tuple(pair for pair in pairs() if pair in taken),
        refused=tuple(pair for pair in pairs() if pair not in taken),
        **facts,
    )


def _facts(association: Association) -> dict[str, Any]:
    acceptor = association.acceptor
    if acceptor.primitive is None:
        return {}
    return {
        "implementation_class_uid": str(acceptor.implementation_class_uid or ""),
        "implementation_version": acceptor.implementation_version_name or "",
        "max_pdu_bytes": acceptor.primitive.maximum_length_received or None,
    }
