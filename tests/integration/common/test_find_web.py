"""QIDO-RS as a Finder: servers that give pages, caps said and unsaid, and a real Orthanc."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from support import studies
from support.orthanc import WEB, serve
from support.web_archive import WebArchive, web_archive

from common.destinations import WebDestination
from common.errors import DestinationRefused, DestinationUnavailable
from common.network.find_web import WebFinder
from common.network.query import Query
from common.network.web import WebPeer
from common.settings import Settings

MANY = 120


@pytest.fixture
def archive() -> Iterator[WebArchive]:
    with web_archive() as archive:
        for study in range(1, MANY + 1):
            archive.stored[f"{studies.study_uid(study)}.1.1"] = studies.loop(study)
        yield archive


def finder(archive: WebArchive) -> WebFinder:
    server = WebDestination(f"http://127.0.0.1:{archive.port}/rs")
    return WebFinder(WebPeer(server, Settings(), sleep=lambda _: None))


def uids(finder: WebFinder, **keys: str) -> list[str]:
    with finder:
        found = [study.study_uid for study in finder.studies(Query.of(keys.items()))]
    assert len(found) == len(set(found))
    return found


def test_all_pages_are_read(archive: WebArchive) -> None:
    archive.most = 50
    assert len(uids(finder(archive))) == MANY


@pytest.mark.parametrize("warns", [True, False])
def test_a_server_that_knows_no_offset_is_asked_in_halves_of_the_span(archive: WebArchive, warns: bool) -> None:
    archive.most, archive.knows_offset, archive.warns = 100, False, warns
    assert len(uids(finder(archive), StudyDate="20190101-20191231")) == MANY


def test_a_range_of_dates_is_the_server_s_to_match(archive: WebArchive) -> None:
    assert uids(finder(archive), StudyDate="20190103-20190105") == [studies.study_uid(day) for day in (2, 3, 4)]


def test_below_a_study_are_series_and_instances_with_their_class_and_frames(archive: WebArchive) -> None:
    with finder(archive) as ask:
        (series,) = ask.series(studies.study_uid(7))
        (instance,) = ask.instances(series.study_uid, series.series_uid)
    assert (series.modality, instance.frames) == ("US", 3)
    assert instance.sop_instance_uid == f"{studies.study_uid(7)}.1.1"
    assert instance.sop_class_uid


def test_a_path_that_is_no_service_is_no_empty_archive(archive: WebArchive) -> None:
    archive.script("QIDO", lambda request: request.answer(404, b"<html>", "text/html"))
    with pytest.raises(DestinationRefused, match="404"):
        uids(finder(archive))


def test_a_web_page_in_place_of_an_answer_is_refused(archive: WebArchive) -> None:
    archive.script("QIDO", lambda request: request.answer(200, b"<html>log in", "text/html"))
    with pytest.raises(DestinationRefused, match="no DICOM JSON"):
        uids(finder(archive))


def test_an_outage_in_a_moment_is_waited_out_and_a_long_one_is_not(archive: WebArchive) -> None:
    archive.script("QIDO", lambda request: request.answer(502), lambda request: request.hang_up())
    assert len(uids(finder(archive))) == MANY
    archive.script("QIDO", *[lambda request: request.answer(502)] * 3)
    with pytest.raises(DestinationUnavailable, match="502"):
        uids(finder(archive))


@pytest.mark.peer("Orthanc")
@pytest.mark.skipif(not Path(str(WEB["Plugins"][0])).exists(), reason="orthanc-dicomweb is not installed")  # type: ignore[index]
def test_orthanc_is_asked_until_it_has_said_all(tmp_path: Path) -> None:
    ports = []
    for _ in range(2):
        with socket.create_server(("127.0.0.1", 0)) as probe:
            ports.append(probe.getsockname()[1])
    with serve(tmp_path, *ports, password="farm:secret", **WEB) as orthanc:
        for study in range(1, 11):
            orthanc.put(studies.loop(study))
        orthanc.put(studies.still(3, 1))
        server = WebDestination(orthanc.web_uri.removeprefix("dicomweb+"))
        peer = WebPeer(server, Settings(dicomweb_basic_auth=SecretStr("farm:secret")))
        with WebFinder(peer, page=4) as ask:
            found = list(ask.studies(Query.parse("StudyDate=20190102-20190109&ModalitiesInStudy=US")))
            assert len(found) == 8
            assert {study.modalities for study in found} == {("US",)}
            series = list(ask.series(studies.study_uid(3)))
            assert len(series) == 2
            instances = [one for each in series for one in ask.instances(each.study_uid, each.series_uid)]
            assert sorted(one.frames or 0 for one in instances) == [0, 3]
