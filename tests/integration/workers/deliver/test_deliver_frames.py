"""Frames in real archives: every frame-based syntax arrives as it was sent, and Orthanc gives back the same bytes."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pynetdicom.dsutils import split_dataset
from support import loops
from support.orthanc import Orthanc, serve

from common.dicom.frame_encapsulation import write_frames
from common.dicom.frame_headers import FrameHeaderRequest, build_frame_header
from common.dicom.frame_syntaxes import (
    HTJ2K_LOSSLESS,
    JPEG_2000_LOSSLESS,
    JPEG_BASELINE,
    JPEG_LS_LOSSLESS,
)
from common.dicom.transfer_syntaxes import RLE_LOSSLESS
from common.errors import DestinationRefused
from common.orders import DeliverOrder
from common.recipes import ARCHIVE, in_frames
from orchestrator import work
from orchestrator.planner import plan
from workers.describe import describe_sandboxed
from workers.frames.coding import code_frames
from workers.package import source_header

WRITTEN = (JPEG_LS_LOSSLESS, JPEG_2000_LOSSLESS, RLE_LOSSLESS, JPEG_BASELINE)


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory, new_port: Callable[[], int]) -> Iterator[Orthanc]:
    """One server for the module."""
    with serve(tmp_path_factory.mktemp("orthanc"), new_port(), new_port()) as archive:
        yield archive


@pytest.fixture
def loop(tmp_path: Path) -> Path:
    return loops.save(loops.loop(loops.colour(), "RGB"), tmp_path / "loop.dcm")


def packaged(outbox: Any, source: Path, syntax: str) -> DeliverOrder:
    """An instance in the outbox's store, as a worker makes it."""
    description = describe_sandboxed(source, ".dcm", outbox.settings)
    chosen = plan(description, in_frames(ARCHIVE, syntax))
    assert chosen.frame_recipe is not None
    spool = outbox.folder / "spool"
    coded = code_frames(source, description, chosen.frame_recipe, spool)
    uid = work.instance_uid(description, None, chosen)
    total = sum(coded.lengths)
    request = FrameHeaderRequest(source_header(source), None, description, chosen, coded.image, total, uid)
    header = build_frame_header(request)
    with outbox.store.writer("results/a/instance.dcm") as writer:
        write_frames(writer, header, syntax, coded.lengths, [spool.read_bytes()])
    return DeliverOrder(
        order_id="o-1",
        item_id="i-1",
        attempt=1,
        destination="",
        instance_key="results/a/instance.dcm",
        instance_digest=writer.stored.digest,
        instance_bytes=writer.stored.size_bytes,
        study_uid=str(header.StudyInstanceUID),
        series_uid=str(header.SeriesInstanceUID),
        sop_instance_uid=uid,
        sop_class_uid=str(header.SOPClassUID),
        transfer_syntax_uid=syntax,
    )


@pytest.mark.peer("Orthanc")
@pytest.mark.parametrize("syntax", WRITTEN)
def test_orthanc_gives_back_the_very_data_set(
    outbox: Any, orthanc: Orthanc, loop: Path, syntax: str, tmp_path: Path
) -> None:
    before = set(orthanc.instances())
    order = packaged(outbox, loop, syntax)
    done = outbox.send(order, orthanc.dicom_port, aet="ORTHANC")
    names = set(orthanc.instances()) - before or set(orthanc.instances())
    received = tmp_path / "received.dcm"
    for name in names:
        received.write_bytes(orthanc.get(f"/instances/{name}/file"))
        if received.read_bytes()[split_dataset(received)[1] :] == outbox.data_set(order):
            break
    else:
        pytest.fail("no instance in the archive holds these bytes")
    assert done.proof == "status 0000"


@pytest.mark.peer("storescp")
@pytest.mark.parametrize("syntax", WRITTEN)
def test_storescp_receives_the_very_data_set(
    outbox: Any,
    loop: Path,
    syntax: str,
    tmp_path: Path,
    new_port: Callable[[], int],
    wait_for_port: Callable[[int], None],
) -> None:
    folder, port = tmp_path / "received", new_port()
    folder.mkdir()
    argv = ["storescp", "+xa", "+B", "-od", str(folder), "-aet", "PEER", str(port)]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            wait_for_port(port)
            order = packaged(outbox, loop, syntax)
            outbox.send(order, port)
        finally:
            server.terminate()
    (received,) = folder.iterdir()
    assert received.read_bytes()[split_dataset(received)[1] :] == outbox.data_set(order)


@pytest.mark.peer("Orthanc")
def test_a_syntax_that_the_archive_lacks_is_refused_with_those_it_takes(
    outbox: Any, orthanc: Orthanc, loop: Path
) -> None:
    order = packaged(outbox, loop, HTJ2K_LOSSLESS)  # Orthanc takes it from 1.12 on
    with pytest.raises(DestinationRefused) as caught:
        outbox.send(order, orthanc.dicom_port, aet="ORTHANC")
    assert JPEG_LS_LOSSLESS in caught.value.hint
