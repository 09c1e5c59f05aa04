"""Associations are kept between objects and used again; one that the archive drops costs a new one and nothing else."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pynetdicom import AE, evt
from support import loops
from support.certificates import authority

from common.bandwidth import Pace
from common.destinations import DicomDestination
from common.errors import DestinationRefused, DestinationUnavailable, LeaseLost
from common.network.association import Timeouts
from common.orders import DeliverOrder
from common.settings import Settings
from workers.deliver.associations import ASSOCIATIONS
from workers.deliver.dicom import deliver_to_archive

H264, HEVC, EXPLICIT, IMPLICIT = (
    "1.2.840.10008.1.2.4.102",
    "1.2.840.10008.1.2.4.107",
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2",
)
ENDOSCOPY = "1.2.840.10008.5.1.4.1.1.77.1.1.1"
IMPATIENT = Timeouts(stall=1, answer=1)


@dataclass
class Archive:
    """A storage SCP that counts its associations."""

    contexts: tuple[tuple[str, str], ...] = ((ENDOSCOPY, H264),)
    script: Callable[[evt.Event], int] = lambda _: 0x0000
    offers: list[list[tuple[str, str]]] = field(default_factory=list)
    stored: list[bytes] = field(default_factory=list)
    ended: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def start(self) -> int:
        self.entity = AE(ae_title="PEER")
        for sop_class, syntax in self.contexts:
            self.entity.add_supported_context(sop_class, syntax)
        handlers: list[Any] = [
            (evt.EVT_C_STORE, self._store),
            (evt.EVT_ACCEPTED, self._accept),
            (evt.EVT_CONN_CLOSE, lambda _: self.ended.release()),
        ]
        server = self.entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
        assert server is not None
        return int(server.server_address[1])

    def _accept(self, event: evt.Event) -> None:
        offered = event.assoc.requestor.requested_contexts
        self.offers.append([(str(each.abstract_syntax), str(each.transfer_syntax[0])) for each in offered])

    def _store(self, event: evt.Event) -> int:
        self.stored.append(event.request.DataSet.getvalue())
        return self.script(event)


@pytest.fixture
def archive() -> Iterator[Callable[..., Archive]]:
    started: list[Archive] = []

    def make(**behaviour: Any) -> Archive:
        started.append(Archive(**behaviour))
        return started[-1]

    yield make
    ASSOCIATIONS.release_all()
    for each in started:
        each.entity.shutdown()


def test_the_next_object_goes_over_the_same_association(outbox: Any, archive: Callable[..., Archive]) -> None:
    peer = archive()
    port, order = peer.start(), outbox.instance()
    for _ in range(3):
        assert outbox.send(order, port).proof == "status 0000"
    assert len(peer.stored) == 3
    assert peer.offers == [[(ENDOSCOPY, H264)]]


def test_an_object_of_another_syntax_brings_the_contexts_before_it_along(
    outbox: Any, archive: Callable[..., Archive]
) -> None:
    peer = archive(contexts=((ENDOSCOPY, H264), (ENDOSCOPY, HEVC)))
    port = peer.start()
    for syntax in (H264, HEVC, H264, HEVC):
        outbox.send(outbox.instance(syntax=syntax), port)
    assert [sorted(offer) for offer in peer.offers] == [
        [(ENDOSCOPY, H264)],
        sorted([(ENDOSCOPY, H264), (ENDOSCOPY, HEVC)]),
    ]


def test_an_idle_association_is_released(outbox: Any, archive: Callable[..., Archive], monkeypatch: Any) -> None:
    monkeypatch.setattr(ASSOCIATIONS, "idle_seconds", 0.1)
    peer = archive()
    outbox.send(outbox.instance(), peer.start())
    assert peer.ended.acquire(timeout=10)


def test_none_is_kept_where_their_number_is_limited(outbox: Any, archive: Callable[..., Archive]) -> None:
    peer = archive()
    port, order = peer.start(), outbox.instance().model_copy(update={"keep_open": False})
    outbox.send(order, port)
    assert peer.ended.acquire(timeout=10)
    assert outbox.send(order, port).proof == "status 0000"
    assert len(peer.offers) == 2


def test_an_archive_that_drops_the_association_after_each_object_gets_them_all(
    outbox: Any, archive: Callable[..., Archive]
) -> None:
    def answer_and_drop(event: evt.Event) -> int:
        threading.Timer(0.05, event.assoc.abort).start()
        return 0x0000

    peer = archive(script=answer_and_drop)
    port, order = peer.start(), outbox.instance()
    for _ in range(3):
        assert outbox.send(order, port).proof == "status 0000"
        assert peer.ended.acquire(timeout=10)
    assert len(peer.offers) == len(peer.stored) == 3


def test_an_association_that_dies_under_an_object_is_replaced_once(
    outbox: Any, archive: Callable[..., Archive]
) -> None:
    seen: list[int] = []

    def drop_the_second(event: evt.Event) -> int:
        seen.append(1)
        if len(seen) == 2:
            event.assoc.abort()
        return 0x0000

    peer = archive(script=drop_the_second)
    port, order = peer.start(), outbox.instance()
    for _ in range(2):
        assert outbox.send(order, port).proof == "status 0000"
    assert len(peer.offers) == 2


def test_a_forked_child_says_nothing_on_its_parents_association(outbox: Any, archive: Callable[..., Archive]) -> None:
    peer = archive()
    port, order = peer.start(), outbox.instance()
    outbox.send(order, port)
    child = os.fork()
    if child == 0:  # pragma: no cover - another process
        ASSOCIATIONS.release_all()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert outbox.send(order, port).proof == "status 0000"
    assert len(peer.offers) == 1


def test_a_revoked_attempt_aborts_while_it_waits_for_the_answer(outbox: Any, archive: Callable[..., Archive]) -> None:
    answering, asked = threading.Event(), threading.Event()

    def wait(_: evt.Event) -> int:
        asked.set()
        answering.wait(20)
        return 0x0000

    def check() -> None:
        if asked.is_set():
            raise LeaseLost("revoked")

    peer = archive(script=wait)
    place = DicomDestination("PEER", "127.0.0.1", peer.start())
    try:
        with pytest.raises(LeaseLost):
            deliver_to_archive(outbox.instance(), place, outbox.store, outbox.settings, pace=Pace(check))
    finally:
        answering.set()


# ---- an archive in trouble


def test_out_of_resources_is_waited_out(outbox: Any, archive: Callable[..., Archive]) -> None:
    statuses = iter([0xA700, 0xA700, 0x0000])
    peer = archive(script=lambda _: next(statuses))
    port, order = peer.start(), outbox.instance()
    for _ in range(2):
        with pytest.raises(DestinationUnavailable, match="A700") as caught:
            outbox.send(order, port)
        assert caught.value.retryable
    assert outbox.send(order, port).proof == "status 0000"


def test_a_warning_is_told_beside_the_proof(outbox: Any, archive: Callable[..., Archive]) -> None:
    peer = archive(script=lambda _: 0xB006)
    done = outbox.send(outbox.instance(), peer.start())
    assert (done.proof, "elements discarded" in done.warning) == ("status B006 (elements discarded)", True)


def test_what_is_no_answer_ends_the_association(outbox: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept_and_babble, args=(listener,), daemon=True).start()
        with pytest.raises(DestinationUnavailable, match="before it confirmed"):
            outbox.send(outbox.instance(), int(listener.getsockname()[1]), timeouts=IMPATIENT)


def accept_and_babble(listener: socket.socket) -> None:
    """Accept the association, take the object, answer with bytes that are no command."""
    from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ
    from pynetdicom.pdu_primitives import A_ASSOCIATE

    connection, _ = listener.accept()
    head = connection.recv(6, socket.MSG_WAITALL)
    request = A_ASSOCIATE_RQ()
    request.decode(head + connection.recv(int.from_bytes(head[2:], "big"), socket.MSG_WAITALL))
    answer: A_ASSOCIATE = request.to_primitive()
    answer.result, answer.result_source = 0, 1
    for context in answer.presentation_context_definition_list:
        context.result = 0
    answer.presentation_context_definition_results_list = answer.presentation_context_definition_list
    accepted = A_ASSOCIATE_AC()
    accepted.from_primitive(answer)
    connection.sendall(accepted.encode())
    connection.recv(1000)
    connection.sendall(struct.pack(">BxLLBB", 4, 10, 6, 1, 3) + b"junk")
    connection.recv(1)


def test_an_archive_that_is_killed_in_mid_transfer_is_unavailable_and_then_gets_the_object(
    outbox: Any,
    tmp_path: Path,
    new_port: Callable[[], int],
    wire: Callable[..., int],
    wait_for_port: Callable[[int], None],
) -> None:
    folder, port = tmp_path / "inbox", new_port()
    folder.mkdir()
    argv = ["storescp", "+xa", "+B", "-od", str(folder), "-aet", "PEER", str(port)]
    order = outbox.instance(size=20_000_000)
    with subprocess.Popen(argv) as server:
        wait_for_port(port)
        slow = wire(port, rate=20_000_000)
        threading.Timer(0.3, server.kill).start()
        with pytest.raises(DestinationUnavailable, match="before it confirmed"):
            outbox.send(order, slow)
    for half_written in folder.iterdir():
        half_written.unlink()
    with subprocess.Popen(argv) as server:
        try:
            wait_for_port(port)
            assert outbox.send(order, port).proof == "status 0000"
        finally:
            server.kill()
    (received,) = folder.iterdir()
    assert received.read_bytes().endswith(outbox.data_set(order))


# ---- uncompressed objects


def uncompressed(outbox: Any) -> DeliverOrder:
    """A native loop in the outbox's store, in Explicit VR Little Endian."""
    made = loops.loop(loops.colour(), "RGB")
    path = outbox.folder / "loop.dcm"
    loops.save(made, path)
    read = dcmread(path, stop_before_pixels=True)
    with outbox.store.writer("results/a/instance.dcm") as writer:
        writer.write(path.read_bytes())
    return outbox.order_of(read, EXPLICIT, writer.stored)


