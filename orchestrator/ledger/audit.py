"""The audit trail: every change of an item's or a delivery's state, in the transaction that makes it, append-only.

Changes of loaded rows are noted by themselves, each one, also where several follow in one transaction. A statement that changes
many rows at once says so with ``note_all`` before it. The database refuses to change or delete what is written
(migration 0006). What an item was created with is no change: a trail begins at *found*, or at *failed* for a source that could
not even be opened.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise
from typing import Any, cast

from sqlalchemy import Table, event, insert, literal, select
from sqlalchemy.orm import Session, object_session

from common.stages import State
from orchestrator.ledger.database import Sessions
from orchestrator.ledger.schema import Delivery, Item, StateChange, now

PAGE = 500
"""Items whose trails are read at once."""

BEGINNINGS = frozenset({State.FOUND, State.FAILED})
FIRST = frozenset({"pending"})
"""What a delivery is created with."""

AUDIT = cast(Table, StateChange.__table__)

_BECAUSE = "audit_order"
_NOTED = "audit_changes"


def because_of(session: Session, order_id: str) -> None:
    """What changes from now on in this session follows from an order's answer or loss; empty: from no order's."""
    session.info[_BECAUSE] = order_id


@event.listens_for(Item.state, "set", active_history=True)
def _item_changes(item: Item, after: State, before: Any, _initiator: Any) -> None:
    _note(item, item.job_id, item.id, None, before, after)


@event.listens_for(Delivery.state, "set", active_history=True)
def _delivery_changes(delivery: Delivery, after: str, before: Any, _initiator: Any) -> None:
    _note(delivery, delivery.job_id, delivery.item_id, delivery.id, before, after)


def _note(row: Item | Delivery, job_id: str, item_id: str, delivery_id: int | None, before: Any, after: str) -> None:
    session = object_session(row)
    if session is None or before == after or not isinstance(before, str):
        return  # a row that is being made
    change: dict[str, Any] = {
        "at": now(),
        "job_id": job_id,
        "item_id": item_id,
        "delivery_id": delivery_id,
        "before": str(before),
        "after": str(after),
        "order_id": session.info.get(_BECAUSE, ""),
    }
    session.info.setdefault(_NOTED, []).append(change)


@event.listens_for(Session, "before_commit")
def _write(session: Session) -> None:
    """One statement for all changes of a transaction, past the unit of work: a quarter of its cost."""
    session.flush()  # what is flushed last may still change a state
    if rows := session.info.pop(_NOTED, None):
        session.connection().execute(insert(AUDIT), rows)


@event.listens_for(Session, "after_soft_rollback")
def _forget(session: Session, _previous: Any) -> None:
    session.info.pop(_NOTED, None)


def note_all(session: Session, item_ids: Sequence[str], after: State) -> None:
    """Note that one statement, about to be executed, moves all these items to ``after``."""
    columns = ("at", "job_id", "item_id", "before", "after", "order_id")
    rows = select(
        literal(now(), StateChange.at.type), Item.job_id, Item.id, Item.state, literal(after.value), literal("")
    )
    session.execute(insert(StateChange).from_select(columns, rows.where(Item.id.in_(item_ids)).order_by(Item.id)))


def history(session: Session, item_ids: Sequence[str]) -> list[StateChange]:
    """All changes of some items and their deliveries, item by item, in the order in which they happened."""
    wanted = select(StateChange).where(StateChange.item_id.in_(item_ids))
    return list(session.scalars(wanted.order_by(StateChange.item_id, StateChange.id)))


def trail(ledger: Sessions, job_id: str) -> Iterator[StateChange]:
    """All changes of a job, item by item; no transaction is open between two pages."""
    for _, changes in _pages(ledger, job_id):
        yield from changes


def gaps(ledger: Sessions, job_id: str) -> Iterator[str]:
    """Ids of a job's items whose trail does not lead, change by change, from their beginning to their present state.

    An item's deliveries have trails of their own, which must lead to their states as well.
    """
    for states, changes in _pages(ledger, job_id):
        trails: dict[tuple[str, int | None], list[StateChange]] = defaultdict(list)
        for change in changes:
            trails[change.item_id, change.delivery_id].append(change)
        broken = {item_id for item_id, state in states.items() if not _leads_to(state, trails[item_id, None])}
        with ledger() as session:
            wanted = select(Delivery.id, Delivery.item_id, Delivery.state).where(Delivery.item_id.in_(states))
            for delivery_id, item_id, state in session.execute(wanted):
                if not _leads_to(state, trails[item_id, delivery_id], FIRST):
                    broken.add(item_id)
        yield from sorted(broken)


def _pages(ledger: Sessions, job_id: str) -> Iterator[tuple[dict[str, State], list[StateChange]]]:
    """The states of a job's items and their changes, many items at a time."""
    last = ""
    while True:
        page = select(Item.id, Item.state).where(Item.job_id == job_id, Item.id > last).order_by(Item.id).limit(PAGE)
        with ledger() as session:
            states = {row.id: row.state for row in session.execute(page)}
            changes = history(session, list(states))
        if not states:
            return
        yield states, changes
        last = list(states)[-1]


def _leads_to(state: str, trail: Sequence[StateChange], beginnings: Collection[str] = BEGINNINGS) -> bool:
    if not trail:
        return state in beginnings
    unbroken = all(one.after == following.before for one, following in pairwise(trail))
    return unbroken and trail[0].before in beginnings and trail[-1].after == state
