"""C-STORE to dcmtk's storescp: what arrives is what was sent, and what fails says why."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pynetdicom.dsutils import split_dataset

from common.errors import DestinationRefused, DestinationUnavailable
from workers.deliver import deliver

pytestmark = pytest.mark.peer("storescp")

Start = Callable[..., int]

MPEG2, H264, FRAGMENTABLE, HEVC = (f"1.2.840.10008.1.2.4.{x}" for x in ("100", "102", "102.1", "107"))
ENDOSCOPY = "1.2.840.10008.5.1.4.1.1.77.1.1.1"


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    (tmp_path / "inbox").mkdir()
    return tmp_path / "inbox"


@pytest.fixture
def storescp(inbox: Path, new_port: Callable[[], int], wait_for_port: Callable[[int], None]) -> Iterator[Start]:
    """Start a storescp that writes what it receives, byte for byte, into ``inbox``; returns its port."""
    servers: list[subprocess.Popen[bytes]] = []

    def start(*options: str) -> int:
        port = new_port()
        argv = ["storescp", "-aet", "PEER", "+B", "-od", str(inbox), *(options or ("+xa",)), str(port)]
        servers.append(subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        wait_for_port(port)
        return port

    yield start
    for server in servers:
        server.kill()
        server.wait()


@pytest.mark.parametrize("syntax", [MPEG2, H264, HEVC])
def test_the_data_set_arrives_byte_for_byte(outbox: Any, storescp: Start, inbox: Path, syntax: str) -> None:
    order = outbox.instance(syntax=syntax)
    done = outbox.send(order, storescp())
    (received,) = inbox.iterdir()
    meta, offset = split_dataset(received)
    assert received.read_bytes()[offset:] == outbox.data_set(order)
    assert meta.TransferSyntaxUID == syntax
    assert (done.location, done.proof) == (order.sop_instance_uid, "status 0000")


def test_the_order_names_the_archive(outbox: Any, storescp: Start, inbox: Path) -> None:
    order = outbox.instance().model_copy(update={"destination": f"dicom://PEER@127.0.0.1:{storescp()}"})
    assert deliver(order, outbox.store, outbox.settings).proof == "status 0000"
    assert len(list(inbox.iterdir())) == 1


def test_an_instance_of_many_pdus_arrives_over_small_ones(outbox: Any, storescp: Start, inbox: Path) -> None:
    order = outbox.instance(size=1_000_003)
    outbox.send(order, storescp("+xa", "-pdu", "4096"))
    (received,) = inbox.iterdir()
    assert received.read_bytes().endswith(outbox.data_set(order))


def test_a_store_without_local_files_is_sent_from_scratch(
    outbox: Any, storescp: Start, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = outbox.instance()
    expected = outbox.data_set(order)
    monkeypatch.setattr("common.store.folder.FolderStore.local_path", lambda *_: None)
    outbox.send(order, storescp())
    (received,) = inbox.iterdir()
    assert received.read_bytes().endswith(expected)
    assert list(outbox.settings.scratch.iterdir()) == []


def test_sending_twice_leaves_one_instance(outbox: Any, storescp: Start, inbox: Path) -> None:
    order, port = outbox.instance(), storescp()
    outbox.send(order, port)
    assert outbox.send(order, port).proof == "status 0000"
    assert len(list(inbox.iterdir())) == 1


def test_a_syntax_that_is_not_taken_is_refused_with_those_that_are(outbox: Any, storescp: Start, inbox: Path) -> None:
    with pytest.raises(DestinationRefused) as caught:
        outbox.send(outbox.instance(syntax=FRAGMENTABLE), storescp())
    assert ENDOSCOPY in caught.value.message
    assert FRAGMENTABLE in caught.value.message
    assert caught.value.code == "DestinationRefused"
    assert f"{H264}," in caught.value.hint
    assert FRAGMENTABLE not in caught.value.hint
    assert not list(inbox.iterdir())


def test_an_archive_without_video_is_said_to_be_one(outbox: Any, storescp: Start) -> None:
    with pytest.raises(DestinationRefused) as caught:
        outbox.send(outbox.instance(), storescp("+x="))
    assert "no video transfer syntax" in caught.value.hint


def test_a_class_that_is_not_taken_is_named(outbox: Any, storescp: Start) -> None:
    with pytest.raises(DestinationRefused, match=r"1\.2\.840\.113619\.4\.27 .*not this class"):
        outbox.send(outbox.instance(sop_class="1.2.840.113619.4.27"), storescp())


def test_a_rejected_association_is_told_with_both_titles_to_check(outbox: Any, storescp: Start) -> None:
    with pytest.raises(DestinationRefused, match="rejected the association for good") as caught:
        outbox.send(outbox.instance(), storescp("--refuse"))
    assert "'CINEFARM'" in caught.value.hint


@pytest.mark.parametrize("when", ["--abort-during", "--abort-after"])
def test_an_archive_that_aborts_is_unavailable(outbox: Any, storescp: Start, when: str) -> None:
    with pytest.raises(DestinationUnavailable, match="before it confirmed"):
        outbox.send(outbox.instance(size=3_000_000), storescp("+xa", when))


def test_no_server_is_unavailable(outbox: Any, new_port: Callable[[], int]) -> None:
    with pytest.raises(DestinationUnavailable, match="no TCP connection"):
        outbox.send(outbox.instance(), new_port())
