"""Audit records leave the ledger: as JSON lines, as DICOM audit messages by syslog over TLS, and by retention."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from lxml import etree
from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.exc import DBAPIError
from support.certificates import authority
from support.collector import collector
from support.owner import as_owner

from common.errors import ConflictingRequest, EnvironmentFault, PolicyError
from common.settings import Settings
from orchestrator.ledger.database import Sessions
from orchestrator.ledger.decisions import What, decided
from orchestrator.ledger.events import Happened, Outcome, happened
from orchestrator.ledger.schema import Delivery, Event, Exported, Seal, StateChange, now
from orchestrator.trust.exporting import collector_of, dicom_lines, export, json_lines
from orchestrator.trust.pruning import prune
from orchestrator.trust.sealing import seal
from orchestrator.trust.syslog import framed
from orchestrator.trust.verifying import verify

SCHEMA = etree.RelaxNG(etree.parse(Path(__file__).parents[1] / "golden" / "dicom-audit-message.rng"))
STUDY, VIDEO = "1.2.3.4", "1.2.840.10008.5.1.4.1.1.77.1.1.1"


@pytest.fixture
def told(ledger: Sessions, add_item: Callable[..., str]) -> Sessions:
    """One of everything: a delivery that arrives, one that fails, decisions, and every kind of event; sealed."""
    item = add_item(study_uid=STUDY, result={"sop_class_uid": VIDEO, "instance_bytes": 1})
    with ledger.begin() as session:
        for place in ("dicom://PACS@pacs.example:104", "/out"):
            session.add(Delivery(item_id=item, job_id="job", destination=place))
    with ledger.begin() as session:
        for delivery in session.scalars(select(Delivery).order_by(Delivery.id)):
            delivery.state = "out"
    with ledger.begin() as session:
        first, second = session.scalars(select(Delivery).order_by(Delivery.id))
        first.state, second.state = "delivered", "failed"
        decided(session, What.ACCEPTED, by="anna", job_id="job", item_id=item, why="seen")
        decided(session, What.PAUSED, by="anna", job_id="job")
        for what in Happened:
            happened(session, what, by="anna <&\x01>", origin="10.0.0.7", code="NoToken", route="/api/v1/jobs/{job}")
        happened(session, Happened.DENIED, by="", origin="host", outcome=Outcome.REFUSED, code="NotAllowed", route="/r")
    seal(ledger)
    return ledger


def test_every_record_is_a_line_of_json_whose_bytes_are_those_that_are_sealed(told: Sessions) -> None:
    lines = list(json_lines(told))
    assert [json.loads(line)[""] for line in lines].count("audit") == 4
    audit = b"".join(line for line in lines if json.loads(line)[""] == "audit")
    with told() as session:
        assert session.scalar(select(Seal.digest).where(Seal.covers == "audit")) == hashlib.sha256(audit).hexdigest()


def test_audit_messages_are_what_the_schema_of_the_standard_takes(told: Sessions) -> None:
    trees = [etree.fromstring(message) for message in dicom_lines(told, "farm")]
    for tree in trees:
        SCHEMA.assertValid(tree)
    events = [tree.find("EventIdentification/EventID").get("csd-code") for tree in trees]
    # transfers: two begin, one arrives, one fails; a decision on an item; events but for calls, which decisions tell of
    assert events[:5] == ["110102", "110102", "110104", "110104", "110103"]
    assert len(events) == 5 + len(Happened)
    transferred = trees[2]
    assert transferred.find("ActiveParticipant[2]").get("UserID") == "dicom://PACS@pacs.example:104"
    assert transferred.find("ParticipantObjectIdentification").get("ParticipantObjectID") == STUDY
    assert transferred.find(".//SOPClass").get("UID") == VIDEO
    assert [tree.find("EventIdentification").get("EventOutcomeIndicator") for tree in trees[2:4]] == ["0", "8"]


def test_the_schema_refuses_what_is_no_audit_message(told: Sessions) -> None:
    """The judge judges: without it the test above could not fail."""
    tree = etree.fromstring(next(dicom_lines(told, "farm")))
    tree.find("EventIdentification").set("EventActionCode", "X")
    assert not SCHEMA.validate(tree)


def settings_for(url: str, ca: Path, client: Path | None = None) -> Settings:
    key = client.with_suffix(".key") if client else None
    files = {"audit_syslog_ca_file": ca, "audit_syslog_cert_file": client, "audit_syslog_key_file": key}
    return Settings.model_validate({"audit_syslog_url": url, **files})


def sent(ledger: Sessions, settings: Settings) -> int:
    where = collector_of(settings)
    assert where is not None
    return export(ledger, where, url=settings.audit_syslog_url, source="farm")


def test_a_collector_gets_each_message_once_by_syslog_over_tls(told: Sessions, tmp_path: Path) -> None:
    ca = authority(tmp_path)
    with collector(ca.sign("collector", "127.0.0.1"), ca.certificate) as there:
        settings = settings_for(there.url, ca.certificate, ca.sign("farm"))
        assert sent(told, settings) == 5 + len(Happened)
        assert sent(told, settings) == 0
        header = re.compile(
            rb"<85>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z farm cinefarm \d+ DICOM\+RFC3881 - \xef\xbb\xbf<\?xml"
        )
        assert all(header.match(message) for message in there.messages)
        for message in there.messages:
            SCHEMA.assertValid(etree.fromstring(message.partition(b"\xef\xbb\xbf")[2]))
        with told.begin() as session:
            happened(session, Happened.SIGNED_IN, by="ben")
        assert sent(told, settings) == 0  # what is not sealed may still change places
        seal(told)
        assert sent(told, settings) == 1


def test_what_a_collector_did_not_read_is_sent_again(told: Sessions, tmp_path: Path) -> None:
    ca = authority(tmp_path)
    with collector(ca.sign("collector", "127.0.0.1"), rude=1) as there:
        settings = settings_for(there.url, ca.certificate)
        with pytest.raises(EnvironmentFault, match="took nothing"):
            sent(told, settings)
        assert sent(told, settings) == 5 + len(Happened)
        assert len(there.messages) == 5 + len(Happened)


def test_a_collector_that_is_somebody_else_gets_nothing(told: Sessions, tmp_path: Path) -> None:
    ours, theirs = authority(tmp_path), authority(tmp_path, "other")
    with collector(theirs.sign("impostor", "127.0.0.1")) as there:
        with pytest.raises(EnvironmentFault, match="took nothing"):
            sent(told, settings_for(there.url, ours.certificate))
        assert there.messages == []
    with told() as session:
        assert session.scalar(select(func.count()).select_from(Exported)) == 0


@pytest.mark.parametrize(
    "url", ["tcp://host", "syslog://host", "syslog+tls://", "syslog+tls://h:x", "syslog+tls://u@h"]
)
def test_a_collector_that_is_not_understood_is_refused(url: str) -> None:
    with pytest.raises(PolicyError, match="not understood"):
        collector_of(Settings(audit_syslog_url=url))


def test_a_frame_says_how_long_it_is_in_bytes() -> None:
    frame = framed("ä".encode(), name="häuser-1", at=datetime(2026, 1, 2, 3, 4, 5, 6000, tzinfo=UTC))
    length, _, rest = frame.partition(b" ")
    assert int(length) == len(rest)
    assert rest.startswith(b"<85>1 2026-01-02T03:04:05.006Z huser-1 cinefarm ")


# retention

TOMORROW = timedelta(days=1)


@pytest.fixture
def old(ledger: Sessions) -> Sessions:
    """Three sealed ranges of changes."""
    row = {"job_id": "job", "item_id": "i", "before": "found", "after": "described", "order_id": ""}
    for _ in range(3):
        with ledger.begin() as session:
            session.execute(insert(StateChange), [dict(row) for _ in range(4)])
        seal(ledger)
    return ledger


def test_old_records_go_into_files_and_the_chain_still_holds(old: Sessions, tmp_path: Path) -> None:
    assert prune(old, now() + TOMORROW, tmp_path / "kept") == 8  # the newest range stays
    with old() as session:
        assert session.scalars(select(StateChange.id).order_by(StateChange.id)).all() == [9, 10, 11, 12]
        assert session.scalars(select(Event.what)).all() == ["pruned"]
        digests = {seal.first_id: seal.digest for seal in session.scalars(select(Seal).where(Seal.kind == "rows"))}
    for path in (tmp_path / "kept").iterdir():
        first = int(path.name.split("-")[1])
        assert hashlib.sha256(path.read_bytes()).hexdigest() == digests[first]
    seal(old)
    findings = verify(old)
    assert (findings.intact, findings.pruned["audit"], findings.rows["audit"]) == (True, 8, 4)
    assert prune(old, now() + TOMORROW, tmp_path / "kept") == 0


def test_what_is_young_or_not_exported_stays(old: Sessions, tmp_path: Path) -> None:
    assert prune(old, now() - TOMORROW, tmp_path) == 0
    assert prune(old, now() + TOMORROW, tmp_path, collector="syslog+tls://host") == 0
    with old.begin() as session:
        session.add(Exported(collector="syslog+tls://host", covers="audit", last_id=4))
    assert prune(old, now() + TOMORROW, tmp_path, collector="syslog+tls://host") == 4


def test_rows_that_were_tampered_with_are_not_pruned(old: Sessions, tmp_path: Path) -> None:
    as_owner(old, "audit", update(StateChange).where(StateChange.id == 2).values(after="done"))
    with pytest.raises(ConflictingRequest, match="not those that were sealed"):
        prune(old, now() + TOMORROW, tmp_path / "kept")
    assert list((tmp_path / "kept").iterdir()) == []


def test_nothing_else_can_be_deleted(old: Sessions, tmp_path: Path) -> None:
    prune(old, now() + TOMORROW, tmp_path)
    with pytest.raises(DBAPIError, match="append-only"), old.begin() as session:
        session.execute(delete(StateChange).where(StateChange.id == 9))
