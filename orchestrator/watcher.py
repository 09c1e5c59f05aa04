"""Watch the leases: see who works, notice the dead, give their orders out again, send again what the broker lost."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from common.errors import Actor
from common.leases import Lease
from common.logs import logger
from common.orders import ORDERS, Failure
from common.stages import State, check_transition
from orchestrator.broker import Broker
from orchestrator.dispatcher import OPEN
from orchestrator.ledger.database import Sessions
from orchestrator.ledger.schema import Attempt, Delivery, Item, now
from orchestrator.recorder import retry_later

log = logger(__name__)


RESULT_GRACE_SECONDS = 30.0
"""How long an ended attempt's result may take through the broker before it counts as lost with it."""


class Watcher:
    """Compares open attempts with leases and queues."""

    def __init__(self, ledger: Sessions, broker: Broker, *, grace_seconds: float, max_attempts: int) -> None:
        self._ledger = ledger
        self._broker = broker
        self._grace = timedelta(seconds=grace_seconds)
        self._max_attempts = max_attempts

    def sweep(self) -> None:
        """One look at all open attempts."""
        with self._ledger.begin() as session:
            attempts = list(session.scalars(select(Attempt).where(Attempt.state.in_(OPEN))))
            leases = self._broker.look(attempt.order_id for attempt in attempts)
            silent = [
                attempt for attempt in attempts if not self._alive(session, attempt, leases.get(attempt.order_id))
            ]
            lost = [attempt for attempt in silent if attempt.state == "running"]
            unsent = self._not_in_broker([attempt for attempt in silent if attempt.state == "queued"])
            for attempt in lost:
                self._lose(session, attempt)
            for attempt in unsent:
                attempt.sent_at = now()
        for attempt in unsent:
            log.warning("order_sent_again", order=attempt.order_id, item=attempt.item_id)
            self._broker.send(ORDERS.validate_python(attempt.order), attempt.kind, attempt.queue)

    def _alive(self, session: Session, attempt: Attempt, lease: Lease | None) -> bool:
        moment = now()
        if lease is None:
            return moment - (attempt.seen_at or attempt.sent_at) < self._grace
        if lease.ended:
            attempt.state, attempt.seen_at = "running", attempt.seen_at or moment
            return moment - attempt.seen_at < timedelta(seconds=RESULT_GRACE_SECONDS)
        self._see(session, attempt, lease, moment)
        return True

    def _see(self, session: Session, attempt: Attempt, lease: Lease, moment: datetime) -> None:
        attempt.seen_at, attempt.worker, attempt.fraction = moment, lease.worker, lease.fraction
        if attempt.state == "running":
            return
        attempt.state = "running"
        if attempt.kind == "transcode":
            item = session.get_one(Item, attempt.item_id)
            item.state = check_transition(item.state, State.RUNNING)

    def _not_in_broker(self, attempts: list[Attempt]) -> list[Attempt]:
        waiting = {queue: self._broker.waiting(queue) for queue in {attempt.queue for attempt in attempts}}
        return [attempt for attempt in attempts if attempt.order_id not in waiting[attempt.queue]]

    def _lose(self, session: Session, attempt: Attempt) -> None:
        log.warning("attempt_lost", order=attempt.order_id, item=attempt.item_id, worker=attempt.worker)
        self._broker.revoke(attempt.order_id)
        give_out_again(session, attempt, self._max_attempts)


def give_out_again(session: Session, attempt: Attempt, max_attempts: int | None) -> None:
    """Close an attempt whose worker is gone and make its work ready again; after ``max_attempts`` the item is set aside.

    A killed attempt is no failed one: ``max_attempts`` None means that the farm itself was stopped and nobody is to blame.
    """
    attempt.state, attempt.ended_at = "lost", now()
    item = session.get_one(Item, attempt.item_id)
    worn_out = max_attempts is not None and attempt.number >= max_attempts
    failure = _worker_died(attempt.number)
    if attempt.kind == "deliver":
        delivery = session.get_one(Delivery, attempt.delivery_id)
        delivery.state = "failed" if worn_out else "pending"
        delivery.failure = failure.model_dump(mode="json") if worn_out else None
        if not worn_out:
            return
    if worn_out:
        item.failure = failure.model_dump(mode="json")
        item.state, item.reason = check_transition(item.state, State.FAILED), failure.message
        return
    if max_attempts is None:
        item.attempts = max(0, item.attempts - 1)
    retry_later(item, 0.0)


def _worker_died(attempts: int) -> Failure:
    return Failure(
        code="WorkerLost",
        actor=Actor.ENVIRONMENT,
        retryable=True,
        message=f"the worker died {attempts} times while it worked on this",
        hint="Look at the worker's log and memory; then run the same command again.",
    )
