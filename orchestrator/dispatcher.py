"""Keep every queue's window full: about two orders for each free slot, the rest of the backlog stays in the ledger."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from sqlalchemy import ColumnElement, exists, func, select
from sqlalchemy.orm import Session

from common import queues
from common.logs import logger
from common.orders import DeliverOrder, DescribeOrder, TranscodeOrder
from common.stages import State, check_transition
from common.store import ObjectStore
from orchestrator import work
from orchestrator.broker import Broker
from orchestrator.ledger.database import Sessions
from orchestrator.ledger.schema import Attempt, Delivery, Item, Job, now

log = logger(__name__)

WINDOW_PER_SLOT = 2
"""One order running and one waiting on every slot: no slot idles while the dispatcher looks elsewhere."""

OPEN = ("queued", "running")
"""Attempts that a worker has, or may still get."""

Order = DescribeOrder | TranscodeOrder | DeliverOrder


def dispatch(ledger: Sessions, broker: Broker, store: ObjectStore) -> int:
    """Fill the windows once; returns how many orders went out.

    The attempt is written before the message is sent: a crash between the two leaves a queued attempt without a message,
    which the watcher sends again. The other order could run work that the ledger does not know.
    """
    slots = broker.slots()
    sent = 0
    for queue in slots:
        with ledger.begin() as session:
            free = WINDOW_PER_SLOT * slots[queue] - _open_attempts(session, queue)
            orders = _take(session, store, queue, free, now()) if free > 0 else []
        for order in orders:
            broker.send(order, order.kind, queue)
            log.info(
                "order_sent",
                kind=order.kind,
                order=order.order_id,
                item=order.item_id,
                attempt=order.attempt,
                queue=queue,
            )
        sent += len(orders)
    return sent


def _open_attempts(session: Session, queue: str) -> int:
    statement = select(func.count()).select_from(Attempt).where(Attempt.queue == queue, Attempt.state.in_(OPEN))
    return session.scalar(statement) or 0


def _take(session: Session, store: ObjectStore, queue: str, free: int, moment: datetime) -> list[Order]:
    if queue == queues.DELIVER:
        return [_begin_deliver(session, *pair) for pair in _ready_deliveries(session, free, moment)]
    if queue == queues.DESCRIBE:
        items = _ready_items(session, State.FOUND, free, moment)
    else:
        items = _ready_items(session, State.PLANNED, free, moment, Item.plan["queue"].as_string() == queue)
    for item in items:
        store.adopt(work.source_key(item), Path(item.source))  # only what is in the window needs a key
    if queue == queues.DESCRIBE:
        return [_begin_describe(session, item) for item in items]
    return [_begin_transcode(session, item, queue) for item in items]


def _ready_items(
    session: Session, state: State, free: int, moment: datetime, *conditions: ColumnElement[bool]
) -> list[Item]:
    busy = exists().where(Attempt.item_id == Item.id, Attempt.state.in_(OPEN))
    statement = (
        select(Item)
        .join(Job)
        .where(Item.state == state, Item.not_before <= moment, Job.paused.is_(False), ~busy, *conditions)
        .order_by(Job.priority.desc(), Item.number)
        .limit(free)
    )
    return list(session.scalars(statement))


def _ready_deliveries(session: Session, free: int, moment: datetime) -> list[tuple[Item, Delivery]]:
    statement = (
        select(Item, Delivery)
        .join(Delivery, Delivery.item_id == Item.id)
        .join(Job, Job.id == Item.job_id)
        .where(
            Delivery.state == "pending",
            Delivery.not_before <= moment,
            Item.state == State.PRODUCED,
            Job.paused.is_(False),
        )
        .order_by(Job.priority.desc(), Item.number)
        .limit(free)
    )
    return [(item, delivery) for item, delivery in session.execute(statement)]


def _begin_describe(session: Session, item: Item) -> Order:
    item.attempts += 1
    order = work.describe_order(item, item.attempts)
    _open(session, order, queues.DESCRIBE)
    return order


def _begin_transcode(session: Session, item: Item, queue: str) -> Order:
    item.attempts += 1
    item.state = check_transition(item.state, State.QUEUED)
    order = work.transcode_order(item, item.attempts)
    _open(session, order, queue)
    return order


def _begin_deliver(session: Session, item: Item, delivery: Delivery) -> Order:
    delivery.attempts += 1
    delivery.state = "out"
    order = work.deliver_order(item, delivery, delivery.attempts)
    _open(session, order, queues.DELIVER, delivery)
    return order


def _open(session: Session, order: Order, queue: str, delivery: Delivery | None = None) -> None:
    session.add(
        Attempt(
            order_id=order.order_id,
            item_id=order.item_id,
            delivery_id=delivery.id if delivery else None,
            kind=order.kind,
            queue=queue,
            number=order.attempt,
            order=order.model_dump(mode="json"),
        )
    )
