"""The chain of seals, on both ledgers: what is intact passes; a row that is changed, removed, added or moved is named."""

from __future__ import annotations

import threading

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.exc import DBAPIError
from support.owner import as_owner

from orchestrator.ledger.database import Sessions
from orchestrator.ledger.decisions import What, decided
from orchestrator.ledger.events import Happened, happened
from orchestrator.ledger.schema import Decision, Seal, StateChange
from orchestrator.trust.keys import Signer
from orchestrator.trust.sealing import TABLES, seal
from orchestrator.trust.verifying import Fault, Findings, verify

SIGNER = Signer(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))


def write(ledger: Sessions, count: int, **other: str) -> None:
    row = {"job_id": "job", "item_id": "i", "before": "found", "after": "described", "order_id": ""} | other
    with ledger.begin() as session:
        session.execute(insert(StateChange), [dict(row) for _ in range(count)])


@pytest.fixture
def sealed(ledger: Sessions) -> Sessions:
    """Ten changes in three ranges, a decision and an event, signed."""
    write(ledger, 10)
    with ledger.begin() as session:
        decided(session, What.PAUSED, by="anna", job_id="job", why="ä reason", stop_running=True)
        happened(session, Happened.SIGNED_IN, by="anna", origin="10.0.0.7")
    assert seal(ledger, SIGNER, size=4) == 12
    return ledger


def checked(ledger: Sessions, **how: object) -> tuple[Findings, list[Fault]]:
    faults: list[Fault] = []
    return verify(ledger, told=faults.append, **how), faults  # type: ignore[arg-type]


def test_what_nobody_touched_is_intact(sealed: Sessions) -> None:
    findings, faults = checked(sealed, keys=(SIGNER.public,))
    assert faults == []
    assert findings.rows == {"audit": 10, "decisions": 1, "events": 1}
    assert (findings.seals, findings.signed) == (5, 5)
    assert findings.unsealed.total() == 0


def test_rows_since_the_last_seal_are_counted_not_proven(sealed: Sessions) -> None:
    write(sealed, 3)
    findings, faults = checked(sealed)
    assert (findings.unsealed["audit"], faults) == (3, [])
    assert seal(sealed, SIGNER) == 3
    assert checked(sealed)[0].unsealed["audit"] == 0


def test_a_changed_row_is_named(sealed: Sessions) -> None:
    as_owner(sealed, "audit", update(StateChange).where(StateChange.id == 6).values(after="done"))
    assert [(one.table, one.row, one.what) for one in checked(sealed)[1]] == [("audit", 6, "was changed")]


def test_a_changed_decision_is_named(sealed: Sessions) -> None:
    as_owner(sealed, "decisions", update(Decision).values(by="somebody else"))
    assert [(one.table, one.row, one.what) for one in checked(sealed)[1]] == [("decisions", 1, "was changed")]


@pytest.mark.parametrize("row", [1, 6, 10])
def test_a_removed_row_is_named(sealed: Sessions, row: int) -> None:
    as_owner(sealed, "audit", delete(StateChange).where(StateChange.id == row))
    assert [(one.table, one.row, one.what) for one in checked(sealed)[1]] == [("audit", row, "was removed")]


def test_rows_that_changed_places_are_named(sealed: Sessions) -> None:
    write(sealed, 1, item_id="other")
    seal(sealed, SIGNER)
    as_owner(sealed, "audit", update(StateChange).where(StateChange.id == 11).values(id=-1))
    for now, then in ((3, 11), (-1, 3)):
        with sealed.begin() as session:
            session.execute(update(StateChange).where(StateChange.id == now).values(id=then))
    assert {(one.row, one.what) for one in checked(sealed)[1]} == {(3, "was changed"), (11, "was changed")}


