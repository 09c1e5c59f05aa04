"""``cinefarm verify``: the same three instances in every kind of destination, then one taken away, one changed, one added."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol

import pydicom
import pytest
from pydicom.encaps import encapsulate, generate_fragments
from support import zoo
from support.orthanc import WEB, Orthanc, serve
from support.passage import passage
from support.s3 import S3Server, free_ports
from support.zoo_dicom import enhanced_xa, loop, quarters, saved

from common.errors import DestinationUnavailable, PolicyError
from common.orders import Failure, Retrieval, TranscodeDone
from common.recipes import ARCHIVE, PROFILES
from common.settings import Settings
from common.stages import State
from common.store.s3 import S3Store
from orchestrator.cli.verify import verify
from orchestrator.ledger.database import Sessions, open_ledger
from orchestrator.ledger.schema import Delivery, Item, Job
from orchestrator.verify.places import chosen
from orchestrator.verify.run import Verification
from orchestrator.verify.values import Cause, Expected, StudyResult

PLUGIN = Path(str(WEB["Plugins"][0]))  # type: ignore[index]


def instance(number: int, study: str, *, frames: int | None = None) -> bytes:
    """A loop as it was delivered; ``frames``: as a header that was spoilt says."""
    made = loop(StudyInstanceUID=study, SeriesInstanceUID=f"{study}.1")
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = f"{study}.1.{number}"
    file = BytesIO()
    if frames is not None:
        made.NumberOfFrames = frames
    saved(made, quarters((10, 80, 160, 240)) * (frames or 1), file)  # type: ignore[arg-type]
    return file.getvalue()


class Site(Protocol):
    """A destination, from behind."""

    uri: str
    hashes: bool  # digests are comparable there

    def put(self, data: bytes, location: str) -> None: ...

    def remove(self, location: str) -> None: ...


@dataclass
class Shelf:
    """A folder."""

    folder: Path
    hashes: bool = True

    @property
    def uri(self) -> str:
        return str(self.folder)

    def put(self, data: bytes, location: str) -> None:
        path = self.folder / location
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def remove(self, location: str) -> None:
        (self.folder / location).unlink()


@dataclass
class Bucket:
    """A prefix in a bucket."""

    store: S3Store
    hashes: bool = True

    @property
    def uri(self) -> str:
        return f"s3://{self.store.bucket}/archive"

    def put(self, data: bytes, location: str) -> None:
        self.store.put(location, data)

    def remove(self, location: str) -> None:
        self.store.delete(location)


@dataclass
class Archive:
    """Orthanc, by DIMSE or by DICOMweb."""

    orthanc: Orthanc
    uri: str
    hashes: bool = False

    def put(self, data: bytes, location: str) -> None:
        self.orthanc.put(data)

    def remove(self, location: str) -> None:
        uid = Path(location).stem.encode()
        (name,) = json.loads(self.orthanc.ask("/tools/lookup", uid))
        self.orthanc.delete(name["Path"])


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    dicom, http = free_ports(2)
    options = {"DicomAlwaysAllowFind": True, "DicomAlwaysAllowGet": True, **(WEB if PLUGIN.exists() else {})}
    with serve(tmp_path_factory.mktemp("orthanc"), dicom, http, **options) as archive:
        yield archive


@pytest.fixture(
    params=[
        "folder",
        "bucket",
        pytest.param("dicom", marks=pytest.mark.peer("Orthanc")),
        pytest.param("dicomweb", marks=pytest.mark.peer("Orthanc")),
    ]
)
def site(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    if request.param == "folder":
        return Shelf(tmp_path / "out")
    if request.param == "bucket":
        server: S3Server = request.getfixturevalue("s3")
        store = server.store(prefix="archive")
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        return Bucket(store)
    archive: Orthanc = request.getfixturevalue("orthanc")
    for name in archive.instances():
        archive.delete(f"/instances/{name}")
    if request.param == "dicom":
        return Archive(archive, f"dicom://ORTHANC@127.0.0.1:{archive.dicom_port}")
    if not PLUGIN.exists():
        pytest.skip("Orthanc's DICOMweb plugin is not installed")
    return Archive(archive, archive.web_uri)


@dataclass
class Books:
    """A job in the ledger: what it says that was delivered."""

    ledger: Sessions
    folder: Path
    count: int = 0

    def job(self, uri: str) -> None:
        with self.ledger.begin() as session:
            profile = ARCHIVE.model_dump(mode="json")
            session.add(Job(id="job", key="k", sources=[], destinations=[uri], profile=profile, audio="strip"))

    def item(self, state: State = State.DONE, **fields: Any) -> str:
        self.count += 1
        source = self.folder / f"Doe^Jane-{self.count}.mp4"
        source.write_bytes(b"source")
        values: dict[str, Any] = {"id": f"item{self.count}", "job_id": "job", "number": self.count, "state": state}
        values |= {"source": str(source), "name": source.name, "size_bytes": 6, "mtime_ns": 0}
        values["digest"] = hashlib.sha256(b"source").hexdigest()
        with self.ledger.begin() as session:
            session.add(Item(**(values | fields)))
        return str(values["id"])

    def delivered(self, uri: str, data: bytes, study: str, number: int, **delivery: Any) -> None:
        uid = f"{study}.1.{number}"
        done = TranscodeDone(
            instance_key="k",
            instance_digest=hashlib.sha256(data).hexdigest(),
            instance_bytes=len(data),
            study_uid=study,
            series_uid=f"{study}.1",
            sop_instance_uid=uid,
            output_frames=int(loop().NumberOfFrames),
        )
        name = self.item(delivery.pop("item_state", State.DONE), result=done.model_dump(mode="json"))
        values = {"state": "delivered", "location": f"{study}/{study}.1/{uid}.dcm"} | delivery
        with self.ledger.begin() as session:
            session.add(Delivery(item_id=name, job_id="job", destination=uri, **values))

    def verify(self, uri: str, **how: Any) -> tuple[list[StudyResult], Verification]:
        run = Verification(self.ledger, "job", [uri], Settings(), **how)
        return list(run.results()), run


@pytest.fixture
def books(tmp_path: Path) -> Books:
    return Books(open_ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}"), tmp_path)


FIRST, SECOND = "1.2.3", "1.2.4"
THREE = ((FIRST, 1), (FIRST, 2), (SECOND, 1))


def place(study: str, number: int) -> str:
    return f"{study}/{study}.1/{study}.1.{number}.dcm"


@pytest.fixture
def agreed(site: Site, books: Books) -> Site:
    """Three instances in two studies, delivered and there."""
    books.job(site.uri)
    for study, number in THREE:
        data = instance(number, study)
        site.put(data, place(study, number))
        books.delivered(site.uri, data, study, number)
    return site


def causes(result: StudyResult) -> set[tuple[Cause, str]]:
    return {(each.cause, each.sop_instance_uid) for each in result.differences}


def test_what_arrived_agrees_study_by_study(agreed: Site, books: Books) -> None:
    results, run = books.verify(agreed.uri)
    frames = int(loop().NumberOfFrames)
    assert [(each.study_uid, each.instances, each.found) for each in results] == [(FIRST, 2, 2), (SECOND, 1, 1)]
    assert all(each.agrees for each in results)
    assert [(each.frames, each.frames_found) for each in results] == [(2 * frames, 2 * frames), (frames, frames)]
    assert (run.totals.same, run.totals.not_comparable) == ((3, 0) if agreed.hashes else (0, 3))


def test_what_is_missing_changed_and_added_is_named(agreed: Site, books: Books) -> None:
    agreed.remove(place(FIRST, 1))
    agreed.put(instance(2, FIRST, frames=3), place(FIRST, 2))
    agreed.put(instance(9, SECOND), place(SECOND, 9))
    (first, second), run = books.verify(agreed.uri)
    changed = Cause.DIGEST if agreed.hashes else Cause.FRAMES
    assert causes(first) == {(Cause.MISSING, f"{FIRST}.1.1"), (changed, f"{FIRST}.1.2")}
    assert (second.agrees, second.others) == (True, 1)
    assert run.totals.causes == {Cause.MISSING: 1, changed: 1}


@pytest.mark.parametrize("state", ["delivered", "committed"])
def test_what_was_taken_is_expected_whether_or_not_its_proof_has_come(tmp_path: Path, books: Books, state: str) -> None:
    out = Shelf(tmp_path / "out")
    books.job(out.uri)
    out.put(b"x", place(FIRST, 1))
    books.delivered(out.uri, b"x", FIRST, 1, state=state)
    assert [each.agrees for each in books.verify(out.uri)[0]] == [True]


def test_a_study_that_is_gone_is_all_missing(agreed: Site, books: Books) -> None:
    agreed.remove(place(SECOND, 1))
    first, second = books.verify(agreed.uri)[0]
    assert (first.agrees, causes(second)) == (True, {(Cause.MISSING, f"{SECOND}.1.1")})


def test_what_was_not_delivered_says_why_and_what_was_skipped_is_not_expected(tmp_path: Path, books: Books) -> None:
    out = str(tmp_path / "out")
    (tmp_path / "out").mkdir()
    books.job(out)
    away = Failure.of(DestinationUnavailable("no room")).model_dump(mode="json")
    books.delivered(out, b"x", FIRST, 1, state="failed", location="", failure=away, item_state=State.FAILED)
    books.item(State.SKIPPED, reason="no video")
    books.item(State.QUARANTINED, reason="gate not met: vmaf.mean 80 < 93")
    (nowhere, study), run = books.verify(out)
    assert [each.words for each in nowhere.differences] == ["quarantined: gate not met: vmaf.mean 80 < 93"]
    assert [each.words for each in study.differences] == ["failed: no room"]
    assert (run.totals.skipped, run.totals.items, run.totals.studies) == (1, 2, 1)


def test_a_destination_that_is_away_is_asked_three_times_and_no_oftener(books: Books) -> None:
    (port,) = free_ports(1)
    uri = f"dicom://AWAY@127.0.0.1:{port}"
    books.job(uri)
    for number in range(5):
        books.delivered(uri, b"x", f"1.2.{number}", 1)
    results, _ = books.verify(uri)
    assert all([each.cause for each in result.differences] == [Cause.AWAY] for result in results)
    assert [result.differences[0].words.startswith("not asked") for result in results] == [False] * 3 + [True] * 2


def test_sources_that_are_gone_or_changed_are_named(tmp_path: Path, books: Books) -> None:
    out = Shelf(tmp_path / "out")
    books.job(out.uri)
    for study, number in THREE:
        out.put(b"x", place(study, number))
        books.delivered(out.uri, b"x", study, number)
    (tmp_path / "Doe^Jane-1.mp4").unlink()
    (tmp_path / "Doe^Jane-3.mp4").write_bytes(b"SOURCE")
    found = [each for each in books.verify(out.uri, sources=True)[0] if each.destination == "source"]
    told = [(each.cause, each.item) for result in found for each in result.differences]
    assert told == [(Cause.SOURCE_GONE, 1), (Cause.SOURCE_CHANGED, 3)]


@pytest.mark.peer("Orthanc")
def test_a_source_in_an_archive_is_asked_for(orthanc: Orthanc, tmp_path: Path, books: Books) -> None:
    for name in orthanc.instances():
        orthanc.delete(f"/instances/{name}")
    orthanc.put(instance(1, FIRST))
    out = Shelf(tmp_path / "out")
    (tmp_path / "out").mkdir()
    books.job(out.uri)
    archive = f"dicom://ORTHANC@127.0.0.1:{orthanc.dicom_port}"
    for number in (1, 2):
        ids = {"study_uid": FIRST, "series_uid": f"{FIRST}.1", "sop_instance_uid": f"{FIRST}.1.{number}"}
        there = Retrieval(place=archive, **ids).model_dump(mode="json")
        books.item(State.FAILED, retrieval=there, source=f"{archive}/{number}")
    told = [each for result in books.verify(out.uri, sources=True)[0] for each in result.differences]
    assert [(each.cause, each.item) for each in told if each.cause is not Cause.NOT_DELIVERED] == [
        (Cause.SOURCE_GONE, 2)
    ]


def passed(source: Path, folder: Path, books: Books, uri: str, **how: Any) -> bytes:
    """A source on its whole way, and in the books; its instance as it was delivered."""
    folder.mkdir()
    made = passage(source, folder, **how)
    fields = {"result": made.done, "plan": made.plan, "description": made.source}
    name = books.item(**{key: value.model_dump(mode="json") for key, value in fields.items()})
    with books.ledger.begin() as session:
        session.add(Delivery(item_id=name, job_id="job", destination=uri, state="committed"))
    return made.store.get(made.done.instance_key)


@pytest.mark.peer("Orthanc")
@pytest.mark.parametrize("network", ["dicom", "dicomweb"])
def test_what_is_read_back_is_compared_by_its_pixel_data(
    orthanc: Orthanc, tmp_path: Path, books: Books, network: str
) -> None:
    if network == "dicomweb" and not PLUGIN.exists():
        pytest.skip("Orthanc's DICOMweb plugin is not installed")
    uri = orthanc.web_uri if network == "dicomweb" else f"dicom://ORTHANC@127.0.0.1:{orthanc.dicom_port}"
    for name in orthanc.instances():
        orthanc.delete(f"/instances/{name}")
    clip, still = tmp_path / "clip.mp4", tmp_path / "loop.dcm"
    zoo.clip("-c:v", "libx264", "-profile:v", "high", "-bf", "2")(clip)
    enhanced_xa(still)
    books.job(uri)
    copied = passed(clip, tmp_path / "copied", books, uri)
    (tmp_path / "copied.dcm").write_bytes(copied)
    framed = passed(still, tmp_path / "framed", books, uri, profile=PROFILES["primary"])
    encoded = passed(still, tmp_path / "encoded", books, uri)
    for data in (copied, framed, encoded):
        orthanc.put(renamed(data))
    results, run = books.verify(uri, read="all")
    assert [each.differences for each in results] == [[], []]
    assert (run.totals.same, run.totals.not_comparable) == (3, 0)
    orthanc.put(swapped(encoded))
    assert [each.cause for result in books.verify(uri, read="all")[0] for each in result.differences] == [Cause.DIGEST]


def renamed(data: bytes) -> bytes:
    """As an archive gives it back after the patient's name was corrected."""
    made = pydicom.dcmread(BytesIO(data))
    made.PatientName = "Roe^Richard"
    return written(made)


