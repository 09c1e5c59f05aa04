"""C-STORE to Orthanc, without plugins, as a hospital's archive would be reached."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any

import pydicom
import pytest
from pydicom.encaps import generate_fragments
from support.orthanc import Orthanc, serve

from common.errors import DestinationRefused

pytestmark = pytest.mark.peer("Orthanc")

H264, FRAGMENTABLE = "1.2.840.10008.1.2.4.102", "1.2.840.10008.1.2.4.102.1"


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory, new_port: Callable[[], int]) -> Iterator[Orthanc]:
    """One server for the module."""
    with serve(tmp_path_factory.mktemp("orthanc"), new_port(), new_port()) as archive:
        yield archive


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