def test_an_uncompressed_object_goes_as_it_is_where_it_is_taken(outbox: Any, archive: Callable[..., Archive]) -> None:
    order = uncompressed(outbox)
    peer = archive(contexts=((order.sop_class_uid, EXPLICIT), (order.sop_class_uid, IMPLICIT)))
    assert outbox.send(order, peer.start()).proof == "status 0000"
    assert peer.stored == [outbox.data_set(order)]


def test_an_archive_that_takes_only_the_default_syntax_gets_it(outbox: Any, archive: Callable[..., Archive]) -> None:
    order = uncompressed(outbox)
    peer = archive(contexts=((order.sop_class_uid, IMPLICIT),))
    port = peer.start()
    for _ in range(2):
        done = outbox.send(order, port)
    assert done.proof == "status 0000, sent in Implicit VR Little Endian"
    sent = dcmread(BytesIO(peer.stored[0]), force=True)
    kept = dcmread(outbox.store.local_path(order.instance_key))
    assert sent.is_implicit_VR
    assert sent.PixelData == kept.PixelData
    for each in (sent, kept):
        each.remove_private_tags()  # whose VRs only the explicit form tells
        del each.PixelData  # OW in implicit VR (PS3.5 A.1)
    assert sent.to_json_dict() == kept.to_json_dict()
    assert len(peer.offers) == 1


