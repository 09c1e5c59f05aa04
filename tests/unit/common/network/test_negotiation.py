"""What an association acceptor reads and answers, bytes in and bytes out."""

from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.dicom.received import chosen_classes, chosen_syntax
from common.errors import PeerFault, PolicyError
from common.network.command_set import CommandSet, Element, encoded
from common.network.negotiation import AcceptedContext, acceptance, read_request, rejection

VIDEO, SYNTAX = "1.2.840.10008.5.1.4.1.1.77.1.1.1", "1.2.840.10008.1.2.4.102"
PUSH = "1.2.840.10008.1.20.1"


def item(kind: int, value: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(value)) + value


def request() -> bytes:
    context = item(0x20, bytes((1, 0, 0, 0)) + item(0x30, VIDEO.encode()) + item(0x40, SYNTAX.encode()))
    other = item(0x20, bytes((3, 0, 0, 0)) + item(0x30, b"1.2.3") + item(0x40, b"1.2.840.10008.1.2"))
    role = item(0x54, struct.pack(">H", len(PUSH)) + PUSH.encode() + bytes((0, 1)))
    user = item(0x50, item(0x51, struct.pack(">I", 16384)) + role)
    titles = b"CINEFARM".ljust(16) + b" ENDO 1".ljust(16)
    return struct.pack(">HH", 1, 0) + titles + bytes(32) + item(0x10, b"1.2.840.10008.3.1.1.1") + context + other + user


def test_a_request_is_read() -> None:
    proposal = read_request(request())
    assert (proposal.called, proposal.calling, proposal.max_pdu_bytes) == ("CINEFARM", "ENDO 1", 16384)
    assert [(one.id, one.abstract_syntax) for one in proposal.contexts] == [(1, VIDEO), (3, "1.2.3")]
    assert proposal.roles == {PUSH: (False, True)}


def test_pynetdicom_understands_the_acceptance() -> None:
    from pynetdicom.pdu import A_ASSOCIATE_AC

    body = request()
    accepted = [AcceptedContext(1, VIDEO, SYNTAX)]
    answer = acceptance(body, read_request(body), accepted, [VIDEO], {PUSH: (False, True)}, 65536)
    pdu = A_ASSOCIATE_AC()
    pdu.decode(answer)
    primitive = pdu.to_primitive()
    results = [
        (context.context_id, context.result) for context in primitive.presentation_context_definition_results_list
    ]
    assert results == [(1, 0), (3, 3)]
    assert primitive.maximum_length_received == 65536
    assert pdu.user_information.role_selection[PUSH].scp_role == 1


def test_pynetdicom_understands_the_rejection() -> None:
    from pynetdicom.pdu import A_ASSOCIATE_RJ

    pdu = A_ASSOCIATE_RJ()
    pdu.decode(rejection((2, 3, 2)))
    assert (pdu.result, pdu.source, pdu.reason_diagnostic) == (2, 3, 2)


@given(st.integers(0, 400), st.binary(max_size=6))
def test_a_broken_request_is_refused_and_nothing_else_happens(cut: int, noise: bytes) -> None:
    body = request()[:cut] + noise + request()[cut + len(noise) :]
    with contextlib.suppress(PeerFault):
        read_request(body)


@given(st.binary(max_size=200))
def test_a_broken_command_set_is_refused_and_nothing_else_happens(data: bytes) -> None:
    with contextlib.suppress(PeerFault):
        CommandSet.decode(data)


def test_a_response_repeats_what_was_asked() -> None:
    asked = CommandSet.decode(
        encoded({Element.COMMAND: b"\x01\x00", Element.MESSAGE_ID: b"\x07\x00", Element.AFFECTED_INSTANCE: b"1.23"})
    )
    answer = CommandSet.decode(asked.response(0xA700, "the disk of the object store is nearly full"))
    assert answer.number(Element.COMMAND) == 0x8001
    assert answer.number(Element.MESSAGE_ID_RESPONDED_TO) == 7
    assert answer.number(Element.STATUS) == 0xA700
    assert answer.text(Element.AFFECTED_INSTANCE) == "1.23"
    assert not answer.has_data_set


@pytest.mark.parametrize(
    ("proposed", "taken"),
    [
        (("1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.102"), "1.2.840.10008.1.2.4.102"),  # whoever has video sends it
        (("1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.50"), "1.2.840.10008.1.2.1"),  # nobody is made to compress
        (("1.2.840.10008.1.2.1.99",), None),
    ],
)
def test_the_syntax_of_a_context(proposed: tuple[str, ...], taken: str | None) -> None:
    assert chosen_syntax(proposed) == taken


def test_classes_are_named_by_pattern_or_uid() -> None:
    assert chosen_classes(["video-e*", "1.2.3"]) == (VIDEO, "1.2.3")
    with pytest.raises(PolicyError, match="vidoe"):
        chosen_classes(["vidoe-*"])
