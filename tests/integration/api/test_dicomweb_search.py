"""QIDO-RS as a client of others asks it: studies, series, instances; by value, range, wildcard and list; page by page."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dicomweb_client.api import DICOMwebClient
from pydicom.dataset import Dataset
from support.postgres import PostgresServer, postgres  # noqa: F401 a fixture
from support.server import redis_server
from support.viewing import client_of, keep, video
from support.web_server import Served, serving

from common.logs import JsonLines
from common.settings import Settings

STREAM = b"\x00\x00\x00\x08ftyp"
CHILD_NAME = "Zoë^Kind"


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.peer("postgres"))])
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Three studies: one of two series and three instances, one of another year, one of another modality."""
    folder: Path = tmp_path_factory.mktemp("qido")
    ledger = ""
    if request.param == "postgresql":
        postgres: PostgresServer = request.getfixturevalue("postgres")
        ledger = postgres.new_database()
    with redis_server() as broker_url:
        known = Settings(broker_url=broker_url, ledger_url=ledger, state_dir=folder / "state")
        with serving(known) as server:
            fill(server)
            yield server


def fill(server: Served) -> None:
    for series, instance in (("1.2.3.1", "1.2.3.1.1"), ("1.2.3.1", "1.2.3.1.2"), ("1.2.3.2", "1.2.3.2.1")):
        keep(server, video(STREAM, series=series, instance=instance))
    old: dict[str, Any] = {"StudyDate": "20191231", "PatientName": CHILD_NAME, "PatientID": "P-2"}
    keep(server, video(STREAM, study="1.2.4", series="1.2.4.1", instance="1.2.4.1.1", **old))
    sound: dict[str, Any] = {"Modality": "US", "PatientID": "P-3", "StudyDescription": "Herz", "AccessionNumber": ""}
    keep(server, video(STREAM, study="1.2.5", series="1.2.5.1", instance="1.2.5.1.1", **sound))


@pytest.fixture
def client(served: Served) -> DICOMwebClient:
    return client_of(served)


def studies(client: DICOMwebClient, **asked: Any) -> list[str]:
    return [str(Dataset.from_json(each).StudyInstanceUID) for each in client.search_for_studies(**asked)]


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({}, ["1.2.3", "1.2.4", "1.2.5"]),
        ({"PatientID": "P-1"}, ["1.2.3"]),
        ({"00100020": "P-2"}, ["1.2.4"]),
        ({"PatientID": "P-*"}, ["1.2.3", "1.2.4", "1.2.5"]),
        ({"PatientID": "?-3"}, ["1.2.5"]),
        ({"PatientID": "p-1"}, []),
        ({"PatientName": "zoë*"}, ["1.2.4"]),
        ({"PatientName": "Müller^Änne"}, ["1.2.3", "1.2.5"]),
        ({"PatientName": "Müller"}, []),
        ({"StudyDate": "20240229"}, ["1.2.3", "1.2.5"]),
        ({"StudyDate": "20190101-20191231"}, ["1.2.4"]),
        ({"StudyDate": "-20200101"}, ["1.2.4"]),
        ({"StudyDate": "20200101-"}, ["1.2.3", "1.2.5"]),
        ({"StudyTime": "10-11"}, ["1.2.3", "1.2.4", "1.2.5"]),
        ({"ModalitiesInStudy": "US"}, ["1.2.5"]),
        ({"StudyInstanceUID": "1.2.5,1.2.4"}, ["1.2.4", "1.2.5"]),
        ({"AccessionNumber": "A-1", "PatientID": "P-2"}, ["1.2.4"]),
        ({"StudyDescription": "H*z"}, ["1.2.5"]),
        ({"PatientID": "%"}, []),
    ],
)
def test_studies_are_found(client: DICOMwebClient, filters: dict[str, str], found: list[str]) -> None:
    assert studies(client, search_filters=filters) == found


def test_a_study_says_what_it_holds(client: DICOMwebClient, served: Served) -> None:
    seen = Dataset.from_json(client.search_for_studies(search_filters={"StudyInstanceUID": "1.2.3"})[0])
    assert (seen.NumberOfStudyRelatedSeries, seen.NumberOfStudyRelatedInstances) == (2, 3)
    assert (seen.PatientName, seen.ModalitiesInStudy, seen.InstanceAvailability) == ("Müller^Änne", "ES", "ONLINE")
    plain = served.client.get("/dicomweb/studies?StudyInstanceUID=1.2.3").json()[
        0
    ]  # dicomweb-client's Host has no port
    assert plain["00081190"]["Value"] == [f"{served.url}/dicomweb/studies/1.2.3"]


def test_series_and_instances_of_a_study(client: DICOMwebClient) -> None:
    found = [Dataset.from_json(each) for each in client.search_for_series("1.2.3")]
    assert [(each.SeriesInstanceUID, each.NumberOfSeriesRelatedInstances) for each in found] == [
        ("1.2.3.1", 2),
        ("1.2.3.2", 1),
    ]
    assert "PatientName" not in found[0]  # of a study that is named the client knows it
    seen = [Dataset.from_json(each) for each in client.search_for_instances("1.2.3", "1.2.3.1")]
    assert [each.SOPInstanceUID for each in seen] == ["1.2.3.1.1", "1.2.3.1.2"]
    assert (seen[0].NumberOfFrames, seen[0].AvailableTransferSyntaxUID) == (50, "1.2.840.10008.1.2.4.102")


