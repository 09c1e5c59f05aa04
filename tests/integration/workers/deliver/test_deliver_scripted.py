"""C-STORE to an archive that misbehaves on command: every answer, every way to fall silent."""

from __future__ import annotations

import logging
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pynetdicom import AE, evt

from common.destinations import DicomDestination
from common.errors import DestinationRefused, DestinationUnavailable, InternalFault, StoreFault
from common.network.association import Caller, Timeouts
from workers.deliver.dicom import deliver_to_archive, store_file

H264 = "1.2.840.10008.1.2.4.102"
ENDOSCOPY = "1.2.840.10008.5.1.4.1.1.77.1.1.1"
IMPATIENT = Timeouts(stall=1, answer=1)

Script = Callable[[evt.Event], int]
Watch = Callable[[evt.Event], None]
Start = Callable[..., int]


class Archive:
    """A storage SCP on a port of its own; ``start`` tells it what to do with the next objects."""

    def __init__(self) -> None:
        self.entity = AE(ae_title="PEER")
        self.entity.add_supported_context(ENDOSCOPY, H264)
        self.script: Script = lambda _: 0x0000
        self.greeting: Watch = lambda _: None
        self.watch: Watch = lambda _: None
        handlers: list[Any] = [(evt.EVT_C_STORE, self._answer), (evt.EVT_ACCEPTED, self._greet)]
        handlers.append((evt.EVT_DATA_RECV, self._see))
        server = self.entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
        assert server is not None
        self.port = int(server.server_address[1])

    def _answer(self, event: evt.Event) -> int:
        return self.script(event)

    def _see(self, event: evt.Event) -> None:
        self.watch(event)

    def _greet(self, event: evt.Event) -> None:
        self.greeting(event)

    def start(
        self,
        script: Script = lambda _: 0x0000,
        greeting: Watch = lambda _: None,
        watch: Watch = lambda _: None,
        **settings: object,
    ) -> int:
        for _ in range(500):  # an association of the test before may still be closing
            if not self.entity.active_associations:
                break
            time.sleep(0.01)
        self.script, self.greeting, self.watch = script, greeting, watch
        for name, value in (ORDINARY | settings).items():
            setattr(self.entity, name, value)
        return self.port


ORDINARY = {
    "require_called_aet": False,
    "require_calling_aet": [],
    "maximum_associations": 10,
    "maximum_pdu_size": 16_382,
}


@pytest.fixture(scope="module")
def running() -> Iterator[Archive]:
    """One server for the module: each takes half a second to stop."""
    archive = Archive()
    yield archive
    archive.entity.shutdown()


@pytest.fixture
def archive(running: Archive) -> Start:
    running.start()
    return running.start


