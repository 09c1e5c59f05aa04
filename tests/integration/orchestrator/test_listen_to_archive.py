"""Orthanc sends to our listener: by itself, which starts jobs, and because our workers asked it by C-MOVE, which starts none."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydicom import dcmread
from sqlalchemy import select
from support.modality import data_set, instance, listening
from support.orthanc import Orthanc, serve
from support.s3 import free_ports

from common.network.arrivals import newest
from common.store.folder import FolderStore
from orchestrator.ledger.database import open_ledger
from orchestrator.ledger.schema import Arrival
from orchestrator.listener.custody import Custody

pytestmark = pytest.mark.peer("Orthanc", "movescu")


@dataclass
class Scene:
    archive: Orthanc
    custody: Custody
    held: Path  # what the archive has
    uid: str

    @property
    def states(self) -> list[tuple[str, str]]:
        with self.custody.ledger() as session:
            return [(row.calling_aet, row.state) for row in session.scalars(select(Arrival))]

    @property
    def received(self) -> bytes:
        key = newest(self.custody.store, self.uid)
        assert key is not None
        path = self.custody.store.local_path(key)
        assert path is not None
        return data_set(path)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    ledger = open_ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    custody = Custody(ledger, FolderStore(tmp_path / "objects"), "CINEFARM")
    held = instance(tmp_path / "held.dcm", 2_000_000)
    dicom_port, http_port = free_ports(2)
    with listening(custody.store, custody) as server:
        ours = {"CINEFARM": ["CINEFARM", "127.0.0.1", server.port]}
        with serve(tmp_path, dicom_port, http_port, DicomModalities=ours) as archive:
            archive.put(held.read_bytes())
            yield Scene(archive, custody, held, str(dcmread(held, stop_before_pixels=True).SOPInstanceUID))
    ledger.kw["bind"].dispose()


def test_what_an_archive_sends_by_itself_is_held(scene: Scene) -> None:
    (instance_id,) = scene.archive.instances()
    scene.archive.ask("/modalities/CINEFARM/store", json.dumps(instance_id).encode())
    assert scene.states == [("ORTHANC", "held")]
    assert scene.received == data_set(scene.held)


def test_what_we_asked_for_by_c_move_waits_for_its_worker(scene: Scene) -> None:
    words = ["movescu", "-S", "-aet", "CINEFARM", "-aec", "ORTHANC", "-aem", "CINEFARM"]
    words += ["-k", "QueryRetrieveLevel=IMAGE", "-k", f"SOPInstanceUID={scene.uid}"]
    header = dcmread(scene.held, stop_before_pixels=True)
    words += [
        "-k",
        f"StudyInstanceUID={header.StudyInstanceUID}",
        "-k",
        f"SeriesInstanceUID={header.SeriesInstanceUID}",
    ]
    subprocess.run([*words, "127.0.0.1", str(scene.archive.dicom_port)], check=True, timeout=60)
    assert scene.states == [("ORTHANC", "expected")]
    assert scene.received == data_set(scene.held)