def test_an_archive_that_takes_neither_is_told_apart(outbox: Any, archive: Callable[..., Archive]) -> None:
    peer = archive()
    with pytest.raises(DestinationRefused, match="not this class at all"):
        outbox.send(uncompressed(outbox), peer.start())


# ---- TLS


@pytest.mark.peer("storescp")
def test_an_object_arrives_over_tls(
    outbox: Any, tmp_path: Path, new_port: Callable[[], int], wait_for_port: Callable[[int], None]
) -> None:
    ca = authority(tmp_path)
    theirs, ours = ca.sign("archive", "127.0.0.1"), ca.sign("ours")
    settings = Settings(
        state_dir=tmp_path / "state",
        dicom_ca_file=ca.certificate,
        dicom_cert_file=ours,
        dicom_key_file=ours.with_suffix(".key"),
    )
    folder, port = tmp_path / "inbox", new_port()
    folder.mkdir()
    tls = ["+tls", str(theirs.with_suffix(".key")), str(theirs), "+cf", str(ca.certificate)]
    argv = ["storescp", "+xa", "+B", "-od", str(folder), "-aet", "PEER", *tls, str(port)]
    order = outbox.instance(size=5_000_001)
    with subprocess.Popen(argv, stderr=subprocess.DEVNULL) as server:
        try:
            wait_for_port(port)
            peer = DicomDestination("PEER", "127.0.0.1", port, tls=True)
            for _ in range(2):
                done = deliver_to_archive(order, peer, outbox.store, settings)
        finally:
            ASSOCIATIONS.release_all()
            server.kill()
    assert done.proof == "status 0000"
    (received,) = folder.iterdir()
    assert received.read_bytes().endswith(outbox.data_set(order))


def test_threads_never_share_an_association(outbox: Any, archive: Callable[..., Archive]) -> None:
    together = threading.Barrier(3, timeout=20)

    def store(_: evt.Event) -> int:
        together.wait()
        return 0x0000

    peer = archive(script=store)
    port, order = peer.start(), outbox.instance()
    threads = [threading.Thread(target=outbox.send, args=(order, port)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(peer.stored) == len(peer.offers) == 3
