"""A job pulls 30 studies by query from one archive and stores what becomes of them in another, which commits to them, and in a
bucket; run twice, nothing is stored twice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support import studies
from support.desk import Desk
from support.orthanc import Orthanc, serve
from support.s3 import S3Server, free_ports

pytestmark = [pytest.mark.farm, pytest.mark.peer("Orthanc")]

STUDIES = 30


@contextmanager
def archive(folder: Path, **options: object) -> Iterator[Orthanc]:
    folder.mkdir()
    with serve(folder, *free_ports(2), **options) as made:
        yield made


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Orthanc]:
    """30 studies of an ultrasound loop each, besides a still and a report; it gives no more than seven answers at a time."""
    options = {"DicomAlwaysAllowFind": True, "DicomAlwaysAllowGet": True, "LimitFindResults": 7}
    with archive(tmp_path / "source", **options) as made:
        for number in range(STUDIES):
            made.put(studies.loop(number))
        made.put(studies.still(0, 1))
        made.put(studies.report(0))
        yield made


@pytest.fixture
def target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Orthanc]:
    """It reports what it commits to on associations of its own, to our listener."""
    (port,) = free_ports(1)
    monkeypatch.setenv("CINEFARM_LISTEN_PORT", str(port))
    monkeypatch.setenv("CINEFARM_LISTEN_ADDRESS", "127.0.0.1")
    with archive(tmp_path / "target", DicomModalities={"CINEFARM": ["CINEFARM", "127.0.0.1", port]}) as made:
        yield made


def uri(archive: Orthanc) -> str:
    return f"dicom://ORTHANC@127.0.0.1:{archive.dicom_port}"


def test_thirty_studies_go_from_archive_to_archive_and_bucket_once(
    desk: Desk, source: Orthanc, target: Orthanc, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in s3.environment().items():
        monkeypatch.setenv(name, value)
    bucket = s3.bucket()
    query = f"{uri(source)}?StudyDate=20190101-20191231&PatientName=Doe*&ModalitiesInStudy=US"
    before = source.statistics()

    def run() -> tuple[dict[str, int], dict[str, int], list[str]]:
        run = desk.migrate("--to", f"s3://{bucket}/archive", "--profile", "primary", source=query, to=uri(target))
        assert run.code == 0, run.stderr
        assert run.summary["sources"] == [
            f"{uri(source)}?ModalitiesInStudy=US&PatientName=…&StudyDate=20190101-20191231"
        ]
        proofs = [
            one["proof"] for item in run.items.values() for one in item["deliveries"] if "dicom:" in one["destination"]
        ]
        assert len(proofs) == STUDIES
        assert all("committed" in proof for proof in proofs)
        objects = s3.client().list_objects(bucket, recursive=True)
        instances = sorted(str(one.etag) for one in objects if str(one.object_name).endswith(".dcm"))
        return run.summary["counts"], target.statistics(), instances

    counts, stored, instances = run()
    assert counts == {"done": STUDIES}
    assert (stored["CountStudies"], stored["CountInstances"], len(instances)) == (STUDIES, STUDIES, STUDIES)
    assert not [path for path in (desk.state / "objects" / "sources").rglob("*") if path.is_file()]
    assert run() == (counts, stored, instances)
    assert source.statistics() == before


def test_nothing_of_the_patient_is_in_a_log(desk: Desk, source: Orthanc) -> None:
    run = desk.migrate("--profile", "primary", source=f"{uri(source)}?PatientID=P-3")
    assert run.code == 0, run.stderr
    logs = b"".join(path.read_bytes() for path in (desk.state / "logs").iterdir())
    assert b"source_fetched" in logs
    assert b"P-3" not in logs
    assert b"Doe" not in logs
