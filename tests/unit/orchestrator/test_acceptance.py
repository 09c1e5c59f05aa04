"""What destinations take, as it is written and as it is asked."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from common.dicom.transfer_syntaxes import ROOT
from common.errors import PolicyError
from common.network.probe import Probed
from common.recipes import ARCHIVE
from orchestrator.accept_words import parse_acceptance
from orchestrator.acceptance import Acceptance, Destinations
from orchestrator.accepting import destinations_of, keep_probe
from orchestrator.jobs import JobRequest, submit
from orchestrator.ledger.database import Sessions
from orchestrator.ledger.schema import Job, now
from orchestrator.limits import Doors, Gate

PACS = "dicom://PACS@host:104"


def test_all_that_can_be_said_is_read() -> None:
    said = parse_acceptance(f"{PACS} syntaxes=.102,1.2.840.10008.1.2.4.107 containers=mp4 fragmentable=yes max=4GiB")
    assert said == Acceptance(
        destination=PACS,
        syntaxes=frozenset({f"{ROOT}.102", f"{ROOT}.107"}),
        containers=frozenset({"mp4"}),
        fragmentable=True,
        max_bytes=4 * 2**30,
    )


@pytest.mark.parametrize(
    "said",
    [
        "",
        "syntaxes=",
        "syntaxes=.50",
        "fragmentable=maybe",
        "max=much",
        "max=0",
        "colour=red",
        "max=1GB max=2GB",
        "containers=avi",
    ],
)
def test_what_is_not_understood_is_refused_with_an_example(said: str) -> None:
    with pytest.raises(PolicyError) as refused:
        parse_acceptance(f"{PACS} {said}")
    assert refused.value.hint


def test_an_archive_is_taken_to_refuse_fragmentable_twins_and_a_folder_to_take_all() -> None:
    assert Acceptance.of(PACS).refuses(f"{ROOT}.102.1").rule == "destination.fragments"
    assert Acceptance.of(PACS).refuses(f"{ROOT}.107") is None
    assert Acceptance.of("/out").refuses(f"{ROOT}.102.1") is None


def test_what_is_stated_takes_the_place_of_what_is_assumed() -> None:
    stated = Acceptance(destination=PACS, max_bytes=10)
    places = Destinations.of([PACS, "/out"], [stated])
    assert places.each[0] is stated
    assert places.smallest is stated


def test_one_destination_that_refuses_is_enough_and_is_named() -> None:
    places = Destinations((Acceptance(), Acceptance(destination=PACS, syntaxes={f"{ROOT}.100"})))
    assert places.refuses(f"{ROOT}.100") is None
    assert PACS in places.refuses(f"{ROOT}.102").why


def test_a_folder_with_spaces_in_its_name_is_one_destination(tmp_path: Path) -> None:
    assert parse_acceptance(f"{tmp_path}/my results max=1GB").destination == f"{tmp_path}/my results"


def test_what_is_stated_with_a_job_is_kept_and_asked_when_it_is_planned(ledger: Sessions, tmp_path: Path) -> None:
    stated = Acceptance(destination=PACS, syntaxes=frozenset({f"{ROOT}.107"}))
    request = JobRequest((str(tmp_path),), (PACS, "/out"), ARCHIVE, accepts=(stated,))
    submit(ledger, request)
    later = submit(ledger, JobRequest((str(tmp_path / "more"),), (PACS,), ARCHIVE))
    with ledger() as session:
        assert destinations_of(session, session.get_one(Job, later)).each == (stated,)


CLASS, TWIN, H264 = "1.2.840.10008.5.1.4.1.1.77.1.1.1", f"{ROOT}.102.1", f"{ROOT}.102"


def probed(*taken: str, refused: tuple[str, ...] = (), **services: bool) -> Probed:
    return Probed(
        destination=PACS,
        at=datetime(2026, 11, 1, tzinfo=UTC),
        services=services,
        taken=tuple((CLASS, uid) for uid in taken),
        refused=tuple((CLASS, uid) for uid in refused),
    )


def test_a_probe_closes_the_pairs_that_were_refused_and_no_others() -> None:
    known = Acceptance.of(PACS).learned(probed(f"{ROOT}.100", refused=(H264, TWIN)))
    assert known.refuses(H264, CLASS).rule == "destination.context"
    assert known.refuses(f"{ROOT}.100", CLASS) is None
    assert known.refuses(H264, "1.2.840.10008.5.1.4.1.1.3.1") is None


def test_a_probe_opens_the_fragmentable_twins_where_they_are_taken() -> None:
    assert Acceptance.of(PACS).learned(probed(H264, TWIN)).refuses(TWIN, CLASS) is None
    assert Acceptance.of(PACS).learned(probed(H264, refused=(TWIN,))).refuses(TWIN) is not None


def test_a_probe_that_found_no_commitment_ends_the_asking() -> None:
    assert Acceptance.of(PACS).learned(probed(commitment=False)).commitment == "no"
    assert Acceptance.of(PACS).learned(probed(commitment=True)).commitment == "unknown"
    assert Acceptance(commitment="yes").learned(probed(commitment=False)).commitment == "yes"


def test_what_is_stated_stands_before_what_a_probe_learned() -> None:
    stated = Acceptance(destination=PACS, syntaxes=frozenset({H264}))
    assert stated.learned(probed(refused=(H264,))).refuses(H264, CLASS) is None


def test_a_kept_probe_is_asked_when_a_job_is_planned(ledger: Sessions, tmp_path: Path) -> None:
    with ledger.begin() as session:
        keep_probe(session, probed(refused=(H264,)))
    job = submit(ledger, JobRequest((str(tmp_path),), (PACS,), ARCHIVE))
    with ledger() as session:
        assert destinations_of(session, session.get_one(Job, job)).refuses(H264, CLASS) is not None


def test_the_longest_pdu_that_was_stated_is_the_deliveries(ledger: Sessions, tmp_path: Path) -> None:
    stated = Acceptance(destination=PACS, pdu_bytes=65_536)
    job = submit(ledger, JobRequest((str(tmp_path),), (PACS, "dicom://OTHER@host:104"), ARCHIVE, accepts=(stated,)))
    with ledger.begin() as session:
        doors = Doors(session, Gate(now()))
        for place in session.get_one(Job, job).destinations:
            doors.take(place)
        assert [doors.share(place, 1).pdu_bytes for place in (PACS, "dicom://OTHER@host:104")] == [65_536, None]
