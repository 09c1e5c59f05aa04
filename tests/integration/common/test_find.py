"""C-FIND: what real archives answer, and what their limits on answers make of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset
from pynetdicom import AE, evt
from support import dcmqrscp, orthanc, studies
from support.s3 import free_ports

from common.destinations import DicomDestination
from common.errors import CinefarmError, DestinationRefused, DestinationUnavailable, LeaseLost
from common.network import halving
from common.network.association import Caller, Timeouts
from common.network.find import PATIENT_ROOT, STUDY_ROOT, ArchiveFinder
from common.network.query import FoundInstance, Query

COUNT = 12
EVERYTHING = [studies.study_uid(number) for number in range(COUNT)]
CALLER = Caller("CINEFARM", 0, Timeouts(answer=20))


def content() -> list[bytes]:
    return [*(studies.loop(number) for number in range(COUNT)), studies.still(0, 1), studies.report(0)]


def finder(port: int, aet: str = "ORTHANC", **options: Any) -> ArchiveFinder:
    return ArchiveFinder(DicomDestination(aet, "127.0.0.1", port), CALLER, **options)


def found(port: int, query: str, aet: str = "ORTHANC", **options: Any) -> list[str]:
    with finder(port, aet, **options) as asking:
        return [study.study_uid for study in asking.studies(Query.parse(query))]


@contextmanager
def filled_orthanc(folder: Path, **options: object) -> Iterator[int]:
    with orthanc.serve(folder, *free_ports(2), DicomAlwaysAllowFind=True, **options) as archive:
        for instance in content():
            archive.put(instance)
        yield archive.dicom_port


@pytest.fixture(scope="module")
def generous(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with filled_orthanc(tmp_path_factory.mktemp("generous")) as port:
        yield port


@pytest.fixture(scope="module")
def capped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Orthanc 1.10 ends a capped answer with FE00; by ModalitiesInStudy it stops short of the cap and says success."""
    with filled_orthanc(tmp_path_factory.mktemp("capped"), LimitFindResults=3) as port:
        yield port


@pytest.fixture(scope="module")
def dcmtk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with dcmqrscp.serve(tmp_path_factory.mktemp("dcmtk"), content()) as port:
        yield port


@pytest.mark.peer("Orthanc")
@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("", range(COUNT)),
        ("StudyDate=20190103-20190105", (2, 3, 4)),
        ("StudyDate=20190103-", range(2, COUNT)),
        ("PatientID=P-7", (7,)),
        ("PatientName=Doe*&StudyDate=20190101", (0,)),
        ("AccessionNumber=A-1", (1,)),
        ("ModalitiesInStudy=SR", (0,)),
        ("ModalitiesInStudy=XA", ()),
    ],
)
def test_studies_match_the_keys(generous: int, query: str, numbers: tuple[int, ...]) -> None:
    assert sorted(found(generous, query)) == sorted(studies.study_uid(number) for number in numbers)


@pytest.mark.peer("Orthanc")
def test_instances_come_with_class_and_frames(generous: int) -> None:
    uid = studies.study_uid(0)
    with finder(generous) as asking:
        rows = {series.modality: series for series in asking.series(uid, Query.parse("SeriesNumber=1"))}
        assert [series.instances for series in rows.values()] == [1]
        assert list(asking.instances(uid, rows["US"].series_uid)) == [
            FoundInstance(uid, f"{uid}.1", f"{uid}.1.1", "1.2.840.10008.5.1.4.1.1.3.1", 3)
        ]


@pytest.mark.peer("Orthanc")
@pytest.mark.parametrize("query", ["", "ModalitiesInStudy=US", "StudyDate=20190101-20191231", "PatientName=D*"])
def test_an_archive_that_cuts_its_answers_short_is_asked_until_all_is_there(capped: int, query: str) -> None:
    assert sorted(found(capped, query)) == sorted(EVERYTHING)


@pytest.mark.peer("dcmqrscp", "dcmqridx")
@pytest.mark.parametrize(("query", "count"), [("", COUNT), ("StudyDate=20190102-20190105", 4), ("PatientID=P-3", 1)])
def test_dcmtk_answers(dcmtk: int, query: str, count: int) -> None:
    assert len(found(dcmtk, query, dcmqrscp.AET)) == count


@pytest.mark.peer("Orthanc")
def test_an_archive_that_does_not_let_us_ask_is_named_with_advice(tmp_path: Path) -> None:
    with orthanc.serve(tmp_path, *free_ports(2)) as archive, pytest.raises(DestinationUnavailable) as error:
        found(archive.dicom_port, "")
    assert "AE title" in error.value.hint


