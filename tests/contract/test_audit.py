"""The audit trail, on both ledgers: complete, in order, and not to be changed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import DBAPIError
from support.core import Farm, made

from common.media import Description
from common.orders import DeliverDone, DescribeDone
from common.stages import TRANSITIONS, State
from orchestrator import control
from orchestrator.ledger.audit import gaps, history, trail
from orchestrator.ledger.database import Sessions
from orchestrator.ledger.schema import Item, StateChange


def steps(ledger: Sessions, item: str) -> list[tuple[str, str]]:
    """The item's own changes."""
    with ledger() as session:
        return [(one.before, one.after) for one in history(session, [item]) if one.delivery_id is None]


def described(farm: Farm, description: Description) -> None:
    farm.dispatch()
    farm.answer(farm.broker.sent[-1], DescribeDone(description=description))


def test_every_step_of_an_item_is_on_record_also_those_of_one_transaction(
    farm: Farm, add_item: Callable[..., str], description: Description, ledger: Sessions
) -> None:
    item = add_item()
    described(farm, description)
    farm.dispatch()
    farm.answer(farm.broker.sent[-1], made())
    farm.dispatch()
    farm.answer(farm.broker.sent[-1], DeliverDone(location="a", proof="sha256"))
    way = ["found", "described", "planned", "queued", "produced", "delivered", "committed", "done"]
    assert steps(ledger, item) == list(pairwise(way))
    assert all(State(after) in TRANSITIONS[State(before)] for before, after in steps(ledger, item))
    assert list(gaps(ledger, "job")) == []
    assert len(list(trail(ledger, "job"))) == len(way) + 1  # and a delivery's two


def test_a_change_names_the_order_it_follows_from_and_the_time(
    farm: Farm, add_item: Callable[..., str], description: Description, ledger: Sessions
) -> None:
    item = add_item()
    before = datetime.now(UTC)
    described(farm, description)
    with ledger() as session:
        changes = history(session, [item])
    assert {change.order_id for change in changes} == {farm.broker.sent[-1].order_id}
    assert all(before <= change.at <= datetime.now(UTC) for change in changes)


def test_a_delivery_has_its_own_trail(
    farm: Farm, add_item: Callable[..., str], description: Description, ledger: Sessions
) -> None:
    item = add_item()
    described(farm, description)
    farm.dispatch()
    farm.answer(farm.broker.sent[-1], made())
    farm.dispatch()
    farm.answer(farm.broker.sent[-1], DeliverDone(location="a", proof="sha256"))
    with ledger() as session:
        ways = [(one.before, one.after) for one in history(session, [item]) if one.delivery_id is not None]
    assert ways == [("pending", "out"), ("out", "committed")]  # a folder proves what it has by its digest


def test_what_one_statement_does_to_many_items_is_on_record_item_by_item(
    farm: Farm, add_item: Callable[..., str], description: Description, ledger: Sessions
) -> None:
    first, second = add_item(), add_item(state=State.FAILED)
    control.cancel(ledger, "job")
    control.retry(ledger, "job")
    assert steps(ledger, first) == [("found", "cancelled"), ("cancelled", "found")]
    assert steps(ledger, second) == [("failed", "found")]
    assert list(gaps(ledger, "job")) == []


def test_a_transaction_that_is_rolled_back_leaves_no_trail(add_item: Callable[..., str], ledger: Sessions) -> None:
    item = add_item()
    session = ledger()
    session.get_one(Item, item).state = State.DESCRIBED
    session.flush()
    session.rollback()
    assert steps(ledger, item) == []


def test_a_change_past_the_trail_is_a_gap(add_item: Callable[..., str], ledger: Sessions) -> None:
    kept, changed = add_item(), add_item()
    with ledger.begin() as session:
        session.execute(update(Item).where(Item.id == changed).values(state=State.DONE))
    assert list(gaps(ledger, "job")) == [changed]
    assert kept not in gaps(ledger, "job")


@pytest.mark.parametrize("statement", [update(StateChange).values(after="done"), delete(StateChange)])
def test_the_record_can_be_neither_changed_nor_deleted(
    statement: object, ledger: Sessions, add_item: Callable[..., str]
) -> None:
    with ledger.begin() as session:
        row = {"job_id": "job", "item_id": "i", "before": "found", "after": "failed"}
        session.execute(insert(StateChange).values(**row))
    with pytest.raises(DBAPIError, match="append-only"), ledger.begin() as session:
        session.execute(statement)  # type: ignore[call-overload]
    with ledger() as session:
        assert session.scalars(select(StateChange.after)).all() == ["failed"]