def test_a_row_put_in_where_a_transaction_was_rolled_back_is_named(ledger: Sessions) -> None:
    write(ledger, 1)
    with ledger.begin() as session:
        session.execute(insert(StateChange).values(id=5, job_id="j", item_id="i", before="found", after="failed"))
    seal(ledger)
    assert checked(ledger)[0].gaps["audit"] == 3
    with ledger.begin() as session:
        session.execute(insert(StateChange).values(id=3, job_id="j", item_id="i", before="found", after="done"))
        session.execute(insert(StateChange).values(id=0, job_id="j", item_id="i", before="found", after="done"))
    assert {(one.row, one.what) for one in checked(ledger)[1]} == {(3, "was added later"), (0, "was added later")}


def test_a_changed_link_and_a_missing_one_show(sealed: Sessions) -> None:
    as_owner(sealed, "seals", update(Seal).where(Seal.number == 2).values(row_count=3))
    assert ("seals", 2, "was changed") in [(one.table, one.row, one.what) for one in checked(sealed)[1]]
    with sealed.begin() as session:
        session.execute(delete(Seal).where(Seal.number == 2))
    assert ("seals", 2, "is missing") in [(one.table, one.row, one.what) for one in checked(sealed)[1]]


def test_a_chain_made_anew_without_the_key_shows(sealed: Sessions) -> None:
    as_owner(sealed, "seals", delete(Seal))
    seal(sealed, Signer(Ed25519PrivateKey.generate()))
    assert checked(sealed)[1] == []  # without the key nobody can tell
    assert {one.what for one in checked(sealed, keys=(SIGNER.public,))[1]} == {
        "is not signed with a key that was given"
    }


def test_a_noted_seal_shows_that_the_end_was_cut_off(sealed: Sessions) -> None:
    noted = checked(sealed)[0].head
    assert checked(sealed, noted=noted)[1] == []
    as_owner(sealed, "seals", delete(Seal).where(Seal.number == 5))
    as_owner_rows = delete(TABLES["events"])
    as_owner(sealed, "events", as_owner_rows)
    assert checked(sealed)[1] == []
    assert [one.table for one in checked(sealed, noted=noted)[1]] == ["seals"]


@pytest.mark.parametrize("statement", [update(Seal).values(row_count=0), delete(Seal)])
def test_the_chain_can_be_neither_changed_nor_deleted(sealed: Sessions, statement: object) -> None:
    with pytest.raises(DBAPIError, match="append-only"), sealed.begin() as session:
        session.execute(statement)  # type: ignore[call-overload]


def test_who_writes_while_others_seal_is_sealed_once(ledger: Sessions) -> None:
    """Rows whose ids were drawn early and committed late are not passed over."""
    stop = threading.Event()

    def sealing() -> None:
        while not stop.is_set():
            seal(ledger, size=50)

    sealer = threading.Thread(target=sealing)
    writers = [threading.Thread(target=lambda: [write(ledger, 7) for _ in range(30)]) for _ in range(3)]
    for thread in (sealer, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    stop.set()
    sealer.join()
    seal(ledger)
    findings, faults = checked(ledger)
    assert faults == []
    assert findings.rows["audit"] == 630
    assert findings.unsealed.total() == 0


def test_both_ledgers_hash_alike(sealed: Sessions) -> None:
    """Times, nulls and documents come back as they were written: the digest of a known row is known."""
    at = "2026-01-02T03:04:05.000006+00:00"
    with sealed() as session:
        assert session.scalar(select(func.count()).select_from(Seal)) == 5
    from datetime import datetime

    from orchestrator.trust.canonical import line

    with sealed.begin() as session:
        values = {"id": 77, "at": datetime.fromisoformat(at), "by": "b", "what": "w", "origin": "o", "outcome": "ok"}
        session.execute(insert(TABLES["events"]).values(**values, detail={"z": [1, 2.5, None], "a": "ä"}))
    with sealed() as session:
        row = session.execute(select(TABLES["events"]).where(TABLES["events"].c.id == 77)).mappings().one()
    assert line("events", row) == (
        b'{"":"events","at":"2026-01-02T03:04:05.000006+00:00","by":"b","detail":{"a":"\\u00e4","z":[1,2.5,null]},'
        b'"id":77,"origin":"o","outcome":"ok","what":"w"}\n'
    )
