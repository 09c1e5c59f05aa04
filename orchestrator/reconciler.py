"""Compare the ledger with the world: attempts of a farm that is gone, results and deliveries that have vanished."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import select

from common.destinations import FolderDestination, parse_destination
from common.logs import logger
from common.orders import TranscodeDone
from common.stages import State, check_transition
from common.store import ObjectStore
from orchestrator.dispatcher import OPEN
from orchestrator.ledger.database import Sessions
from orchestrator.ledger.schema import Attempt, Delivery, Item, now
from orchestrator.watcher import give_out_again

log = logger(__name__)


def recover_attempts(ledger: Sessions) -> int:
    """At the start of an embedded farm nothing can be running: what the ledger holds open was cut off. No item is blamed."""
    with ledger.begin() as session:
        attempts = list(session.scalars(select(Attempt).where(Attempt.state.in_(OPEN))))
        for attempt in attempts:
            give_out_again(session, attempt, None)
    if attempts:
        log.warning("attempts_recovered", count=len(attempts))
    return len(attempts)


def reopen_vanished(ledger: Sessions, store: ObjectStore, job_id: str) -> int:
    """Make again what has gone: produced instances that the store lost, done items whose file left its folder."""
    reopened = 0
    with ledger.begin() as session:
        statement = select(Item).where(Item.job_id == job_id, Item.state.in_([State.PRODUCED, State.DONE]))
        for item in session.scalars(statement.execution_options(yield_per=500)):
            deliveries = session.scalars(select(Delivery).where(Delivery.item_id == item.id)).all()
            gone = not _stored(store, item) if item.state is State.PRODUCED else any(map(_vanished, deliveries))
            if gone:
                item.state = check_transition(item.state, State.PLANNED)
                item.attempts, item.not_before = 0, now()
                reopened += 1
    if reopened:
        log.warning("items_reopened", count=reopened)
    return reopened


def _stored(store: ObjectStore, item: Item) -> bool:
    made = TranscodeDone.model_validate(item.result)
    return store.size(made.instance_key) == made.instance_bytes


def _vanished(delivery: Delivery) -> bool:
    destination = parse_destination(delivery.destination)
    return isinstance(destination, FolderDestination) and not Path(destination.path, delivery.location).exists()
