"""Plain video whose patient a worklist knows, by the accession number in its name or in the CSV."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import Dataset
from support.s3 import free_ports
from support.worklist import PLUGIN, Schedule, worklist
from support.zoo_dicom import loop, quarters, saved

from common.errors import BadMapping, DestinationUnavailable, MissingMetadata, PolicyError
from common.media import Description
from common.recipes import ARCHIVE
from common.settings import Settings
from common.store.folder import FolderStore
from orchestrator.ingest.found import Found
from orchestrator.ingest.mapping import Mapping, header_json
from orchestrator.ingest.worklist import Entry, Supplier, WorklistRequest
from orchestrator.jobs import JobRequest, ingest, submit
from orchestrator.ledger.database import Sessions, open_ledger
from orchestrator.ledger.schema import Item
from orchestrator.recorder import Recorder

pytestmark = pytest.mark.peer("Orthanc")
PATTERN = r"_(A\d+)\."


@pytest.fixture(scope="module")
def schedule(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Schedule]:
    if not PLUGIN.exists():
        pytest.skip("Orthanc's worklist plugin is not installed")
    with worklist(tmp_path_factory.mktemp("worklist"), *free_ports(2)) as server:
        server.add("A1")
        server.add("A2", step="S1")
        server.add("A2", step="S2", modality="US")
        server.add("A3", step="S1")
        server.add("A3", step="S2")
        server.add("A4", PatientID="")
        yield server


def video(folder: Path, name: str) -> Found:
    path = folder / name
    path.write_bytes(b"no video, but nobody looks")
    return Found(path, path.stat().st_size, 0, name)


def asking(schedule: Schedule, mapping: Mapping | None = None) -> Supplier:
    return Supplier(mapping, WorklistRequest(server=schedule.uri, accession=PATTERN), Settings())


def of(schedule: Schedule, found: Found, mapping: Mapping | None = None) -> Dataset:
    with asking(schedule, mapping) as supplier:
        given = supplier.of(found)
    assert isinstance(given, Entry), given
    return Dataset.from_json(json.loads(header_json(given)))


def test_the_entry_becomes_the_header(schedule: Schedule, tmp_path: Path) -> None:
    made = of(schedule, video(tmp_path, "scope_A1.mp4"))
    assert (str(made.PatientName), made.PatientID, made.IssuerOfPatientID) == ("Müller^Jörg", "P-7", "HIS")
    assert (made.PatientBirthDate, made.PatientSex, made.Modality) == ("19700131", "M", "ES")
    assert (made.StudyInstanceUID, made.AccessionNumber) == ("1.2.826.0.1.1", "A1")
    assert (made.StudyID, made.StudyDescription, str(made.ReferringPhysicianName)) == ("RP1", "Koloskopie", "House^G")
    assert (made.StudyDate, made.StudyTime) == ("20261120", "101500")
    (request,) = made.RequestAttributesSequence
    assert (request.RequestedProcedureID, request.ScheduledProcedureStepID) == ("RP1", "S1")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("scope_A9.mp4", "no entry"),
        ("scope_A2.mp4", "2 entries"),
        ("scope_A4.mp4", "no Patient ID"),
        ("scope_A12345678901234567.mp4", "is none"),
    ],
)
def test_none_or_several_entries_are_no_guess(schedule: Schedule, tmp_path: Path, name: str, why: str) -> None:
    with asking(schedule) as supplier:
        given = supplier.of(video(tmp_path, name))
    assert isinstance(given, MissingMetadata)
    assert why in given.message
    assert "A2" not in given.message


def test_steps_of_one_request_that_agree_are_one_entry_without_their_own_data(
    schedule: Schedule, tmp_path: Path
) -> None:
    made = of(schedule, video(tmp_path, "scope_A3.mp4"))
    assert made.PatientID == "P-7"
    assert "StudyDate" not in made
    assert "ScheduledProcedureStepID" not in made.RequestAttributesSequence[0]


def test_the_csv_may_name_the_accession_number_alone_and_say_more(schedule: Schedule, tmp_path: Path) -> None:
    path = tmp_path / "map.csv"
    path.write_text("file,AccessionNumber,SeriesDescription\nclip.mp4,A1,Resection\n")
    made = of(schedule, video(tmp_path, "clip.mp4"), Mapping.load(path, worklist=True))
    assert (made.PatientID, made.AccessionNumber, made.SeriesDescription) == ("P-7", "A1", "Resection")
    with pytest.raises(BadMapping, match="PatientID is missing"):
        Mapping.load(path)


def test_a_row_that_says_whose_it_is_needs_no_worklist(tmp_path: Path) -> None:
    path = tmp_path / "map.csv"
    path.write_text("file,PatientID,AccessionNumber\nclip_A1.mp4,P-1,\nother.mp4,,\n")
    with pytest.raises(BadMapping, match="line 3, column 2"):
        Mapping.load(path, worklist=True)
    path.write_text("file,PatientID,AccessionNumber\nclip_A1.mp4,P-1,\n")
    away = WorklistRequest(server=f"dicom://AWAY@127.0.0.1:{free_ports(1)[0]}", accession=PATTERN)
    with Supplier(Mapping.load(path, worklist=True), away, Settings()) as supplier:
        given = supplier.of(video(tmp_path, "clip_A1.mp4"))
        assert given is not None
        assert not isinstance(given, Entry)
        with pytest.raises(DestinationUnavailable, match="cannot be reached"):
            supplier.of(video(tmp_path, "clip_A2.mp4"))


def test_a_dicom_file_is_not_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "loop_A1.dcm"
    saved(loop(), quarters((10, 80, 160, 240)), path)
    away = WorklistRequest(server=f"dicom://AWAY@127.0.0.1:{free_ports(1)[0]}", accession=PATTERN)
    with Supplier(None, away, Settings()) as supplier:
        assert supplier.of(Found(path, 1, 0, "loop_A1.dcm")) is None


def test_an_accession_number_is_asked_for_once(schedule: Schedule, tmp_path: Path) -> None:
    with asking(schedule) as supplier:
        first = supplier.of(video(tmp_path, "one_A1.mp4"))
        again = supplier.of(video(tmp_path, "two_A1.mp4"))
    assert isinstance(first, Entry)
    assert isinstance(again, Entry)
    assert first.header is again.header


@pytest.mark.parametrize(
    ("server", "pattern", "why"),
    [
        ("dicom://A@h:104", "A", "0 groups"),
        ("dicom://A@h:104", "(", "pattern"),
        ("/folder", None, "by DICOM"),
        (None, "(A)", "needs --worklist"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_begins(server: str | None, pattern: str | None, why: str) -> None:
    with pytest.raises(PolicyError, match=why):
        WorklistRequest.parse(server, pattern)


def test_a_video_without_an_entry_fails_with_that_reason_and_is_asked_for_again(
    schedule: Schedule, tmp_path: Path, description: Description
) -> None:
    sources = tmp_path / "sources"
    sources.mkdir()
    video(sources, "scope_A7.mp4")
    ledger, store = open_ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}"), FolderStore(tmp_path / "objects")
    asked = WorklistRequest(server=schedule.uri, accession=PATTERN)
    job = submit(ledger, JobRequest((str(sources),), ("/out",), ARCHIVE, worklist=asked))
    ingest(ledger, store, job, [str(sources)], None, [], worklist=asked)
    assert "no entry" in described(ledger, store, description).reason
    schedule.add("A7")
    ingest(ledger, store, job, [str(sources)], None, [], worklist=asked)
    item = described(ledger, store, description)
    assert item.state == "planned"
    assert item.supplied == {"modality": "ES", "sop_class": None}
    assert b"P-7" in store.get(str(item.header_key))


def described(ledger: Sessions, store: FolderStore, description: Description) -> Item:
    """What the recorder makes of the one item once a worker has read it."""
    with ledger.begin() as session:
        item = session.query(Item).one()
        Recorder(ledger, store, max_attempts=1)._described(session, item, description, twins=False)
        return item