@pytest.fixture
def mute() -> Iterator[int]:
    """The port of a server that lets callers connect and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield int(listener.getsockname()[1])


# ---- answers


@pytest.mark.parametrize(
    ("status", "proof"),
    [
        (0x0000, "status 0000"),
        (0xB000, "status B000 (coercion of data elements)"),
        (0xB006, "status B006 (elements discarded)"),
        (0xB007, "status B007 (data set does not match SOP class)"),
        (0x0111, "status 0111 (already there)"),
    ],
)
def test_an_answer_that_keeps_the_object_is_the_proof(outbox: Any, archive: Start, status: int, proof: str) -> None:
    assert outbox.send(outbox.instance(), archive(lambda _: status)).proof == proof


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (0xA700, DestinationUnavailable),
        (0xA900, DestinationRefused),
        (0xC000, DestinationRefused),
        (0x0122, DestinationRefused),
        (0x0124, DestinationRefused),
    ],
)
def test_an_answer_that_does_not_keep_it_is_an_error(
    outbox: Any, archive: Start, status: int, error: type[Exception]
) -> None:
    with pytest.raises(error, match=f"{status:04X}"):
        outbox.send(outbox.instance(), archive(lambda _: status))


def test_exactly_one_context_is_offered_on_one_association(outbox: Any, archive: Start) -> None:
    seen: list[list[tuple[str, list[str]]]] = []

    def note(event: evt.Event) -> int:
        seen.append(
            [(str(c.abstract_syntax), list(c.transfer_syntax)) for c in event.assoc.requestor.requested_contexts]
        )
        return 0x0000

    outbox.send(outbox.instance(), archive(note))
    assert seen == [[(ENDOSCOPY, [H264])]]


def test_both_sides_titles_are_those_of_settings_and_destination(outbox: Any, archive: Start) -> None:
    seen: list[str] = []

    def note(event: evt.Event) -> int:
        seen.extend([event.assoc.requestor.ae_title, event.assoc.acceptor.primitive.called_ae_title])
        return 0x0000

    port = archive(note, require_called_aet=True, require_calling_aet=["CINEFARM"])
    outbox.send(outbox.instance(), port)
    assert seen[0].strip() == "CINEFARM"


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"require_called_aet": True}, "called ae title"),
        ({"require_calling_aet": ["SOMEBODY"]}, "calling ae title"),
    ],
)
def test_a_title_that_is_not_known_is_refused(
    outbox: Any, archive: Start, setting: dict[str, object], words: str
) -> None:
    with pytest.raises(DestinationRefused, match=words):
        outbox.send(outbox.instance(), archive(**setting), aet="OTHER")


def test_an_archive_with_too_many_associations_is_unavailable(outbox: Any, archive: Start) -> None:
    port = archive(maximum_associations=1)
    other = AE()
    other.add_requested_context(ENDOSCOPY, H264)
    held = other.associate("127.0.0.1", port)
    assert held.is_established
    with pytest.raises(DestinationUnavailable, match="local limit exceeded"):
        outbox.send(outbox.instance(), port)
    held.release()


# ---- silence


def test_an_archive_that_aborts_instead_of_answering_is_unavailable(outbox: Any, archive: Start) -> None:
    def abort(event: evt.Event) -> int:
        event.assoc.abort()
        return 0x0000

    with pytest.raises(DestinationUnavailable, match="before it confirmed"):
        outbox.send(outbox.instance(), archive(abort))


def test_an_archive_that_aborts_what_it_just_accepted_is_unavailable(outbox: Any, archive: Start) -> None:
    port = archive(greeting=lambda event: event.assoc.abort(block=False))
    with pytest.raises(DestinationUnavailable):
        outbox.send(outbox.instance(), port)


def test_an_archive_that_never_answers_is_unavailable(outbox: Any, archive: Start) -> None:
    released = threading.Event()

    def never(_: evt.Event) -> int:
        released.wait()
        return 0x0000

    try:
        with pytest.raises(DestinationUnavailable, match="fell silent"):
            outbox.send(outbox.instance(), archive(never), timeouts=IMPATIENT)
    finally:
        released.set()


def test_a_peer_that_never_answers_the_association_is_unavailable(outbox: Any, mute: int) -> None:
    with pytest.raises(DestinationUnavailable, match="association request"):
        outbox.send(outbox.instance(), mute, timeouts=Timeouts(association=1))


def test_a_peer_that_hangs_up_at_the_association_is_unavailable(outbox: Any, wire: Start, mute: int) -> None:
    with pytest.raises(DestinationUnavailable, match="association request"):
        outbox.send(outbox.instance(), wire(mute, limit=1, then="cut"), timeouts=IMPATIENT)


@pytest.mark.parametrize("then", ["cut", "stuck"])
def test_a_link_that_fails_in_mid_transfer_is_unavailable(outbox: Any, archive: Start, wire: Start, then: str) -> None:
    order = outbox.instance(size=30_000_000)
    with pytest.raises(DestinationUnavailable, match="before it confirmed"):
        outbox.send(order, wire(archive(), limit=2_000_000, then=then), timeouts=IMPATIENT)


def senders() -> list[threading.Thread]:
    """The threads of associations that we asked for."""
    both = [getattr(thread, "assoc", thread) for thread in threading.enumerate()]
    return [thread for thread in both if getattr(thread, "is_requestor", False)]


@pytest.mark.parametrize("then", ["cut", "stuck"])
def test_no_thread_outlives_a_failed_delivery(outbox: Any, archive: Start, wire: Start, then: str) -> None:
    port = wire(archive(), limit=2_000_000, then=then)
    with pytest.raises(DestinationUnavailable):
        outbox.send(outbox.instance(size=30_000_000), port, timeouts=IMPATIENT)
    assert senders() == []


def test_no_thread_outlives_a_delivery(outbox: Any, archive: Start) -> None:
    outbox.send(outbox.instance(), archive())
    assert senders() == []


def test_a_host_that_does_not_exist_is_unavailable(outbox: Any) -> None:
    for host in ("archive.invalid", "a..b"):
        with pytest.raises(DestinationUnavailable, match="host name"):
            deliver_to_archive(outbox.instance(), DicomDestination("PEER", host, 104), outbox.store, outbox.settings)


# ---- memory


SENDER = """
import sys
from pathlib import Path
import pydicom.filereader, pynetdicom.dsutils
from common.network.association import Caller, Timeouts
from common.orders import DeliverOrder
from common.settings import Settings
from common.store.folder import FolderStore
from workers.deliver import deliver

