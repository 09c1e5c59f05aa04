"""Instances to send, and a wire between us and an archive that can be made slow, stuck or cut."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from common.destinations import DicomDestination
from common.dicom.encapsulation import write_instance
from common.network.association import Timeouts
from common.orders import DeliverDone, DeliverOrder
from common.settings import Settings
from common.store import Stored
from common.store.folder import FolderStore
from workers.deliver.associations import ASSOCIATIONS
from workers.deliver.dicom import deliver_to_archive

H264 = "1.2.840.10008.1.2.4.102"
ENDOSCOPY = "1.2.840.10008.5.1.4.1.1.77.1.1.1"
UID = "2.25.20"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Outbox:
    """A store with instances in it, and the way to an archive."""

    folder: Path
    settings: Settings
    stream: bytes = b""

    @property
    def store(self) -> FolderStore:
        return FolderStore(self.folder / "objects")

    def instance(self, *, syntax: str = H264, sop_class: str = ENDOSCOPY, size: int = 300_001) -> DeliverOrder:
        """Write an instance of made bytes; its order has an empty destination."""
        header = Dataset()
        header.SOPClassUID, header.SOPInstanceUID = sop_class, UID
        header.StudyInstanceUID, header.SeriesInstanceUID = "1.2.3", "1.2.3.4"
        header.PatientName, header.PatientID = "Doe^Jane", "PAT-1"
        header.Modality, header.StudyID, header.SeriesNumber, header.InstanceNumber = "ES", "1", 1, 1
        header.Rows, header.Columns, header.NumberOfFrames, header.SamplesPerPixel = 120, 160, 10, 3
        header.PhotometricInterpretation, header.PlanarConfiguration = "YBR_PARTIAL_420", 0
        header.BitsAllocated, header.BitsStored, header.HighBit, header.PixelRepresentation = 8, 8, 7, 0
        self.stream = os.urandom(size)
        with self.store.writer("results/a/instance.dcm") as writer:
            write_instance(writer, header, syntax, [self.stream], size)
        return self.order_of(header, syntax, writer.stored)

    def order_of(self, header: Dataset, syntax: str, stored: Stored) -> DeliverOrder:
        """The order for what was written."""
        return DeliverOrder(
            order_id="o-1",
            item_id="i-1",
            attempt=1,
            destination="",
            instance_key="results/a/instance.dcm",
            instance_digest=stored.digest,
            instance_bytes=stored.size_bytes,
            study_uid=header.StudyInstanceUID,
            series_uid=header.SeriesInstanceUID,
            sop_instance_uid=header.SOPInstanceUID,
            sop_class_uid=header.SOPClassUID,
            transfer_syntax_uid=syntax,
        )

    def send(
        self, order: DeliverOrder, port: int, *, aet: str = "PEER", timeouts: Timeouts | None = None
    ) -> DeliverDone:
        peer = DicomDestination(aet, "127.0.0.1", port)
        return deliver_to_archive(order, peer, self.store, self.settings, timeouts=timeouts)

    def data_set(self, order: DeliverOrder) -> bytes:
        """What should cross the wire: the file without preamble and file meta."""
        from pynetdicom.dsutils import split_dataset

        path = self.store.local_path(order.instance_key)
        assert path is not None
        return path.read_bytes()[split_dataset(path)[1] :]


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    yield Outbox(tmp_path, Settings(state_dir=tmp_path / "state"))
    ASSOCIATIONS.release_all()  # the next test finds an archive that nobody is connected to


@dataclass
class Wire:
    """A TCP relay to ``port``. After ``limit`` bytes towards the archive it is cut or stuck; ``rate`` is in bytes/s."""

    port: int
    limit: int | None = None
    then: str = "cut"
    rate: int | None = None
    ends: list[socket.socket] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def open(self) -> int:
        listener = socket.create_server(("127.0.0.1", 0))
        self.ends.append(listener)
        threading.Thread(target=self._serve, args=(listener,), daemon=True).start()
        return int(listener.getsockname()[1])

    def _serve(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            here, _ = listener.accept()
            there = socket.create_connection(("127.0.0.1", self.port))
            self.ends += [here, there]
            threading.Thread(target=self._back, args=(there, here), daemon=True).start()
            self._forth(here, there)
        self.hang_up()

    def _forth(self, here: socket.socket, there: socket.socket) -> None:
        passed = 0
        while data := here.recv(65_536):
            passed += len(data)
            if self.limit is not None and passed > self.limit:
                if self.then == "stuck":
                    self.over.wait()
                return
            there.sendall(data)
            if self.rate:
                time.sleep(len(data) / self.rate)

    def _back(self, there: socket.socket, here: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := there.recv(65_536):
                here.sendall(data)
        self.hang_up()

    def hang_up(self) -> None:
        for end in self.ends[1:]:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.over.set()
        self.hang_up()
        for end in self.ends:
            end.close()


@pytest.fixture
def wire() -> Iterator[Callable[..., int]]:
    """Put a wire before a port; returns the port to send to."""
    wires: list[Wire] = []

    def lay(port: int, **behaviour: object) -> int:
        wires.append(Wire(port, **behaviour))  # type: ignore[arg-type]
        return wires[-1].open()

    yield lay
    for each in wires:
        each.close()


@pytest.fixture
def wait_for_port() -> Callable[[int], None]:
    """Wait until a server listens."""

    def wait(port: int) -> None:
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
            except OSError:
                time.sleep(0.05)
            else:
                return
        raise AssertionError(f"nothing listens on port {port}")

    return wait


@pytest.fixture(scope="session")
def new_port() -> Callable[[], int]:
    return free_port
