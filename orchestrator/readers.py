"""While two releases run: what a live worker of a queue is too old to read stays in the ledger, and what it can read goes out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from common.logs import logger
from common.orders import AnyOrder
from common.versions import FIRST_VERSION, needed
from orchestrator.broker import Broker
from orchestrator.ledger.database import Sessions
from orchestrator.ledger.schema import Attempt, Chunk, Delivery, Item

log = logger(__name__)

AGAIN = timedelta(seconds=10)
"""Wait for workers that are too old to end; the orders behind go on."""


@dataclass(frozen=True)
class Row:
    """What an order was made of."""

    item: str
    delivery: int | None
    chunk: int | None


class Missing(Exception):
    """Some worker of a queue could not read these; raised inside a transaction, it takes back what the turn began."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = rows


def check(session: Session, broker: Broker, queue: str, orders: Sequence[AnyOrder]) -> None:
    """Any worker of a queue may take what lies in it, so the oldest decides.

    Raises:
        Missing: it is too old for some of these orders.
    """
    newest = max(map(needed, orders), default=FIRST_VERSION)
    if newest == FIRST_VERSION or newest <= (reads := broker.reads(queue)):
        return
    log.warning("orders_wait_for_newer_workers", queue=queue, needed=newest, reads=reads)
    ids = [order.order_id for order in orders if needed(order) > reads]
    found = session.execute(
        select(Attempt.item_id, Attempt.delivery_id, Attempt.chunk_id).where(Attempt.order_id.in_(ids))
    )
    raise Missing([Row(item, delivery, chunk) for item, delivery, chunk in found])


def postpone(ledger: Sessions, rows: Sequence[Row], moment: datetime) -> None:
    """Pass these over for a while: they are as they were before the turn that found nobody to read them."""
    items = {row.item for row in rows if row.delivery is None and row.chunk is None}
    deliveries = {row.delivery for row in rows if row.delivery is not None}
    chunks = {row.chunk for row in rows if row.chunk is not None}
    with ledger.begin() as session:
        for kind, ids in ((Item, items), (Delivery, deliveries), (Chunk, chunks)):
            if ids:
                session.execute(update(kind).where(kind.id.in_(ids)).values(not_before=moment + AGAIN))
