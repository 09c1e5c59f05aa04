"""The listener on the network: what arrives lies whole in the store, what does not leaves nothing, and no caller harms another."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from pydicom import dcmread
from support.certificates import Authority, authority
from support.modality import (
    EXPLICIT,
    H264,
    SHORT,
    VERIFICATION,
    Book,
    Wire,
    data_set,
    eventually,
    files_below,
    header,
    instance,
    listening,
    storescu,
)
from support.s3 import S3Server

from common.errors import EnvironmentFault, PolicyError
from common.network import negotiation
from common.network.command_set import Command, Element
from common.network.tls import Credentials, server_context
from common.network.upper_layer import Patience
from common.store.folder import ASIDE, FolderStore

PUSH_MODEL = "1.2.840.10008.1.20.1"
A_ASSOCIATE_AC, A_ASSOCIATE_RJ, A_ABORT = 0x02, 0x03, 0x07
RELEASE = (0x05, bytes(4))


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "objects")


@pytest.fixture
def sent(tmp_path: Path) -> Path:
    return instance(tmp_path / "sent.dcm")


def uid_of(path: Path) -> str:
    return str(dcmread(path, stop_before_pixels=True).SOPInstanceUID)


@pytest.mark.peer("storescu")
def test_what_arrives_is_the_data_set_that_was_sent(store: FolderStore, sent: Path) -> None:
    book = Book()
    with listening(store, book) as server:
        assert storescu(server.port, sent).returncode == 0
    arrived = book.arrivals[0]
    path = store.root / arrived.key
    assert data_set(path) == data_set(sent)
    assert path.stat().st_size == arrived.size_bytes
    assert dcmread(path, stop_before_pixels=True).file_meta.TransferSyntaxUID == H264
    assert (arrived.identity.modality, arrived.request.calling_aet) == ("ES", "ENDO1")


@pytest.mark.peer("echoscu")
def test_an_echo_is_answered(store: FolderStore) -> None:
    with listening(store) as server, Wire(server.port) as wire:
        wire.associate({1: (VERIFICATION, ("1.2.840.10008.1.2",))})
        wire.command(
            {
                Element.AFFECTED_CLASS: VERIFICATION.encode() + b"\0",
                Element.COMMAND: struct.pack("<H", Command.C_ECHO),
                Element.MESSAGE_ID: b"\x01\x00",
                Element.DATA_SET_TYPE: b"\x01\x01",
            }
        )
        assert wire.status() == 0
        wire.pdu(*RELEASE)
        assert wire.answer()[0] == 0x06


@pytest.mark.peer("storescu")
def test_eight_modalities_send_at_once_and_nothing_is_lost(store: FolderStore, tmp_path: Path) -> None:
    files = [instance(tmp_path / f"{number}.dcm", 40_000_000) for number in range(8)]
    book = Book()
    before = psutil.Process().memory_info().rss
    with listening(store, book) as server, ThreadPoolExecutor(8) as modalities:
        codes = [run.returncode for run in modalities.map(lambda file: storescu(server.port, file), files)]
        grown = psutil.Process().memory_info().rss - before
    assert codes == [0] * 8
    arrived = {arrival.identity.sop_instance_uid: store.root / arrival.key for arrival in book.arrivals}
    for file in files:
        assert data_set(arrived[uid_of(file)]) == data_set(file)
    assert grown < 100 << 20


def test_more_associations_than_allowed_are_told_to_come_later(store: FolderStore) -> None:
    with listening(store, associations=1) as server, Wire(server.port) as first, Wire(server.port) as second:
        assert first.associate()[0] == A_ASSOCIATE_AC
        assert second.associate() == (A_ASSOCIATE_RJ, bytes((0, *negotiation.LIMIT_EXCEEDED)))
        first.pdu(*RELEASE)
        assert first.answer()[0] == 0x06
        first.socket.close()

        def let_in() -> bool:
            with Wire(server.port) as third:
                return third.associate()[0] == A_ASSOCIATE_AC

        eventually(let_in)


@pytest.mark.parametrize(
    ("titles", "reason"),
    [
        ({"called": "SOMEBODY"}, negotiation.CALLED_UNKNOWN),
        ({"calling": "STRANGER"}, negotiation.CALLING_UNKNOWN),
    ],
)
def test_strangers_are_refused_for_good(
    store: FolderStore, titles: dict[str, str], reason: tuple[int, int, int]
) -> None:
    with listening(store, callers=lambda title: title == "ENDO1") as server, Wire(server.port) as wire:
        assert wire.associate(**titles) == (A_ASSOCIATE_RJ, bytes((0, *reason)))  # type: ignore[arg-type]


def test_reports_of_archives_are_let_in_with_their_role(store: FolderStore) -> None:
    with listening(store) as server, Wire(server.port) as wire:
        kind, body = wire.associate({1: (PUSH_MODEL, (EXPLICIT,))}, roles={PUSH_MODEL: (0, 1)})
    role = struct.pack(">BBHH", 0x54, 0, len(PUSH_MODEL) + 4, len(PUSH_MODEL)) + PUSH_MODEL.encode() + bytes((0, 1))
    assert kind == A_ASSOCIATE_AC
    assert role in body


@pytest.mark.parametrize(
    "noise",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01" + bytes(500),
        b"\x01\x00\xff\xff\xff\xff" + bytes(100),
        b"\x01\0",
    ],
)
def test_garbage_ends_its_own_connection_only(store: FolderStore, sent: Path, noise: bytes) -> None:
    with listening(store) as server:
        with Wire(server.port) as wire:
            wire.socket.sendall(noise)
            assert wire.answer()[0] in (0, A_ABORT)
        with Wire(server.port) as wire:
            assert wire.associate()[0] == A_ASSOCIATE_AC


@pytest.mark.peer("storescu")
def test_a_bucket_takes_it_too_and_keeps_nothing_half(s3: S3Server, tmp_path: Path) -> None:
    store, book = s3.store(), Book()
    large = instance(tmp_path / "large.dcm", 20_000_000)  # in several parts
    with listening(store, book) as server, Wire(server.port) as wire:
        wire.associate()
        wire.store(uid_of(large))
        wire.data(data_set(large)[:9_000_000], last=False)
        wire.socket.close()
        assert storescu(server.port, large).returncode == 0
    assert store.size(book.arrivals[0].key) == book.arrivals[0].size_bytes
    assert list(store.keys("arrivals/")) == [book.arrivals[0].key]
    assert not list(store.uploads())


def test_half_open_connections_are_closed_and_keep_nobody_out(store: FolderStore) -> None:
    with listening(store, associations=2) as server:
        silent = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(4)]
        with Wire(server.port) as wire:
            assert wire.associate()[0] == A_ASSOCIATE_AC
        for connection in silent:
            connection.settimeout(10)
            assert connection.recv(1) == b""
            connection.close()


@pytest.mark.parametrize("how", ["stalls", "goes away", "aborts", "releases", "sends garbage"])
def test_a_data_set_that_does_not_end_leaves_nothing(store: FolderStore, sent: Path, how: str) -> None:
    book = Book()
    with listening(store, book, patience=Patience(request=5, stall=0.3, idle=5)) as server, Wire(server.port) as wire:
        wire.associate()
        wire.store(uid_of(sent))
        wire.data(data_set(sent)[:100_000], last=False)
        eventually(lambda: files_below(store.root / ASIDE))
        if how == "goes away":
            wire.socket.close()
        elif how == "aborts":
            wire.pdu(A_ABORT, bytes(4))
        elif how == "releases":
            wire.pdu(*RELEASE)
        elif how == "sends garbage":
            wire.pdu(0x04, b"\xff" * 32)
        eventually(lambda: not files_below(store.root))
    assert not book.arrivals


def test_an_association_that_stalls_is_aborted(store: FolderStore, sent: Path) -> None:
    with listening(store, patience=Patience(request=5, stall=0.3, idle=5)) as server, Wire(server.port) as wire:
        wire.associate()
        wire.store(uid_of(sent))
        assert wire.answer()[0] == A_ABORT
        assert wire.answer()[0] == 0


@pytest.mark.parametrize(
    ("broken", "status"),
    [
        (lambda data, uid: data[:-5000], 0xC000),  # the sender says that this is all
        (lambda data, uid: data[:400], 0xC000),
        (lambda data, uid: b"no data elements at all" * 100, 0xC000),
        (lambda data, uid: data.replace(uid, uid[:-1] + b"\0"), 0xA900),  # another instance than it was called
        (lambda data, uid: data.replace(b"77.1.1.1", b"77.1.2.1"), 0xA900),  # another class
    ],
)
def test_what_is_not_what_it_was_called_is_refused_and_the_association_goes_on(
    store: FolderStore, sent: Path, broken: object, status: int
) -> None:
    uid, book = uid_of(sent), Book()
    with listening(store, book) as server, Wire(server.port) as wire:
        wire.associate()
        wire.store(uid)
        wire.data(broken(data_set(sent), uid.encode()))  # type: ignore[operator]
        assert wire.status() == status
        assert not files_below(store.root)
        wire.store(uid)
        wire.data(data_set(sent))
        assert wire.status() == 0
    assert len(book.arrivals) == 1


def test_without_a_ledger_or_room_the_modality_is_told_to_try_again(store: FolderStore, sent: Path) -> None:
    book = Book(refuses=EnvironmentFault("the ledger does not answer"))
    with listening(store, book) as server, Wire(server.port) as wire:
        wire.associate()
        wire.store(uid_of(sent))
        wire.data(data_set(sent))
        assert wire.status() == 0xA700
        book.refuses = None
        wire.store(uid_of(sent))
        wire.data(data_set(sent))
        assert wire.status() == 0
    with listening(store, book, least_free_bytes=1 << 60) as server, Wire(server.port) as wire:
        wire.associate()
        wire.store(uid_of(sent))
        wire.data(data_set(sent))
        assert wire.status() == 0xA700
    assert len(book.arrivals) == len(files_below(store.root)) == 1


def test_a_study_is_known_to_be_on_its_way(store: FolderStore, tmp_path: Path) -> None:
    made = instance(tmp_path / "one.dcm", study="1.2.3")
    with listening(store) as server, Wire(server.port) as wire:
        wire.associate()
        wire.store(uid_of(made))
        data = data_set(made)
        wire.data(data[:50_000], last=False)
        eventually(lambda: server.receives("1.2.3"))
        wire.data(data[50_000:])
        assert wire.status() == 0
        eventually(lambda: not server.receives("1.2.3"))


def test_an_instance_on_its_way_may_end_when_the_listener_does(store: FolderStore, sent: Path) -> None:
    book = Book()
    with listening(store, book) as server, Wire(server.port) as wire, Wire(server.port) as idle:
        wire.associate()
        idle.associate()
        wire.store(uid_of(sent))
        data = data_set(sent)
        wire.data(data[:50_000], last=False)
        eventually(lambda: files_below(store.root / ASIDE))
        ending = threading.Thread(target=server.close, args=(20,))
        ending.start()
        wire.data(data[50_000:])
        assert wire.status() == 0
        ending.join()
        assert idle.answer()[0] == 0
    assert len(book.arrivals) == 1


def test_a_port_that_is_taken_is_named(store: FolderStore) -> None:
    with (
        listening(store) as server,
        pytest.raises(PolicyError, match=f"port {server.port}"),
        listening(store, port=server.port),
    ):
        pass


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    signer = authority(tmp_path_factory.mktemp("tls"))
    signer.sign("listener", "127.0.0.1")
    signer.sign("modality")
    authority(signer.certificate.parent, "elsewhere").sign("stranger")
    return signer


def credentials(signer: Authority, name: str) -> Credentials:
    path = signer.certificate.with_name(f"{name}.pem")
    return Credentials(signer.certificate, path, path.with_suffix(".key"))


def tls_words(signer: Authority, name: str | None) -> tuple[str, ...]:
    """Of storescu; None: without a certificate."""
    own = credentials(signer, name or "modality")
    who = ("+tla", "-ic") if name is None else ("+tls", str(own.key_file), str(own.cert_file))
    return (*who, "+cf", str(signer.certificate))


@pytest.mark.peer("storescu", "openssl")
@pytest.mark.parametrize(
    ("anonymous", "name", "arrives"),
    [(False, "modality", True), (False, None, False), (False, "stranger", False), (True, None, True)],
)
def test_over_tls_with_and_without_client_certificates(
    store: FolderStore, sent: Path, certificates: Authority, anonymous: bool, name: str | None, arrives: bool
) -> None:
    book = Book()
    context = server_context(credentials(certificates, "listener"), anonymous_clients=anonymous)
    with listening(store, book, tls=context) as server:
        run = storescu(server.port, sent, more=tls_words(certificates, name))
    assert (run.returncode == 0) is arrives, run.stderr
    assert len(book.arrivals) == int(arrives)


def test_whoever_speaks_no_tls_keeps_nobody_out(store: FolderStore, certificates: Authority, sent: Path) -> None:
    context = server_context(credentials(certificates, "listener"), anonymous_clients=True)
    with listening(store, tls=context, patience=SHORT) as server:
        silent = socket.create_connection(("127.0.0.1", server.port))
        plain = Wire(server.port)
        client = ssl.create_default_context(cafile=str(certificates.certificate))
        with Wire(server.port) as wire:
            wire.socket = client.wrap_socket(wire.socket, server_hostname="127.0.0.1")
            assert wire.associate()[0] == A_ASSOCIATE_AC
        plain.socket.sendall(b"\x01\x00" + bytes(100))
        assert plain.answer()[0] in (0, 0x15)  # a TLS alert, or just closed
        silent.close()
        plain.socket.close()


def test_implicit_vr_and_native_pixels_arrive_too(store: FolderStore, tmp_path: Path) -> None:
    from pydicom.filebase import DicomBytesIO
    from pydicom.filewriter import write_dataset

    made = header(SOPClassUID="1.2.840.10008.5.1.4.1.1.7.2", PixelData=bytes(5000))
    made["PixelData"].VR = "OW"
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, True
    write_dataset(buffer, made)
    book = Book()
    with listening(store, book) as server, Wire(server.port) as wire:
        wire.associate({1: (made.SOPClassUID, ("1.2.840.10008.1.2",))})
        wire.command(
            {
                Element.AFFECTED_CLASS: made.SOPClassUID.encode() + b"\0" * (len(made.SOPClassUID) % 2),
                Element.COMMAND: struct.pack("<H", Command.C_STORE),
                Element.MESSAGE_ID: b"\x01\x00",
                Element.DATA_SET_TYPE: b"\x01\x00",
                Element.AFFECTED_INSTANCE: made.SOPInstanceUID.encode() + b"\0" * (len(made.SOPInstanceUID) % 2),
            }
        )
        wire.data(buffer.getvalue())
        assert wire.status() == 0
    assert dcmread(store.root / book.arrivals[0].key).PixelData == bytes(5000)
