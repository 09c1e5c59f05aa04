"""What a delivery must prove next, and what failure reasons mean: the rules alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.acceptance import Acceptance
from orchestrator.ledger.schema import Delivery
from orchestrator.proof import REFUSAL_KEPT, SAMPLE, Step, Verdict, commits, next_step, verdict, wait

PACS = "dicom://PACS@host:104"
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def delivery(proof: str = "status 0000", number: int = 2, place: str = PACS, **fields: object) -> Delivery:
    values = {"read_back": False, "uncommitted": False} | fields
    return Delivery(id=number, destination=place, proof=proof, **values)


@pytest.mark.parametrize("place", ["/out", "s3://bucket/x", "dicomweb+https://host/x"])
def test_what_proves_itself_by_digest_is_asked_nothing(place: str) -> None:
    assert next_step(delivery("sha256", place=place), Acceptance(), commits=True) is None


def test_an_archive_is_asked_for_commitment_first() -> None:
    assert next_step(delivery(), Acceptance(verify="all"), commits=True) is Step.COMMIT


@pytest.mark.parametrize(
    "proof",
    [
        "status B000 (x)",
        "status B006 (x)",
        "status B007 (x)",
        "status 0111 (already there)",
        "status 0000; status B000 (x)",
    ],
)
def test_what_was_stored_with_a_warning_is_read_back_before_all_else(proof: str) -> None:
    assert next_step(delivery(proof), Acceptance(commitment="yes"), commits=True) is Step.READ
    assert next_step(delivery(proof, read_back=True), Acceptance(commitment="yes"), commits=True) is Step.COMMIT
    assert next_step(delivery(proof, read_back=True), Acceptance(), commits=False) is None


@pytest.mark.parametrize(
    ("verify", "number", "step"),
    [
        ("none", 1, None),
        ("count", 1, Step.COUNT),
        ("unknown", 1, Step.COUNT),
        ("all", 2, Step.READ),
        ("sample", 1, Step.READ),
        ("sample", 2, Step.COUNT),
        ("sample", SAMPLE + 1, Step.READ),
    ],
)
def test_without_commitment_the_policy_says_what_is_verified(verify: str, number: int, step: Step | None) -> None:
    accepts = Acceptance.model_validate({"verify": verify})
    assert next_step(delivery(number=number), accepts, commits=False) is step
    assert next_step(delivery(number=number, uncommitted=True), accepts, commits=True) is step


def test_a_refusal_is_remembered_for_a_while_and_only_where_nobody_stated_otherwise() -> None:
    assert commits(Acceptance(commitment="unknown"), None, NOON)
    assert not commits(Acceptance(commitment="unknown"), NOON, NOON)
    assert commits(Acceptance(commitment="unknown"), NOON, NOON + REFUSAL_KEPT + timedelta(seconds=1))
    assert commits(Acceptance(commitment="yes"), NOON, NOON)
    assert not commits(Acceptance(commitment="no"), None, NOON)


@pytest.mark.parametrize(
    ("reason", "meaning"),
    [
        (0x0112, Verdict.RESEND),
        (0x0110, Verdict.LATER),
        (0x0213, Verdict.LATER),
        (0x0131, Verdict.LATER),
        (0x0122, Verdict.WITHOUT),
        (0x0119, Verdict.FAIL),
        (0xFFFF, Verdict.LATER),
    ],
)
def test_each_failure_reason_has_its_consequence(reason: int, meaning: Verdict) -> None:
    assert verdict(reason) is meaning


def test_waits_double_up_to_a_quarter_of_an_hour() -> None:
    assert [wait(n).total_seconds() for n in (0, 1, 2, 3, 6, 1000)] == [30, 30, 60, 120, 900, 900]