def test_instances_of_all_studies_tell_of_their_study(client: DICOMwebClient) -> None:
    seen = [Dataset.from_json(each) for each in client.search_for_instances(search_filters={"PatientID": "P-1"})]
    assert {str(each.PatientName) for each in seen} == {"Müller^Änne"}
    assert len(seen) == 3


def test_pages_together_are_the_whole_and_the_client_is_told_of_more(served: Served, client: DICOMwebClient) -> None:
    pages = [studies(client, limit=1, offset=offset) for offset in range(4)]
    assert pages == [["1.2.3"], ["1.2.4"], ["1.2.5"], []]
    first = served.client.get("/dicomweb/studies?limit=2")
    assert first.headers["warning"].startswith('299 cinefarm "There are more results')
    assert "warning" not in served.client.get("/dicomweb/studies?limit=3").headers


def test_pages_of_a_search_by_value(client: DICOMwebClient) -> None:
    asked = {"PatientID": "P-*", "PatientName": "*"}
    assert [studies(client, limit=1, offset=n, search_filters=asked) for n in range(3)] == [
        ["1.2.3"],
        ["1.2.4"],
        ["1.2.5"],
    ]


def test_nothing_found_is_no_content(served: Served) -> None:
    answer = served.client.get("/dicomweb/studies?PatientID=nobody")
    assert (answer.status_code, answer.content) == (204, b"")


def test_more_fields_are_given_where_they_are_asked_for(client: DICOMwebClient) -> None:
    seen = client.search_for_instances("1.2.5", fields=["BitsStored", "StudyDescription"])[0]
    assert (seen["00280101"]["Value"], seen["00081030"]["Value"]) == ([8], ["Herz"])
    everything = client.search_for_instances("1.2.5", fields=["all"])[0]
    assert everything["00100020"]["Value"] == ["P-3"]


def test_what_is_not_done_is_told(served: Served) -> None:
    answer = served.client.get("/dicomweb/studies?fuzzymatching=true&PatientName=zoe&BitsStored=8")
    assert "fuzzymatching" in answer.headers["warning"]
    assert "Not matched against: 00280101" in answer.headers["warning"]


@pytest.mark.parametrize(
    "query",
    [
        "StudyDate=yesterday",
        "limit=-1",
        "limit=x",
        "offset=1e3",
        "NoSuchWord=1",
        "StudyInstanceUID=abc",
        "fuzzymatching=maybe",
        "includefield=Nonsense",
        "PatientName=Doe%00^Jane",
        f"PatientName={'x' * 2000}",
        "&".join(["PatientID=1"] * 100),
    ],
)
def test_what_is_not_understood_is_refused(served: Served, query: str) -> None:
    answer = served.client.get(f"/dicomweb/studies?{query}")
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")


def test_a_client_that_takes_no_json_is_refused(served: Served) -> None:
    assert served.client.get("/dicomweb/studies", headers={"Accept": "application/dicom+xml"}).status_code == 406
    assert served.client.get("/dicomweb/studies?accept=application/json").headers["content-type"] == "application/json"


def test_a_new_result_is_found_by_what_it_says(served: Served, client: DICOMwebClient) -> None:
    values: dict[str, Any] = {"PatientID": "P-9"}
    keep(served, video(STREAM, study="1.2.9", series="1.2.9.1", instance="1.2.9.1.1", **values))
    assert studies(client, search_filters={"PatientID": "P-9"}) == ["1.2.9"]
    with served.farm.ledger.begin() as session:
        from orchestrator import viewable

        viewable.forget(session, ["results/aa/1.2.9.1.1/x/instance.dcm"])
    assert studies(client, search_filters={"PatientID": "P-9"}) == []


def test_no_name_reaches_the_log(served: Served) -> None:
    lines = Lines()
    root = logging.getLogger()
    root.addHandler(lines)  # as our processes write their log; caplog listens to what they silence, too
    try:
        for query in ("PatientName=Secret*", "PatientName=Secret%00", "StudyDate=Secret", "limit=Secret", "Secret=1"):
            served.client.get(f"/dicomweb/studies?{query}")
        served.farm.store.delete("results/aa/1.2.5.1.1/x/instance.dcm")
        served.client.get("/dicomweb/studies/1.2.5/series/1.2.5.1/instances/1.2.5.1.1/rendered?accept=Secret")
        logging.getLogger("a.logger").warning("seen")
    finally:
        root.removeHandler(lines)
    assert [line for line in lines.seen if "Secret" in line] == []
    assert "seen" in lines.seen[-1]


class Lines(logging.Handler):
    """What our log would hold, the test's own client left out."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if not record.name.startswith(("httpx", "httpcore")):
            self.seen.append(JsonLines().format(record))
