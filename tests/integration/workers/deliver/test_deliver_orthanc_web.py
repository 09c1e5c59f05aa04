"""STOW-RS to Orthanc's DICOMweb plugin behind a password, looked for by QIDO-RS and read back by WADO-RS."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydantic import SecretStr
from pydicom.encaps import generate_fragments
from support.orthanc import WEB, Orthanc, serve

from common.destinations import parse_destination
from common.errors import DestinationRefused
from workers.deliver.dicomweb import deliver_to_web

from .conftest import H264

pytestmark = [
    pytest.mark.peer("Orthanc"),
    pytest.mark.skipif(not Path(str(WEB["Plugins"][0])).exists(), reason="orthanc-dicomweb is not installed"),  # type: ignore[index]
]

PASSWORD = "farm:secret"


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory, new_port: Callable[[], int]) -> Iterator[Orthanc]:
    """One server for the module."""
    with serve(tmp_path_factory.mktemp("orthanc"), new_port(), new_port(), password=PASSWORD, **WEB) as archive:
        yield archive


def send(outbox: Any, orthanc: Orthanc, order: Any, password: str = PASSWORD) -> str:
    settings = outbox.settings.model_copy(update={"dicomweb_basic_auth": SecretStr(password)})
    done = deliver_to_web(order, parse_destination(orthanc.web_uri), outbox.store, settings)  # type: ignore[arg-type]
    return done.proof


@pytest.mark.parametrize("syntax", [H264, f"{H264}.1", "1.2.840.10008.1.2.4.107"])
def test_the_video_arrives_byte_for_byte_fragmentable_too(outbox: Any, orthanc: Orthanc, syntax: str) -> None:
    order = outbox.instance(syntax=syntax, size=500_000).model_copy(update={"verify": "all"})
    for name in orthanc.instances():  # the same UID in the syntax before
        orthanc.delete(f"/instances/{name}")
    assert send(outbox, orthanc, order) == "STOW-RS 200, found by QIDO-RS, read back by WADO-RS: same sha256"
    (name,) = orthanc.instances()
    received = pydicom.dcmread(BytesIO(orthanc.get(f"/instances/{name}/file")))
    assert list(generate_fragments(received.PixelData))[1:] == [outbox.stream]
    assert received.file_meta.TransferSyntaxUID == syntax
    assert send(outbox, orthanc, order) == "already there, read back by WADO-RS: same sha256"
    assert len(orthanc.instances()) == 1


def test_a_wrong_password_is_refused_with_the_setting_to_look_at(outbox: Any, orthanc: Orthanc) -> None:
    with pytest.raises(DestinationRefused, match="credentials") as refused:
        send(outbox, orthanc, outbox.instance(), "farm:wrong")
    assert "CINEFARM_DICOMWEB_BASIC_AUTH" in refused.value.hint
    assert "wrong" not in refused.value.message + refused.value.hint