@contextmanager
def scripted(answers: Callable[[evt.Event], Iterator[tuple[int, Dataset | None]]], *models: str) -> Iterator[int]:
    """An archive of our own that answers C-FIND as told."""
    entity = AE("ORTHANC")
    for model in models or (STUDY_ROOT,):
        entity.add_supported_context(model)
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_FIND, answers)])
    try:
        yield server.socket.getsockname()[1]
    finally:
        server.shutdown()


def study(number: int, day: str = "20190101") -> Dataset:
    made = Dataset()
    made.QueryRetrieveLevel, made.StudyInstanceUID = "STUDY", studies.study_uid(number)
    made.StudyDate, made.StudyTime = day, f"0800{number:02}"
    return made


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (0xA700, DestinationUnavailable, "out of resources"),
        (0xA900, DestinationRefused, "does not belong to its information model"),
        (0xC001, DestinationRefused, "unable to process"),
        (0x0122, DestinationRefused, "does not support"),
        (0x0110, DestinationUnavailable, "failed while it searched"),
    ],
)
def test_failures_are_told_in_words(status: int, kind: type[CinefarmError], words: str) -> None:
    def fail(_event: evt.Event) -> Iterator[tuple[int, None]]:
        yield status, None

    with scripted(fail) as port, pytest.raises(kind, match=words):
        found(port, "StudyDate=20190101&StudyTime=080000")


def test_what_is_more_than_we_hold_is_cancelled_and_asked_in_halves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(halving, "MOST_ANSWERS", 5)
    cancelled = threading.Event()

    def many(event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        asked = event.identifier.get("StudyTime") or ""
        for number in range(20):
            if number == 10 and not asked and was_cancelled(event):
                cancelled.set()
                yield 0xFE00, None
                return
            if halving_span(asked, study(number).StudyTime):
                yield 0xFF00, study(number)

    with scripted(many) as port:
        assert sorted(found(port, "StudyDate=20190101")) == sorted(studies.study_uid(n) for n in range(20))
    assert cancelled.is_set()


def was_cancelled(event: evt.Event) -> bool:
    """Whether C-CANCEL comes; pynetdicom says so once."""
    end = time.monotonic() + 10
    while not event.is_cancelled:
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def halving_span(asked: str, value: str) -> bool:
    low, _, high = asked.partition("-")
    return not asked or low <= value <= (high or "9")


def test_a_known_cap_is_believed() -> None:
    def three(event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        asked = event.identifier.get("StudyDate") or ""
        matching = [n for n in range(1, 10) if halving_span(asked, f"2019010{n}")]
        for number in matching[:3]:
            yield 0xFF00, study(number, f"2019010{number}")

    with scripted(three) as port:
        assert len(found(port, "StudyDate=20190101-20190131", cap=3)) == 9


def test_an_archive_that_knows_only_the_patient_root_is_asked_by_patient() -> None:
    def by_patient(event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        asked = event.identifier
        if asked.QueryRetrieveLevel == "PATIENT":
            for name in ("P-1", "P-2"):
                patient = Dataset()
                patient.PatientID = name
                yield 0xFF00, patient
        elif asked.QueryRetrieveLevel == "STUDY":
            yield 0xFF00, study(int(asked.PatientID[-1]))
        else:
            series = Dataset()
            series.SeriesInstanceUID, series.Modality = f"{asked.StudyInstanceUID}.{asked.PatientID[-1]}", "US"
            yield 0xFF00, series

    with scripted(by_patient, PATIENT_ROOT) as port, finder(port) as asking:
        uids = [(one.study_uid, [each.series_uid for each in asking.series(one.study_uid)]) for one in asking.studies()]
    assert uids == [(studies.study_uid(n), [f"{studies.study_uid(n)}.{n}"]) for n in (1, 2)]


@pytest.mark.parametrize(("name", "repertoire"), [("Doe", None), ("Müller", "ISO_IR 100"), ("山田", "ISO_IR 192")])
def test_the_question_says_its_character_set(name: str, repertoire: str | None) -> None:
    seen: list[tuple[str | None, str]] = []

    def note(event: evt.Event) -> Iterator[tuple[int, None]]:
        seen.append((event.identifier.get("SpecificCharacterSet"), str(event.identifier.PatientName)))
        yield 0x0000, None

    with scripted(note) as port:
        found(port, f"PatientName={name}")
    assert seen == [(repertoire, name)]


def test_a_search_that_is_to_end_ends() -> None:
    def stop() -> None:
        raise LeaseLost("stop")

    def many(_event: evt.Event) -> Iterator[tuple[int, Dataset]]:
        for number in range(50):
            yield 0xFF00, study(number)

    with scripted(many) as port, pytest.raises(LeaseLost):
        found(port, "", check=stop)
