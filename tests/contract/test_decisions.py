"""What people decide, on both ledgers: with their name, in the transaction that does it, and not to be changed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import delete, select, update
from sqlalchemy.exc import DBAPIError

from common.errors import PolicyError
from common.recipes import PROFILES
from common.stages import State
from orchestrator import control
from orchestrator.jobs import JobRequest, submit
from orchestrator.ledger.database import Sessions
from orchestrator.ledger.decisions import What, decided, decisions, decisions_on_item, os_user
from orchestrator.ledger.schema import Decision


def taken(ledger: Sessions, job: str) -> list[tuple[str, str, str, dict[str, object]]]:
    with ledger() as session:
        return [(one.what, one.by, one.why, one.detail) for one in decisions(session, job)]


def test_each_control_is_on_record_with_name_and_reason(
    ledger: Sessions, add_item: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SUDO_USER", raising=False)
    add_item(state=State.FAILED)
    control.pause(ledger, "job", by="anna", why="the PACS is upgraded", stop_running=True)
    control.resume(ledger, "job", by="anna")
    control.set_priority(ledger, "job", 5, by="ben")
    control.cancel(ledger, "job", by="ben", why="wrong folder")
    control.retry(ledger, "job")
    assert taken(ledger, "job") == [
        ("paused", "anna", "the PACS is upgraded", {"stop_running": True}),
        ("resumed", "anna", "", {}),
        ("priority", "ben", "", {"priority": 5}),
        ("cancelled", "ben", "wrong folder", {}),
        ("retried", os_user(), "", {"quarantined": False}),
    ]


def test_who_submitted_a_job_and_who_did_again(ledger: Sessions) -> None:
    request = JobRequest(("/sources",), ("/out",), PROFILES["archive"])
    job = submit(ledger, request, by="anna")
    assert submit(ledger, request, by="ben") == job
    assert taken(ledger, job) == [
        ("submitted", "anna", "", {"again": False}),
        ("submitted", "ben", "", {"again": True}),
    ]


def test_a_decision_that_is_rolled_back_was_not_taken(ledger: Sessions) -> None:
    with ledger() as session:
        decided(session, What.ACCEPTED, by="anna", job_id="job", item_id="i", why="seen, good enough")
        session.flush()
        session.rollback()
    assert taken(ledger, "job") == []


def test_an_items_decisions_are_its_own_and_its_jobs(ledger: Sessions) -> None:
    with ledger.begin() as session:
        decided(session, What.ACCEPTED, by="anna", job_id="job", item_id="i", why="seen")
        decided(session, What.GIVEN_UP, by="anna", job_id="job", item_id="other", why="no source")
        decided(session, What.PAUSED, by="anna", job_id="job")
        decided(session, What.PAUSED, by="anna", job_id="another")
    with ledger() as session:
        assert [one.what for one in decisions_on_item(session, "job", "i")] == ["accepted", "paused"]


def test_a_decision_about_many_jobs_is_told_in_those_whose_items_follow_it(
    ledger: Sessions, add_item: Callable[..., str]
) -> None:
    with ledger.begin() as session:
        key = decided(session, What.ACCEPTED, by="anna", why="seen", cause="ssim mean")
    item = add_item(decision=key)
    assert [one[0] for one in taken(ledger, "job")] == ["accepted"]
    assert taken(ledger, "another") == []
    with ledger() as session:
        assert [one.key for one in decisions_on_item(session, "job", item)] == [key]


@pytest.mark.parametrize("words", [{"by": "a" * 129}, {"by": "anna", "why": "w" * 2001}])
def test_what_is_too_long_is_refused_not_cut(ledger: Sessions, words: dict[str, str]) -> None:
    with pytest.raises(PolicyError, match="too long"), ledger.begin() as session:
        decided(session, What.PAUSED, job_id="job", **words)


@pytest.mark.parametrize("statement", [update(Decision).values(by="somebody"), delete(Decision)])
def test_the_record_can_be_neither_changed_nor_deleted(ledger: Sessions, statement: object) -> None:
    with ledger.begin() as session:
        decided(session, What.PAUSED, by="anna", job_id="job")
    with pytest.raises(DBAPIError, match="append-only"), ledger.begin() as session:
        session.execute(statement)  # type: ignore[call-overload]
    with ledger() as session:
        assert session.scalars(select(Decision.by)).all() == ["anna"]
