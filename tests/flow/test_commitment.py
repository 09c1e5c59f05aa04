"""``cinefarm migrate`` to archives that commit, now or later, or do not: an item is done when its archive has proven it."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.commitment import CommittingArchive, serve
from support.desk import Desk, Run
from support.orthanc import serve as serve_orthanc
from support.s3 import free_ports

pytestmark = pytest.mark.farm

STORAGE = {"1.2.840.10008.5.1.4.1.1.77.1.1.1": ["1.2.840.10008.1.2.4.102"]}


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> int:
    """Where our listener is."""
    (number,) = free_ports(1)
    monkeypatch.setenv("CINEFARM_LISTEN_PORT", str(number))
    monkeypatch.setenv("CINEFARM_LISTEN_ADDRESS", "127.0.0.1")
    return number


def proof(run: Run) -> str:
    (delivery,) = run.items["clip.mp4"]["deliveries"]
    return f"{delivery['state']}: {delivery['proof']}"


@pytest.mark.peer("Orthanc")
def test_orthanc_commits_on_an_association_of_its_own(desk: Desk, tmp_path: Path, port: int) -> None:
    desk.camera("clip.mp4")
    us = {"CINEFARM": ["CINEFARM", "127.0.0.1", port]}
    with serve_orthanc(tmp_path, *free_ports(2), DicomModalities=us) as orthanc:
        run = desk.migrate("--map", str(desk.mapping()), to=f"dicom://ORTHANC@127.0.0.1:{orthanc.dicom_port}")
    assert run.code == 0, run.stderr
    assert "committed: status 0000; committed 20" in proof(run)


def test_a_report_on_what_was_asked_before_we_were_killed_ends_the_item(
    desk: Desk, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CINEFARM_COMMIT_REPORT_SECONDS", "0")
    desk.camera("clip.mp4")
    with serve(CommittingArchive(answers_at_once=False), STORAGE) as archive:
        words = ("--map", str(desk.mapping()))
        to = f"dicom://ARCHIVE@127.0.0.1:{archive.port}"
        first = desk.start(*words, to=to)
        assert archive.asked.wait(90)
        first.kill()
        first.wait()
        (transaction,) = archive.requests
        second = desk.start(*words, to=to)
        archive.report_when_listening(port, transaction)
        run = desk.finish(second)
    assert run.code == 0, run.stderr
    assert transaction in proof(run)
    assert len(archive.stored) == 1


def test_an_archive_without_commitment_is_asked_what_it_holds(desk: Desk) -> None:
    desk.camera("clip.mp4")
    with serve(CommittingArchive(offers=False), STORAGE) as archive:
        run = desk.migrate("--map", str(desk.mapping()), to=f"dicom://ARCHIVE@127.0.0.1:{archive.port}")
    assert run.code == 0, run.stderr
    assert proof(run).endswith("found by C-FIND")


@pytest.mark.peer("Orthanc")
def test_an_archive_that_does_not_know_us_holds_nothing_up_and_the_proof_says_so(desk: Desk, tmp_path: Path) -> None:
    desk.camera("clip.mp4")
    with serve_orthanc(tmp_path, *free_ports(2)) as orthanc:
        run = desk.migrate("--map", str(desk.mapping()), to=f"dicom://ORTHANC@127.0.0.1:{orthanc.dicom_port}")
    assert run.code == 0, run.stderr
    assert "aborts the association" in proof(run)
    assert "not verified" in proof(run)
