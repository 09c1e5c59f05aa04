"""``--to dicom://…``: the instance is sent by C-STORE, and the folder beside it gets the same bytes."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from support.desk import Desk

pytestmark = pytest.mark.farm


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_for_port(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(100):
        assert process.poll() is None
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    pytest.fail("storescp did not start")


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    folder, port = tmp_path / "archive", free_port()
    folder.mkdir()
    argv = [str(shutil.which("storescp")), "+xa", "+B", "-od", str(folder), "-aet", "ARCHIVE", str(port)]
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for_port(port, process)
    yield f"dicom://ARCHIVE@127.0.0.1:{port}", folder
    process.terminate()
    process.wait()


@pytest.mark.peer("storescp")
def test_an_archive_and_a_folder_get_the_same_instance(desk: Desk, archive: tuple[str, Path]) -> None:
    uri, received = archive
    desk.camera("clip.mp4")
    run = desk.migrate("--map", str(desk.mapping()), "--to", uri)
    assert run.code == 0, run.stderr
    (sent,), (kept,) = list(received.iterdir()), desk.results()
    assert pydicom.dcmread(sent).PixelData == pydicom.dcmread(kept).PixelData
    proofs = {delivery["destination"]: delivery["proof"] for delivery in run.items["clip.mp4"]["deliveries"]}
    assert "0000" in proofs[uri]


def test_an_archive_that_is_away_fails_the_item_and_the_next_run_delivers(desk: Desk, tmp_path: Path) -> None:
    desk.camera("clip.mp4")
    away = f"dicom://ARCHIVE@127.0.0.1:{free_port()}"
    run = desk.migrate("--map", str(desk.mapping()), to=away)
    assert run.code == 1
    assert run.items["clip.mp4"]["failure"]["code"] == "DestinationUnavailable"
