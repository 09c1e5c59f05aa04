"""A modality that sends to our listener: made instances, dcmtk's storescu, and a wire of its own to misbehave on."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from common.dicom.encapsulation import write_instance
from common.network.command_set import Command, CommandSet, Element, encoded
from common.network.reception import Arrived
from common.network.storage_scp import Custodian, Entrance, StorageServer
from common.network.upper_layer import Patience
from common.store import ObjectStore
from common.store.folder import FolderStore

H264 = "1.2.840.10008.1.2.4.102"
EXPLICIT = "1.2.840.10008.1.2.1"
ENDOSCOPY = "1.2.840.10008.5.1.4.1.1.77.1.1.1"
VERIFICATION = "1.2.840.10008.1.1"

SHORT = Patience(request=1.0, stall=1.0, idle=5.0)
"""So that a test need not wait for what a modality is granted."""


def header(*, study: str = "", **values: object) -> Dataset:
    """Of a video endoscopic image with UIDs of its own."""
    made = Dataset()
    made.SOPClassUID, made.SOPInstanceUID = ENDOSCOPY, generate_uid()
    made.StudyInstanceUID, made.SeriesInstanceUID = study or generate_uid(), generate_uid()
    made.Modality, made.PatientName, made.PatientID = "ES", "Doe^Jane", "P-1"
    made.Rows, made.Columns, made.NumberOfFrames = 120, 160, 10
    for name, value in values.items():
        setattr(made, name, value)
    return made


def instance(path: Path, size: int = 300_001, *, study: str = "", **values: object) -> Path:
    """A file whose stream is made bytes: nobody here looks into it."""
    block = os.urandom(min(size, 1 << 20))
    stream = [block] * (size // len(block)) + [block[: size % len(block)]]
    store = FolderStore(path.parent / ".made")
    with store.writer("one") as writer:
        write_instance(writer, header(study=study, **values), H264, stream, size)
    store.export("one", path)
    return path


def data_set(path: Path) -> bytes:
    """What goes over the wire: the file without its meta information."""
    data = path.read_bytes()
    return data[132 + 12 + int.from_bytes(data[140:144], "little") :]


def storescu(
    port: int, *files: Path, calling: str = "ENDO1", called: str = "CINEFARM", more: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    """dcmtk's, which proposes .102 for what it is given and ends with the first failure."""
    proposed = () if any(word.startswith("-x") for word in more) else ("-xn",)
    words = ["storescu", "-v", "-R", *proposed, "-aet", calling, "-aec", called, *more, "127.0.0.1", str(port)]
    return subprocess.run([*words, *map(str, files)], capture_output=True, text=True, check=False, timeout=120)


@dataclass
class Book:
    """Takes what arrives into custody, in memory; ``refuses`` is raised instead."""

    arrivals: list[Arrived] = field(default_factory=list)
    refuses: Exception | None = None

    def require_ledger(self) -> None:
        if self.refuses is not None:
            raise self.refuses

    def keep(self, arrived: Arrived) -> None:
        self.arrivals.append(arrived)


@contextmanager
def listening(store: ObjectStore, book: Custodian | None = None, **entrance: object) -> Iterator[StorageServer]:
    """A listener on a free port of this machine."""
    values = {"address": "127.0.0.1", "port": 0, "titles": lambda title: title == "CINEFARM", "patience": SHORT}
    with StorageServer(Entrance(**(values | entrance)), store, book or Book()) as server:  # type: ignore[arg-type]
        yield server


class Wire:
    """An association by hand, for what no well-bred program does."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def associate(
        self,
        contexts: dict[int, tuple[str, tuple[str, ...]]] | None = None,
        *,
        called: str = "CINEFARM",
        calling: str = "ENDO1",
        roles: dict[str, tuple[int, int]] | None = None,
    ) -> tuple[int, bytes]:
        """Ask; returns kind and body of the answer. ``contexts``: id → abstract and transfer syntaxes."""
        items = _item(0x10, b"1.2.840.10008.3.1.1.1")
        for number, (abstract, transfers) in (contexts or {1: (ENDOSCOPY, (H264,))}).items():
            inner = _item(0x30, abstract.encode()) + b"".join(_item(0x40, uid.encode()) for uid in transfers)
            items += _item(0x20, bytes((number, 0, 0, 0)) + inner)
        user = _item(0x51, struct.pack(">I", 16384)) + _item(0x52, b"1.2.3")
        for uid, acts in (roles or {}).items():
            user += _item(0x54, struct.pack(">H", len(uid)) + uid.encode() + bytes(acts))
        titles = called.ljust(16).encode() + calling.ljust(16).encode()
        self.pdu(0x01, struct.pack(">HH", 1, 0) + titles + bytes(32) + items + _item(0x50, user))
        return self.answer()

    def command(self, values: dict[Element, bytes], context: int = 1) -> None:
        """A command set in one presentation data value."""
        self.value(encoded(values), context, 0b11)

    def store(self, uid: str, *, context: int = 1) -> None:
        """A C-STORE request; its data set is still to be sent."""
        self.command(
            {
                Element.AFFECTED_CLASS: _even(ENDOSCOPY),
                Element.COMMAND: struct.pack("<H", Command.C_STORE),
                Element.MESSAGE_ID: struct.pack("<H", 7),
                Element.DATA_SET_TYPE: struct.pack("<H", 1),
                Element.AFFECTED_INSTANCE: _even(uid),
            },
            context,
        )

    def value(self, data: bytes, context: int, control: int) -> None:
        """One presentation data value in a PDU of its own."""
        self.pdu(0x04, struct.pack(">IBB", len(data) + 2, context, control) + data)

    def data(self, data: bytes, *, last: bool = True, context: int = 1) -> None:
        """A data set, or a part of one, in fragments."""
        pieces = [data[at : at + 16000] for at in range(0, len(data), 16000)]
        for number, piece in enumerate(pieces, start=1):
            self.value(piece, context, 0b10 if last and number == len(pieces) else 0)

    def status(self) -> int:
        """Of the next response."""
        kind, body = self.answer()
        assert kind == 0x04, f"a PDU of kind {kind} came"
        return CommandSet.decode(body[6:]).number(Element.STATUS)

    def pdu(self, kind: int, body: bytes) -> None:
        self.socket.sendall(struct.pack(">BBI", kind, 0, len(body)) + body)

    def answer(self) -> tuple[int, bytes]:
        """The next PDU; kind 0 when the connection was closed."""
        head = self._read(6)
        if len(head) < 6:
            return 0, b""
        kind, _, length = struct.unpack(">BBI", head)
        return kind, self._read(length)

    def _read(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            try:
                piece = self.socket.recv(count - len(data))
            except ConnectionError:
                break
            if not piece:
                break
            data += piece
        return data


def eventually(true: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait until it holds."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come true in time"
        time.sleep(0.02)


def files_below(folder: Path) -> list[Path]:
    """Everything that is no folder."""
    return sorted(path for path in folder.rglob("*") if not path.is_dir())


def _item(kind: int, value: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(value)) + value


def _even(text: str) -> bytes:
    return text.encode() + b"\0" * (len(text) % 2)
