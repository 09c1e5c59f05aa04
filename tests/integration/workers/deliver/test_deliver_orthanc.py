"""C-STORE to Orthanc, without plugins, as a hospital's archive would be reached."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import pydicom
import pytest
from pydicom.encaps import generate_fragments

from common.errors import DestinationRefused

pytestmark = pytest.mark.peer("Orthanc")

H264, FRAGMENTABLE = "1.2.840.10008.1.2.4.102", "1.2.840.10008.1.2.4.102.1"


@dataclass
class Orthanc:
    dicom_port: int
    http_port: int

    def get(self, path: str) -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}{path}", timeout=30) as answer:
            return bytes(answer.read())

    def await_start(self) -> None:
        for _ in range(200):
            try:
                self.get("/system")
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.1)
            else:
                return
        raise AssertionError("Orthanc did not start")

    def instances(self) -> list[str]:
        return [str(name) for name in json.loads(self.get("/instances"))]


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory, new_port: Callable[[], int]) -> Iterator[Orthanc]:
    """One server for the module; it starts in about a second."""
    folder = tmp_path_factory.mktemp("orthanc")
    archive = Orthanc(new_port(), new_port())
    settings = {
        "DicomAet": "ORTHANC",
        "DicomPort": archive.dicom_port,
        "DicomCheckCalledAet": True,
        "HttpPort": archive.http_port,
        "AuthenticationEnabled": False,
        "RemoteAccessAllowed": False,
        "StorageDirectory": str(folder / "db"),
        "IndexDirectory": str(folder / "db"),
        "Plugins": [],
        "OverwriteInstances": True,
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with subprocess.Popen(
        ["Orthanc", str(folder / "orthanc.json")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as server:
        try:
            archive.await_start()
            yield archive
        finally:
            server.kill()


def test_the_video_arrives_byte_for_byte(outbox: Any, orthanc: Orthanc) -> None:
    done = outbox.send(outbox.instance(size=500_000), orthanc.dicom_port, aet="ORTHANC")
    assert done.proof == "status 0000"
    (name,) = orthanc.instances()
    received = pydicom.dcmread(BytesIO(orthanc.get(f"/instances/{name}/file")))
    assert list(generate_fragments(received.PixelData))[1:] == [outbox.stream]
    assert received.file_meta.TransferSyntaxUID == H264
    assert (received.SOPInstanceUID, received.PatientName) == (done.location, "Doe^Jane")


def test_sending_again_leaves_one_instance(outbox: Any, orthanc: Orthanc) -> None:
    order = outbox.instance()
    for _ in range(2):
        outbox.send(order, orthanc.dicom_port, aet="ORTHANC")
    assert len(orthanc.instances()) == 1


def test_the_fragmentable_twin_is_refused_with_what_is_taken(outbox: Any, orthanc: Orthanc) -> None:
    with pytest.raises(DestinationRefused, match=rf"{FRAGMENTABLE}") as caught:
        outbox.send(outbox.instance(syntax=FRAGMENTABLE), orthanc.dicom_port, aet="ORTHANC")
    assert f"{H264}," in caught.value.hint


def test_a_wrong_called_title_is_refused_by_name(outbox: Any, orthanc: Orthanc) -> None:
    with pytest.raises(DestinationRefused, match="called ae title not recognised"):
        outbox.send(outbox.instance(), orthanc.dicom_port, aet="SOMEBODY")
