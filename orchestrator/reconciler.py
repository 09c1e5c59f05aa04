"""Compare the ledger with the world: attempts of a farm that is gone, results and deliveries that have vanished, orphans."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import chain, islice
from pathlib import Path

from sqlalchemy import exists, select, update
from sqlalchemy.orm import Session

from common.destinations import FolderDestination, parse_destination
from common.logs import logger
from common.orders import TranscodeDone
from common.searches import month_of, outdated
from common.stages import State, check_transition
from common.store import ObjectStore
from orchestrator import viewable
from orchestrator.control import cancel_items
from orchestrator.dispatcher import OPEN
from orchestrator.ledger.database import Sessions
from orchestrator.ledger.schema import FOR_CHANGE, Attempt, Chunk, Delivery, Item, Job, now
from orchestrator.sources import forget_settled
from orchestrator.viewable import AT_ONCE, Keeping
from orchestrator.watcher import give_out_again

log = logger(__name__)

PAGE = 500
"""Items looked at between two questions whether to stop; no transaction is open while the store is asked."""

INSTANCE = re.compile(r"/instance(-\d+)?\.(json|dcm(\.[0-9a-f]+\.arrived)?)$")
"""Whole instances, the parts of split ones, what viewers ask of them, and notes of which parts have arrived; not the evidence."""

UNSETTLED = [state for state in State if not state.is_end] + [State.FAILED]
"""Whose instance is kept: of what goes on (archives may say that they lost it), and of a failed delivery for its retry."""

Gone = Callable[[Item, list[Delivery]], bool]


def never() -> bool:
    """Nobody asks to stop."""
    return False


def reconcile(
    ledger: Sessions, store: ObjectStore, *, keeping: Keeping = AT_ONCE, stopped: Callable[[], bool] = never
) -> None:
    """One look at everything that can have come apart while orchestrators, workers or the store died. Idempotent.

    It may run beside working replicas: each item is locked and looked at again before it is changed. ``keeping``: how long
    instances of done items stay in the store.
    """
    with ledger() as session:
        jobs = session.execute(select(Job.id, Job.cancelled)).all()
    for job_id, cancelled in jobs:
        if stopped():
            return
        if cancelled:
            cancel_items(ledger, job_id)
        else:
            mend_orphaned(ledger, job_id)
            reopen(ledger, job_id, [State.PRODUCED], lambda item, _: not _stored(store, item), stopped=stopped)
    delete_orphans(ledger, store, keeping=keeping, stopped=stopped)
    delete_searches(store, now(), stopped=stopped)
    forget_settled(ledger, store, stopped=stopped)


def recover_attempts(ledger: Sessions) -> int:
    """At the start of an embedded farm nothing can be running: what the ledger holds open was cut off. No item is blamed."""
    with ledger.begin() as session:
        attempts = list(session.scalars(select(Attempt).where(Attempt.state.in_(OPEN))))
        for attempt in attempts:
            give_out_again(session, attempt, None)
        session.execute(update(Attempt).where(Attempt.state == "stopping").values(state="stopped"))
    if attempts:
        log.warning("attempts_recovered", count=len(attempts))
    return len(attempts)


def reopen_vanished(ledger: Sessions, store: ObjectStore, job_id: str, *, mounted_only: bool = False) -> int:
    """Make again what has gone: produced instances that the store lost, done items whose file left its folder.

    ``mounted_only``: destinations whose folder is not there at all do not count. A service may run on a host that does not
    see them, while the user who runs ``migrate`` may have deleted one on purpose.
    """

    def gone(item: Item, deliveries: list[Delivery]) -> bool:
        if item.state is State.PRODUCED:
            return not _stored(store, item)
        return any(_vanished(delivery, mounted_only=mounted_only) for delivery in deliveries)

    return reopen(ledger, job_id, [State.PRODUCED, State.DONE], gone)


def reopen(
    ledger: Sessions, job_id: str, states: list[State], gone: Gone, *, stopped: Callable[[], bool] = never
) -> int:
    """Plan items of a job again that are in ``states`` and ``gone``; returns how many."""
    reopened = 0
    for page in _pages(ledger, job_id, states):
        if stopped():
            break
        for item_id in [item.id for item, deliveries in page if gone(item, deliveries)]:
            with ledger.begin() as session:
                item = session.get_one(Item, item_id, with_for_update=FOR_CHANGE)
                if item.state in states and gone(item, _deliveries(session, [item_id])):
                    item.state = check_transition(item.state, State.PLANNED)
                    item.attempts, item.not_before = 0, now()
                    reopened += 1
    if reopened:
        log.warning("items_reopened", job=job_id, count=reopened)
    return reopened


def mend_orphaned(ledger: Sessions, job_id: str) -> int:
    """Items and deliveries that count as out while no attempt is open for them go back to where their attempt begins.

    A video that was cut is left alone: between two of its chunks no attempt needs to be open, and the dispatcher goes on.
    """
    no_attempt = ~exists().where(Attempt.item_id == Item.id, Attempt.state.in_(OPEN))
    no_attempt &= ~exists().where(Chunk.item_id == Item.id)
    no_delivery = ~exists().where(Attempt.delivery_id == Delivery.id, Attempt.state.in_(OPEN))
    out = select(Item).where(Item.job_id == job_id, Item.state.in_([State.QUEUED, State.RUNNING]), no_attempt)
    sent = select(Delivery).join(Item, Item.id == Delivery.item_id)
    sent = sent.where(Item.job_id == job_id, Item.state == State.PRODUCED, Delivery.state == "out", no_delivery)
    with ledger.begin() as session:
        items = session.scalars(out.with_for_update(of=Item, skip_locked=True)).all()
        for item in items:
            item.state = check_transition(item.state, State.PLANNED)
        deliveries = session.scalars(sent.with_for_update(of=Delivery, skip_locked=True)).all()
        for delivery in deliveries:
            delivery.state = "pending"
    if items or deliveries:
        log.warning("orphans_mended", job=job_id, items=len(items), deliveries=len(deliveries))
    return len(items) + len(deliveries)


def delete_orphans(
    ledger: Sessions, store: ObjectStore, *, keeping: Keeping = AT_ONCE, stopped: Callable[[], bool] = never
) -> int:
    """Delete produced instances that no item will deliver, and chunks that none is made of.

    They are left by cancelled items, and by attempts that nobody waits for any more. A key holds its source's digest
    (``results/ab/<digest>/…``, ``chunks/…`` alike): it is needed while an item of that digest is not settled. Should one
    come up in this moment, it finds its instance lost and makes it again. Evidence stays.
    """
    deleted, kept_since = 0, now() - timedelta(hours=keeping.hours_in(store))
    instances = (key for key in store.keys("results/") if INSTANCE.search(key))
    keys = chain(instances, store.keys("chunks/"))
    while not stopped() and (batch := list(islice(keys, PAGE))):
        needless = _needless(ledger, batch, kept_since)
        for key in needless:
            store.delete(key)
            log.info("orphan_deleted", key=key)
            deleted += 1
        if needless:
            with ledger.begin() as session:
                viewable.forget(session, needless)
    return deleted


def delete_searches(store: ObjectStore, moment: datetime, *, stopped: Callable[[], bool] = never) -> int:
    """Delete results of quality searches that nobody has used in this month or the one before; returns how many."""
    deleted = 0
    for prefix in outdated(month_of(moment)):
        for key in store.keys(prefix):
            if stopped():
                return deleted
            store.delete(key)
            deleted += 1
    if deleted:
        log.info("searches_deleted", count=deleted)
    return deleted


def _needless(ledger: Sessions, keys: list[str], kept_since: datetime) -> list[str]:
    digests = {key: key.split("/")[2] for key in keys}
    kept = Item.state.in_(UNSETTLED) | ((Item.state == State.DONE) & (Item.updated_at > kept_since))
    wanted = select(Item.digest).where(Item.digest.in_(set(digests.values())), kept)
    with ledger() as session:
        needed = set(session.scalars(wanted))
    return [key for key, digest in digests.items() if digest not in needed]


def _pages(ledger: Sessions, job_id: str, states: list[State]) -> Iterator[list[tuple[Item, list[Delivery]]]]:
    """A job's items in ``states`` with their deliveries, in pages; no transaction is open while one is looked at."""
    last = ""
    while True:
        statement = select(Item).where(Item.job_id == job_id, Item.state.in_(states), Item.id > last)
        with ledger() as session:
            items = list(session.scalars(statement.order_by(Item.id).limit(PAGE)))
            deliveries = _deliveries(session, [item.id for item in items])
        if not items:
            return
        yield [(item, [one for one in deliveries if one.item_id == item.id]) for item in items]
        last = items[-1].id


def _deliveries(session: Session, item_ids: list[str]) -> list[Delivery]:
    return list(session.scalars(select(Delivery).where(Delivery.item_id.in_(item_ids))))


def _stored(store: ObjectStore, item: Item) -> bool:
    made = TranscodeDone.model_validate(item.result)
    return all(store.size(part.instance_key) == part.instance_bytes for part in made.instances)


def _vanished(delivery: Delivery, *, mounted_only: bool) -> bool:
    destination = parse_destination(delivery.destination)
    if not isinstance(destination, FolderDestination):
        return False
    if mounted_only and not Path(destination.path).is_dir():
        return False
    return not all(Path(destination.path, place).exists() for place in delivery.location.split("\n"))
