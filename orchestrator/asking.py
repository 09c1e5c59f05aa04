"""Orders that ask archives to prove what they took: which deliveries are due, and how they are put together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Literal
from uuid import uuid4

from sqlalchemy import ColumnElement, literal_column, select
from sqlalchemy.orm import Session

from common.orders import Awaited, CommitOrder, TranscodeDone, VerifyOrder
from orchestrator import limits
from orchestrator.commitment import ASKABLE, expire, settle_all
from orchestrator.deliveries import prove, step_of
from orchestrator.ledger.schema import Asked, Attempt, Commitment, Delivery, Item, Job
from orchestrator.proof import Patience, Step, is_archive
from orchestrator.work import new_order_id

BATCH = 500
"""Instances in one request: 80 kB in the broker; archives answer one transaction as a whole."""

WAITING: ColumnElement[str] = literal_column("'delivered'")
"""Not a parameter: SQLite uses the index of these rows (ledger.schema.UNPROVEN) only where it sees the value."""

Order = CommitOrder | VerifyOrder
Row = tuple[Item, Delivery]


def due(
    session: Session,
    jobs: Sequence[Job],
    free: int,
    doors: limits.Doors,
    moment: datetime,
    patience: Patience,
) -> list[tuple[Order, Delivery]]:
    """Orders for what is due, each with one of its deliveries; at most one request a job and archive is out at a time.

    While that one is answered more deliveries arrive, and the next request covers them all.
    """
    busy = _busy(session)
    orders: list[tuple[Order, Delivery]] = []
    for job in jobs:
        for place in filter(is_archive, job.destinations):
            room = doors.room(job, place, free - len(orders))
            if room <= 0:
                continue
            steps = _by_step(session, _due_rows(session, job, place, moment), moment, patience)
            for step in [step for step in steps if (job.id, place, step) in busy]:
                del steps[step]
            for order, delivery in _orders(session, steps, place)[:room]:
                doors.take(place)
                delivery_ids = {each.delivery for each in order.instances}
                for _, one in (row for rows in steps.values() for row in rows if row[1].id in delivery_ids):
                    one.attempts += 1
                    one.not_before = moment + patience.whole  # until its answer, or its loss, says otherwise
                orders.append((order, delivery))
    return orders


def _busy(session: Session) -> set[tuple[str, str, str]]:
    """Where a request that covers many is out."""
    asking = select(Delivery.job_id, Delivery.destination, Attempt.kind)
    asking = asking.join(Attempt, Attempt.delivery_id == Delivery.id)
    asking = asking.where(Attempt.kind.in_((Step.COMMIT, Step.COUNT)), Attempt.state.in_(("queued", "running")))
    return {(job_id, place, kind) for job_id, place, kind in session.execute(asking)}


def _due_rows(session: Session, job: Job, place: str, moment: datetime) -> list[Row]:
    statement = (
        select(Item, Delivery)
        .join(Delivery, Delivery.item_id == Item.id)
        .where(Delivery.job_id == job.id, Delivery.destination == place, Delivery.state == WAITING)
        .where(Delivery.not_before <= moment, Item.state.in_(ASKABLE))
        .order_by(Delivery.not_before)
        .limit(BATCH)
        .with_for_update(of=(Item, Delivery), skip_locked=True, key_share=True)
    )
    return [(item, delivery) for item, delivery in session.execute(statement)]


def _by_step(session: Session, rows: Sequence[Row], moment: datetime, patience: Patience) -> dict[Step, list[Row]]:
    """What each is asked next. Those that were never proven in time are given up, those with nothing left are done."""
    steps: dict[Step, list[Row]] = defaultdict(list)
    settled: list[Item] = []
    for item, delivery in rows:
        step = step_of(session, delivery, moment)
        if step is None:  # its destination was stated anew
            prove(delivery, "")
            settled.append(item)
        elif moment >= patience.deadline(delivery, moment):
            expire(delivery, patience)
            settled.append(item)
        else:
            steps[step].append((item, delivery))
    settle_all(session, settled)
    return steps


def _orders(session: Session, steps: dict[Step, list[Row]], place: str) -> list[tuple[Order, Delivery]]:
    """One request for commitment, one for what is counted, and one for each delivery that is read back."""
    orders: list[tuple[Order, Delivery]] = []
    if rows := steps.get(Step.COMMIT):
        orders.append((_commit_order(session, rows, place), rows[0][1]))
    if rows := steps.get(Step.COUNT):
        orders.append((_verify_order(rows, place, "count"), rows[0][1]))
    orders += [(_verify_order([row], place, "read"), row[1]) for row in steps.get(Step.READ, ())]
    return orders


def _commit_order(session: Session, rows: Sequence[Row], place: str) -> CommitOrder:
    """A new transaction. It is in the ledger before it is on the wire: its report may come before the request's answer."""
    asked = Commitment(transaction_uid=f"2.25.{uuid4().int}", destination=place, state="asked")
    session.add(asked)
    session.flush()
    session.add_all(Asked(commitment_id=asked.id, delivery_id=delivery.id) for _, delivery in rows)
    return CommitOrder(
        order_id=new_order_id(),
        item_id=rows[0][0].id,
        attempt=_number(rows),
        destination=place,
        transaction_uid=asked.transaction_uid,
        instances=_awaited(rows),
    )


def _verify_order(rows: Sequence[Row], place: str, kind: Literal["count", "read"]) -> VerifyOrder:
    return VerifyOrder(
        kind=kind,
        order_id=new_order_id(),
        item_id=rows[0][0].id,
        attempt=_number(rows),
        destination=place,
        instances=_awaited(rows),
    )


def _number(rows: Sequence[Row]) -> int:
    return max(delivery.attempts for _, delivery in rows) + 1


def _awaited(rows: Sequence[Row]) -> tuple[Awaited, ...]:
    return tuple(each for item, delivery in rows for each in _instances(item, delivery))


def _instances(item: Item, delivery: Delivery) -> list[Awaited]:
    made = TranscodeDone.model_validate(item.result)
    return [
        Awaited(
            delivery=delivery.id,
            study_uid=made.study_uid,
            series_uid=made.series_uid,
            sop_instance_uid=part.sop_instance_uid,
            sop_class_uid=made.sop_class_uid,
            instance_key=part.instance_key,
        )
        for part in made.instances
    ]
