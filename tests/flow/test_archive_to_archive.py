"""A job pulls studies by query from one archive and stores what becomes of them in another; run twice, nothing is stored twice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support import studies
from support.desk import Desk
from support.orthanc import Orthanc, serve
from support.s3 import free_ports

pytestmark = [pytest.mark.farm, pytest.mark.peer("Orthanc")]

STUDIES = 30
OPEN = {"DicomAlwaysAllowFind": True, "DicomAlwaysAllowGet": True}


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Orthanc]:
    """30 studies of ultrasound, each with a loop, a still and a report, that gives no more than seven answers at a time."""
    with archive(tmp_path / "source", LimitFindResults=7, **OPEN) as made:
        for number in range(STUDIES):
            made.put(studies.loop(number))
        made.put(studies.still(0, 1))
        made.put(studies.report(0))
        yield made


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Orthanc]:
    with archive(tmp_path / "target") as made:
        yield made


@contextmanager
def archive(folder: Path, **options: object) -> Iterator[Orthanc]:
    folder.mkdir()
    with serve(folder, *free_ports(2), **options) as made:
        yield made


def uri(archive: Orthanc) -> str:
    return f"dicom://ORTHANC@127.0.0.1:{archive.dicom_port}"


def test_thirty_studies_go_from_archive_to_archive_once(desk: Desk, source: Orthanc, target: Orthanc) -> None:
    query = f"{uri(source)}?StudyDate=20190101-20191231&ModalitiesInStudy=US"
    run = desk.migrate("--to", uri(target), "--profile", "primary", source=query)
    assert run.code == 0, run.stderr
    assert run.summary["counts"] == {"done": STUDIES}
    assert source.statistics()["CountStudies"] == target.statistics()["CountStudies"] == STUDIES
    assert target.statistics()["CountInstances"] == STUDIES
    assert not list((desk.state / "objects" / "sources").rglob("*"))
    again = desk.migrate("--to", uri(target), "--profile", "primary", source=query)
    assert again.code == 0, again.stderr
    assert again.summary["counts"] == {"done": STUDIES}
    assert target.statistics()["CountInstances"] == STUDIES
