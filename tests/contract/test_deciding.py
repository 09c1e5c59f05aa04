"""What people decide about items that were set aside, on both ledgers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.core import Farm, made

from common.errors import PolicyError, UnreadableSource
from common.media import Description
from common.orders import DescribeDone, Failure, Finding, Plan, TranscodeDone, Verdict
from common.recipes import PROFILES
from common.stages import State
from orchestrator import deciding
from orchestrator.deciding import Selection
from orchestrator.ledger.decisions import decisions_on_item
from orchestrator.ledger.schema import Job

MISSED = ("vmaf p1 80.0000 < 85",)


def quarantined(farm: Farm, item: str, description: Description) -> TranscodeDone:
    """Work on an item until its last rung has missed the gate; the answer of that rung."""
    farm.dispatch()
    farm.answer(farm.broker.sent[-1], DescribeDone(description=description.model_copy(update={"digest": item * 12})))
    answer = TranscodeDone(verdict=Verdict(passed=False, misses=MISSED))
    while farm.item(item).state is State.PLANNED:
        farm.dispatch()
        farm.answer(farm.broker.sent[-1], answer)
    assert farm.item(item).state is State.QUARANTINED
    return answer


def failed(farm: Farm, item: str) -> None:
    farm.dispatch()
    farm.answer(farm.broker.sent[-1], failure=Failure.of(UnreadableSource("it is broken")))
    assert farm.item(item).state is State.FAILED


def test_an_item_that_is_set_aside_is_counted_by_its_cause(
    farm: Farm, add_item: Callable[..., str], description: Description
) -> None:
    one = add_item()
    quarantined(farm, one, description)
    other = add_item()
    failed(farm, other)
    assert (farm.item(one).cause, farm.item(other).cause) == ("gate.picture", "UnreadableSource")


def test_an_accepted_result_is_made_again_and_leaves(
    farm: Farm, add_item: Callable[..., str], description: Description
) -> None:
    item = add_item()
    quarantined(farm, item, description)
    before = farm.broker.sent[-1]
    assert deciding.accept(farm.ledger, Selection((item,)), by="anna", why="the only copy").count == 1
    assert (farm.item(item).state, farm.item(item).cause) == (State.PLANNED, None)
    farm.dispatch()
    order = farm.broker.sent[-1]
    assert order.sop_instance_uid == before.sop_instance_uid
    assert order.output_prefix != before.output_prefix
    assert (order.plan.recipe, order.plan.gate, order.plan.waiver.decision) == (
        before.plan.recipe,
        before.plan.gate,
        farm.item(item).decision,
    )
    farm.answer(order, made(passed=False, misses=("vmaf p1 80.0001 < 85",)))
    assert farm.item(item).state is State.PRODUCED
    decision = farm.item(item).decision
    assert decision is not None
    assert decision in farm.item(item).reason
    with farm.ledger() as session:
        (noted,) = decisions_on_item(session, "job", item)
        assert (noted.by, noted.what, noted.why, noted.key) == ("anna", "accepted", "the only copy", decision)


def test_a_signed_decision_says_what_the_signature_means(
    farm: Farm, add_item: Callable[..., str], description: Description
) -> None:
    item = add_item()
    quarantined(farm, item, description)
    deciding.accept(farm.ledger, Selection((item,)), by="anna", why="the only copy", signed=True)
    with farm.ledger() as session:
        (taken,) = decisions_on_item(session, farm.item(item).job_id, item)
    assert (taken.by, taken.why, taken.detail) == ("anna", "the only copy", {"signed": "accepted with deviation"})


def test_a_waiver_lets_nothing_else_through(farm: Farm, add_item: Callable[..., str], description: Description) -> None:
    item = add_item()
    quarantined(farm, item, description)
    deciding.accept(farm.ledger, Selection((item,)), by="anna", why="the only copy")
    farm.dispatch()
    farm.answer(
        farm.broker.sent[-1], TranscodeDone(verdict=Verdict(passed=False, misses=(*MISSED, "ssim mean 0.1 < 0.9")))
    )
    assert farm.item(item).state is State.QUARANTINED


def test_what_breaks_the_standard_cannot_be_accepted(
    farm: Farm, add_item: Callable[..., str], description: Description
) -> None:
    item = add_item()
    farm.dispatch()
    farm.answer(farm.broker.sent[-1], DescribeDone(description=description))
    farm.dispatch()
    finding = Finding(severity="error", rule="h264.level", clause="PS3.5 8.2.7", found="5", required="4.1")
    farm.answer(farm.broker.sent[-1], made().model_copy(update={"findings": (finding,)}))
    assert farm.item(item).cause == "h264.level"
    outcome = deciding.accept(farm.ledger, Selection((item,)), by="anna", why="the only copy")
    assert (outcome.count, list(outcome.refused)) == (0, ["what breaks the standard cannot be accepted"])
    assert farm.item(item).state is State.QUARANTINED


def test_an_item_is_tried_again_by_a_profile_of_its_own(
    farm: Farm, add_item: Callable[..., str], description: Description
) -> None:
    item = add_item()
    quarantined(farm, item, description)
    deciding.retry(farm.ledger, Selection((item,)), by="anna", profile=PROFILES["review"])
    assert (farm.item(item).state, farm.item(item).cause) == (State.FOUND, None)
    farm.dispatch()
    farm.answer(farm.broker.sent[-1], DescribeDone(description=description))
    assert Plan.model_validate(farm.item(item).plan).gate == PROFILES["review"].gate


def test_a_whole_cause_is_decided_about_at_once_and_others_stay(
    farm: Farm, add_item: Callable[..., str], description: Description, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deciding, "BATCH", 2)
    broken = []
    for _ in range(5):
        broken.append(add_item())
        failed(farm, broken[-1])
    other = add_item()
    quarantined(farm, other, description)
    outcome = deciding.retry(farm.ledger, Selection(cause="UnreadableSource", job_id="job"), by="anna")
    assert outcome.count == 5
    assert {farm.item(item).state for item in broken} == {State.FOUND}
    assert farm.item(other).state is State.QUARANTINED


def test_what_was_given_up_keeps_the_reason_and_is_decided(farm: Farm, add_item: Callable[..., str]) -> None:
    item = add_item()
    failed(farm, item)
    deciding.give_up(farm.ledger, Selection((item,)), by="anna", why="the recorder's disk is lost")
    assert (farm.item(item).state, farm.item(item).reason) == (State.CANCELLED, "given up: the recorder's disk is lost")
    assert deciding.retry(farm.ledger, Selection((item,)), by="anna").refused == {deciding.NOT_THERE: 1}


def test_a_cancelled_job_is_opened_by_a_retry(farm: Farm, add_item: Callable[..., str]) -> None:
    item = add_item()
    failed(farm, item)
    with farm.ledger.begin() as session:
        session.get_one(Job, "job").cancelled = True
    deciding.retry(farm.ledger, Selection((item,)), by="anna")
    with farm.ledger() as session:
        assert not session.get_one(Job, "job").cancelled


def test_a_decision_about_nothing_is_refused() -> None:
    with pytest.raises(PolicyError, match="no item"):
        Selection()


def test_accepting_and_giving_up_need_a_reason(farm: Farm, add_item: Callable[..., str]) -> None:
    item = add_item()
    failed(farm, item)
    with pytest.raises(PolicyError, match="reason"):
        deciding.give_up(farm.ledger, Selection((item,)), why="  ")
    assert farm.item(item).state is State.FAILED
