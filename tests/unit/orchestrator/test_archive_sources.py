"""A source that is a query: read in one spelling, shown without what points at a patient, listed study by study."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from common.dicom.sop_classes import ULTRASOUND_MULTIFRAME, VIDEO_ENDOSCOPIC
from common.errors import DestinationRefused, PolicyError
from common.network.query import EVERYTHING, FoundInstance, FoundSeries, FoundStudy, Query
from orchestrator.ingest.archive import ArchiveSource, listed
from orchestrator.ingest.asked import Asked
from orchestrator.ingest.found import Found, Scope
from orchestrator.ingest.sources import parse_source, shown

PLACE = "dicom://PACS@host:104"
STILL, REPORT, CT = "1.2.840.10008.5.1.4.1.1.6.1", "1.2.840.10008.5.1.4.1.1.88.11", "1.2.840.10008.5.1.4.1.1.2"
ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.1"


def test_the_same_query_has_one_spelling() -> None:
    one = parse_source("DICOM://PACS@host:104?ModalitiesInStudy=ES&StudyDate=20190101-20191231&.retrieve=get")
    assert one.uri == f"{PLACE}?ModalitiesInStudy=ES&StudyDate=20190101-20191231"
    assert parse_source(one.uri) == one


def test_options_are_kept() -> None:
    uri = f"{PLACE}?StudyDate=20190101&.retrieve=move&.cap=500&.take=frames"
    assert parse_source(uri).uri == uri


def test_a_patient_is_not_shown() -> None:
    uri = parse_source(f"{PLACE}?PatientName=Doe%5EJane&PatientID=P-1&AccessionNumber=7&StudyDate=20190101").uri
    assert "Doe%5EJane" in uri
    assert shown(uri) == f"{PLACE}?AccessionNumber=…&PatientID=…&PatientName=…&StudyDate=20190101"
    assert "Doe" not in repr(ArchiveSource.parse(uri))


def test_a_file_holds_what_must_not_be_an_argument(tmp_path: Path) -> None:
    (tmp_path / "query.txt").write_text("# one patient\nPatientName=Doe^Jane & Co\n\n.cap = 100\n")
    asked = Asked.parse(f"@{tmp_path}/query.txt")
    assert (dict(asked.query.keys), asked.cap) == ({"PatientName": "Doe^Jane & Co"}, 100)
    assert Asked.parse(asked.text()) == asked


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("Patient=1", "no key"),
        ("StudyDate=2019", "StudyDate"),
        ("StudyDate=20190101&StudyDate=20190102", "twice"),
        ("PatientID=", "no value"),
        (".take=some", "wrong value"),
        (".cap=0", "wrong value"),
        (".retrieve=web", "dicomweb"),
        (".speed=1", "not known"),
        ("@/nowhere/query.txt", "cannot be read"),
    ],
)
def test_a_question_that_is_not_understood_is_refused_with_advice(question: str, words: str) -> None:
    with pytest.raises(PolicyError, match=words) as refused:
        parse_source(f"{PLACE}?{question}")
    assert refused.value.hint


@dataclass
class Shelf:
    """A Finder over rows: study → series → instances."""

    rows: dict[str, dict[FoundSeries, list[FoundInstance]]]
    broken: set[str] = field(default_factory=set)

    def studies(self, query: Query = EVERYTHING) -> Iterator[FoundStudy]:
        yield from map(FoundStudy, self.rows)

    def series(self, study_uid: str, query: Query = EVERYTHING) -> Iterator[FoundSeries]:
        if study_uid in self.broken:
            raise DestinationRefused("too many")
        yield from self.rows[study_uid]

    def instances(self, study_uid: str, series_uid: str, query: Query = EVERYTHING) -> Iterator[FoundInstance]:
        yield from next(found for series, found in self.rows[study_uid].items() if series.series_uid == series_uid)


def shelf(*instances: tuple[str, int | None], modality: str = "US", counted: int | None = None) -> Shelf:
    rows = [FoundInstance("1.2", "1.2.3", f"1.2.3.{n}", uid, frames) for n, (uid, frames) in enumerate(instances)]
    return Shelf({"1.2": {FoundSeries("1.2", "1.2.3", modality, counted): rows}})


def listing(finder: Shelf, question: str = "") -> tuple[list[Found], dict[str, int]]:
    scope = Scope()
    return list(listed(finder, Asked.parse(question), PLACE, scope)), dict(scope.ignored)


def test_an_instance_is_named_by_its_uids_and_says_how_it_is_fetched() -> None:
    (found,), _ = listing(shelf((ULTRASOUND_MULTIFRAME, 30)), ".retrieve=move")
    assert (found.relative, found.place) == ("1.2/1.2.3/1.2.3.0", f"{PLACE}/1.2/1.2.3/1.2.3.0")
    assert found.retrieval is not None
    assert (found.retrieval.place, found.retrieval.method) == (PLACE, "move")
    assert found.note == "Ultrasound Multi-frame Image Storage; modality US; 30 frames"


@pytest.mark.parametrize(
    ("sop_class", "frames", "question", "taken"),
    [
        (ULTRASOUND_MULTIFRAME, 30, "", True),
        (ULTRASOUND_MULTIFRAME, None, "", True),
        (ULTRASOUND_MULTIFRAME, 1, "", False),
        (VIDEO_ENDOSCOPIC, 1, "", True),
        (STILL, None, "", False),
        (STILL, 12, "", True),
        (STILL, None, ".take=frames", True),
        (CT, None, "", False),
        (ENHANCED_CT, 200, "", False),
        (ENHANCED_CT, 200, ".take=frames", True),
        (CT, 1, ".take=all", True),
        (CT, 1, f"SOPClassUID={CT}", True),
        ("", None, "", True),
    ],
)
def test_what_cannot_hold_video_is_passed_over(sop_class: str, frames: int | None, question: str, taken: bool) -> None:
    found, ignored = listing(shelf((sop_class, frames)), question)
    assert (len(found), sum(ignored.values())) == ((1, 0) if taken else (0, 1))


def test_a_series_without_pictures_is_not_even_listed() -> None:
    found, ignored = listing(shelf((REPORT, None), modality="SR", counted=4))
    assert not found
    assert ignored == {"in series of modality SR, which hold no pictures": 4}


def test_a_study_that_the_archive_will_not_list_is_a_problem_of_its_own() -> None:
    finder = shelf((ULTRASOUND_MULTIFRAME, 3))
    finder.rows["1.3"] = {}
    finder.broken = {"1.3"}
    found, _ = listing(finder)
    assert [(one.relative, one.problem is not None) for one in found] == [("1.2/1.2.3/1.2.3.0", False), ("1.3/", True)]


def test_a_series_that_is_listed_in_part_is_a_problem() -> None:
    found, _ = listing(shelf((ULTRASOUND_MULTIFRAME, 3), counted=2))
    assert [one.problem.message for one in found if one.problem] == [
        "the archive counts 2 instances in this series and lists 1"
    ]


def test_a_uid_that_is_none_gets_into_no_name() -> None:
    finder = Shelf({"Doe^Jane": {}})
    (found,), _ = listing(finder)
    assert found.problem is not None
    assert "Doe" not in f"{found.relative}{found.place}{found.problem}"
