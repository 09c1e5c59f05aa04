"""Receipts of STOW-RS, well-formed, odd and hostile: what became of our instance."""

from __future__ import annotations

import json

import pytest
from support.web_archive import receipt

from common.errors import DestinationRefused, DestinationUnavailable
from common.network.dicom_xml import json_of_xml
from common.network.web import Answer
from workers.deliver.store_receipt import Receipt, read_receipt

UID = "2.25.20"


def read(status: int, content: object) -> Receipt:
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    return read_receipt(Answer(status, {}, data), UID)


def test_a_reference_is_a_success() -> None:
    assert read(200, receipt(stored=UID)) == Receipt("STOW-RS 200")
    assert read(200, [receipt(stored=UID)]) == Receipt("STOW-RS 200")


@pytest.mark.parametrize("content", [b"", b"{}", b"OK", b"<html>", b"[1]", b"[" * 100_000, {"00081199": {"vr": "SQ"}}])
def test_without_a_receipt_only_a_look_is_a_proof(content: object) -> None:
    found = read(200, content)
    assert found.doubtful
    assert not found.already


def test_a_conflict_without_a_reason_is_a_refusal() -> None:
    with pytest.raises(DestinationRefused, match="no reason"):
        read(409, b"")


def test_a_failure_of_an_instance_that_cannot_be_named_is_ours() -> None:
    with pytest.raises(DestinationUnavailable, match="A700"):
        read(409, {"0008119A": {"vr": "SQ", "Value": [{"00081197": {"vr": "US", "Value": [0xA700]}}]}})


def test_a_failure_outweighs_a_reference() -> None:
    both = dict(receipt(stored=UID)) | dict(receipt(failed=UID, reason=0xA900))  # type: ignore[call-overload]
    with pytest.raises(DestinationRefused, match="A900"):
        read(202, both)


def test_entities_are_not_expanded() -> None:
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><NativeDicomModel>&b;</NativeDicomModel>'
    with pytest.raises(ValueError, match="document type"):
        json_of_xml(bomb)
    assert read(200, bomb).doubtful


@pytest.mark.parametrize(
    "content", [b"<", b"<a></b>", b"<a><Item/></a>", b"<DicomAttribute><Value>1</Value></DicomAttribute>"]
)
def test_odd_xml_breaks_nothing(content: bytes) -> None:
    assert read(200, content).doubtful