def peak_kib():  # ru_maxrss would count the test process that started us
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])

before = peak_kib()
done = deliver(DeliverOrder.model_validate_json(sys.argv[1]), FolderStore(Path(sys.argv[2])), Settings())
print(done.proof, (peak_kib() - before) * 1024)
"""


def test_memory_stays_flat_when_the_link_is_slow(outbox: Any, archive: Start, wire: Start) -> None:
    order = outbox.instance(size=64_000_000)
    port = wire(archive(), rate=60_000_000)
    order = order.model_copy(update={"destination": f"dicom://PEER@127.0.0.1:{port}"})
    argv = [sys.executable, "-c", SENDER, order.model_dump_json(), str(outbox.store.root)]
    answer = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    proof, grown_bytes = answer.rsplit(maxsplit=1)
    assert proof == "status 0000"
    assert int(grown_bytes) < 24_000_000


def test_a_peer_that_names_no_limit_gets_bounded_pdus(outbox: Any, archive: Start) -> None:
    lengths: list[int] = []
    port = archive(maximum_pdu_size=0, watch=lambda event: lengths.append(len(event.data)))  # 0: no limit (PS3.8 D.1.1)
    outbox.send(outbox.instance(size=1_000_000), port)
    assert sum(lengths) > 1_000_000
    assert max(lengths) <= outbox.settings.dicom_max_pdu_bytes + 6


def test_a_peer_with_absurdly_small_pdus_is_refused(outbox: Any, archive: Start) -> None:
    with pytest.raises(DestinationRefused, match="no more than 7 bytes"):
        outbox.send(outbox.instance(), archive(maximum_pdu_size=7))


# ---- custody and privacy


def test_an_instance_that_rotted_in_the_store_is_not_sent(outbox: Any, archive: Start) -> None:
    received: list[object] = []
    order = outbox.instance()
    path = outbox.store.local_path(order.instance_key)
    data = bytearray(path.read_bytes())
    data[-100] ^= 1
    path.write_bytes(data)
    with pytest.raises(StoreFault, match="SHA-256"):
        outbox.send(order, archive(lambda event: received.append(event) or 0))
    assert received == []


def test_an_instance_that_went_from_the_store_is_a_store_fault(outbox: Any, archive: Start) -> None:
    order = outbox.instance()
    outbox.store.delete(order.instance_key)
    with pytest.raises(StoreFault, match="No such file"):
        outbox.send(order, archive())


def test_a_file_that_goes_while_it_is_sent_is_a_store_fault(tmp_path: Path, archive: Start) -> None:
    peer = DicomDestination("PEER", "127.0.0.1", archive())
    with pytest.raises(StoreFault, match="No such file"):
        store_file(tmp_path / "gone", (ENDOSCOPY, H264), "2.25.20", peer, Caller("CINEFARM", 131_072, IMPATIENT))
    assert senders() == []


@pytest.mark.parametrize(
    "other",
    [
        {"sop_class_uid": "1.2.840.10008.5.1.4.1.1.77.1.2.1"},
        {"sop_instance_uid": "2.25.9"},
        {"transfer_syntax_uid": "1.2"},
    ],
)
def test_an_instance_that_is_not_the_ordered_one_is_not_sent(
    outbox: Any, archive: Start, other: dict[str, str]
) -> None:
    with pytest.raises(InternalFault, match="file meta"):
        outbox.send(outbox.instance().model_copy(update=other), archive())


def test_nothing_of_the_patient_reaches_a_log(outbox: Any, wire: Start, archive: Start, caplog: Any) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger="pynetdicom")
    outbox.send(outbox.instance(), archive())
    with pytest.raises(DestinationUnavailable) as caught:
        outbox.send(outbox.instance(size=5_000_000), wire(archive(), limit=1_000_000), timeouts=IMPATIENT)
    said = caplog.text + caught.value.message + caught.value.hint
    for secret in ("Doe", "PAT-1", "1.2.3.4", "2.25.20", str(outbox.folder)):
        assert secret not in said