def swapped(data: bytes) -> bytes:
    """The same header around a stream of other pictures."""
    made = pydicom.dcmread(BytesIO(data))
    stream = bytearray(b"".join(generate_fragments(made.PixelData)))
    stream[stream.rfind(b"mdat") + 200] ^= 1
    made.PixelData = encapsulate([bytes(stream)], has_bot=False)
    return written(made)


def written(made: pydicom.FileDataset) -> bytes:
    file = BytesIO()
    made.save_as(file, enforce_file_format=True)
    return file.getvalue()


def test_a_sample_is_one_in_twenty_and_at_least_one() -> None:
    many = [Expected(n, f"1.2.{n}", "", 1, "", 1, "") for n in range(400)]
    assert 5 < len(chosen(many, "sample")) < 50
    assert chosen(many, "sample") == chosen(many[::-1], "sample")[::-1]
    assert [len(chosen(many[:count], "sample")) for count in (0, 1)] == [0, 1]
    assert (len(chosen(many, "all")), len(chosen(many, "none"))) == (400, 0)


def test_the_command_names_differences_and_no_patient(
    tmp_path: Path, books: Books, capsys: pytest.CaptureFixture[str]
) -> None:
    out = Shelf(tmp_path / "out")
    books.job(out.uri)
    for study, number in THREE:
        out.put(instance(number, study), place(study, number))
        books.delivered(out.uri, instance(number, study), study, number)
    assert verify("job", state=tmp_path) == 0
    shutil.rmtree(tmp_path / "out" / SECOND)
    assert verify("job", state=tmp_path) == 1
    told = capsys.readouterr().out
    assert f"item 3 {SECOND}.1.1: missing at the destination" in told
    assert "Doe" not in told
    assert verify("job", state=tmp_path, json=True) == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["type"] for line in lines] == ["study", "study", "summary"]
    assert lines[-1]["differences"] == {"missing": 1}


def test_a_destination_of_another_job_is_refused(tmp_path: Path, books: Books) -> None:
    books.job(str(tmp_path / "out"))
    with pytest.raises(PolicyError, match="no destination of this job"):
        verify("job", to=[str(tmp_path / "elsewhere")], state=tmp_path)
